/* guildhall-proxy-bench stub: an upstream that answers at once, without limits.
 * guildhall-proxy-bench load PORT TOKENS CONNECTIONS SECONDS [RATE]: requests a second and latency, each connection
 * with one request under way; RATE: spread evenly over the connections, latency from the moment each was due.
 * guildhall-proxy-bench stub-closed: the same, whose only bucket is used up for an hour after the first answer.
 * guildhall-proxy-bench queue PORT COUNT PID: so many requests that wait; what the process PID grows by.
 * tests/bench/proxy runs both around each proxy. Single-threaded, epoll; what is measured is the server between. */
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4096
#define READ_MAX        16384
#define TIMES_MAX       (1u << 24)

static int poll_fd;

static void watch(int fd, void *p)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e) < 0) {
        perror("epoll_ctl");
        exit(1);
    }
}

/* --- the upstream: what a GET of a channel is answered, about 400 bytes --- */

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 210\r\n"
    "Date: Sat, 21 Nov 2026 12:00:00 GMT\r\nVia: 1.1 google\r\nX-Other: 1\r\n\r\n"
    "{\"id\":\"100000000000000001\",\"type\":0,\"guild_id\":\"100000000000000002\",\"name\":\"general\",\"topic\":null,"
    "\"position\":0,\"nsfw\":false,\"rate_limit_per_user\":0,\"last_message_id\":null,\"permission_overwrites\":[],"
    "\"flags\":0 } ";

static const char closed[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                             "X-RateLimit-Limit: 1\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset-After: 3600\r\n"
                             "X-RateLimit-Bucket: b\r\n\r\n{}";
static bool is_closed;

struct peer {
    int fd;
    size_t body_left, used;
    char in[READ_MAX];
};

/* The requests that are whole in p->in; what follows them stays. */
static unsigned requests_take(struct peer *p)
{
    unsigned n = 0;
    char *at = p->in, *end = p->in + p->used;

    for (;;) {
        size_t body = p->body_left < (size_t)(end - at) ? p->body_left : (size_t)(end - at);
        at += body;
        p->body_left -= body;
        if (p->body_left)
            break;
        char *stop = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
        if (!stop)
            break;
        char *length = memmem(at, (size_t)(stop - at), "ontent-", 7);
        if (length && strncasecmp(length, "ontent-length:", 14) == 0)
            p->body_left = strtoul(length + 14, NULL, 10);
        at = stop + 4;
        n++;
    }
    p->used = (size_t)(end - at);
    memmove(p->in, at, p->used);
    return n;
}

static void stub_read(struct peer *p)
{
    ssize_t n = read(p->fd, p->in + p->used, sizeof p->in - p->used);

    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        close(p->fd);
        free(p);
        return;
    }
    p->used += (size_t)n;
    for (unsigned k = requests_take(p); k > 0; k--)
        net_write(p->fd, is_closed ? closed : answer, (is_closed ? sizeof closed : sizeof answer) - 1);
}

static void stub_accept(int listener)
{
    int fd;

    /* epoll has the peers */
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) { /* NOLINT(clang-analyzer-unix.Malloc) */
        struct peer *p = calloc(1, sizeof *p);
        p->fd = fd;
        watch(fd, p);
    }
}

static _Noreturn void stub_run(void)
{
    int port, listener = net_listen(&port);
    struct epoll_event events[256];

    watch(listener, NULL);
    printf("%d\n", port);
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(poll_fd, events, 256, -1);
        for (int i = 0; i < n; i++)
            if (events[i].data.ptr)
                stub_read(events[i].data.ptr);
            else
                stub_accept(listener);
    }
}

/* --- the load --- */

struct caller {
    int fd;
    char request[512];
    size_t request_bytes;
    uint64_t due_ns; /* of the request under way; 0: none */
    size_t used;
    char in[READ_MAX];
};

static struct {
    struct caller *callers;
    int count;
    uint64_t begin_ns, end_ns, interval_ns; /* interval: of one caller, 0 closed loop */
    uint32_t *times_us;
    size_t done, wrong;
} load;

static void caller_send(struct caller *c, uint64_t due_ns)
{
    c->due_ns = due_ns;
    net_write(c->fd, c->request, c->request_bytes);
}

/* True when a whole answer stood in c->in. */
static bool answer_take(struct caller *c)
{
    char *stop = memmem(c->in, c->used, "\r\n\r\n", 4);
    char *length = stop ? strcasestr(c->in, "content-length:") : NULL;

    if (!stop || !length || length > stop)
        return false;
    size_t whole = (size_t)(stop + 4 - c->in) + strtoul(length + 15, NULL, 10);
    if (c->used < whole)
        return false;
    load.wrong += memcmp(c->in, "HTTP/1.1 200", 12) != 0;
    c->used = 0;
    return true;
}

static void caller_read(struct caller *c)
{
    ssize_t n = read(c->fd, c->in + c->used, sizeof c->in - 1 - c->used);
    uint64_t now = now_ns();

    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        fprintf(stderr, "the proxy closed a connection\n");
        exit(1);
    }
    c->used += (size_t)n;
    c->in[c->used] = 0;
    if (!answer_take(c))
        return;
    if (load.done < TIMES_MAX)
        load.times_us[load.done] = (uint32_t)((now - c->due_ns) / 1000);
    load.done++;
    uint64_t due = load.interval_ns ? c->due_ns + load.interval_ns : now;
    c->due_ns = load.interval_ns ? due : 0;
    if (due >= load.end_ns)
        c->due_ns = 0;
    else if (due <= now)
        caller_send(c, due);
    else
        c->in[0] = 1; /* waits for its time */
}

static void load_connect(int port, int tokens)
{
    for (int i = 0; i < load.count; i++) {
        struct caller *c = &load.callers[i];
        c->fd = net_connect(port);
        c->request_bytes = (size_t)snprintf(
            c->request, sizeof c->request,
            "GET /api/v10/channels/%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: DiscordBot (bench, 1)\r\n"
            "Accept: */*\r\nAuthorization: Bot token-%d\r\nX-Audit-Log-Reason: none\r\n\r\n",
            100000000 + i, port, i % tokens);
        watch(c->fd, c);
    }
}

static void load_print(double seconds)
{
    size_t n = load.done < TIMES_MAX ? load.done : TIMES_MAX;

    times_sort(load.times_us, n);
    printf("%.0f %u %u %u %zu\n", (double)load.done / seconds, n ? load.times_us[n / 2] : 0,
           n ? load.times_us[n * 99 / 100] : 0, n ? load.times_us[n - 1] : 0, load.wrong);
}

/* Starts what is due; returns how long until the next. */
static int callers_start(uint64_t now)
{
    uint64_t next = load.end_ns;

    for (int i = 0; i < load.count; i++) {
        struct caller *c = &load.callers[i];
        if (c->in[0] != 1 || c->used)
            continue;
        if (c->due_ns <= now) {
            c->in[0] = 0;
            caller_send(c, c->due_ns);
        } else if (c->due_ns < next) {
            next = c->due_ns;
        }
    }
    return next > now ? (int)((next - now) / 1000000) : 0;
}

static void load_loop(void)
{
    struct epoll_event events[256];

    for (uint64_t now = now_ns(); now < load.end_ns; now = now_ns()) {
        int wait = load.interval_ns ? callers_start(now) : (int)((load.end_ns - now) / 1000000) + 1;
        int n = epoll_wait(poll_fd, events, 256, wait);
        for (int i = 0; i < n; i++)
            caller_read(events[i].data.ptr);
    }
}

static void load_run_all(int port, int tokens, int count, double seconds, double rate)
{
    load.count = count < CONNECTIONS_MAX ? count : CONNECTIONS_MAX;
    load.callers = calloc((size_t)load.count, sizeof *load.callers);
    load.times_us = malloc(sizeof *load.times_us * TIMES_MAX);
    load_connect(port, tokens);
    load.begin_ns = now_ns();
    load.end_ns = load.begin_ns + (uint64_t)(seconds * 1e9);
    load.interval_ns = rate > 0 ? (uint64_t)(load.count * 1e9 / rate) : 0;
    for (int i = 0; i < load.count; i++) {
        struct caller *c = &load.callers[i];
        c->due_ns = load.begin_ns + load.interval_ns * (uint64_t)i / (uint64_t)load.count;
        if (load.interval_ns)
            c->in[0] = 1;
        else
            caller_send(c, load.begin_ns);
    }
    load_loop();
    load_print(seconds);
}

static long resident_kb(int pid)
{
    char path[64], line[256];
    long kb = -1;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmRSS:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return kb;
}

/* A message of 200 bytes from each of `count` connections. */
static int queue_run(int port, int count, int pid)
{
    char request[1024], body[256];
    long before = resident_kb(pid);

    memset(body, 'x', 200);
    body[200] = 0;
    int n = snprintf(request, sizeof request,
                     "POST /api/v10/channels/100000000000000001/messages HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                     "User-Agent: DiscordBot (bench, 1)\r\nAuthorization: Bot token\r\n"
                     "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n{\"content\":\"%s\"}",
                     port, 200 + 14, body);
    for (int i = 0; i < count; i++)
        net_write(net_connect_from((unsigned)i / 10000, port), request, (size_t)n);
    sleep(2);
    long after = resident_kb(pid);
    printf("%d %.1f %.1f\n", count, (double)(after - before) / count, (double)after / 1024);
    return 0;
}

int main(int argc, char **argv)
{
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    is_closed = argc == 2 && strcmp(argv[1], "stub-closed") == 0;
    if (is_closed || (argc == 2 && strcmp(argv[1], "stub") == 0))
        stub_run();
    if (argc == 5 && strcmp(argv[1], "queue") == 0)
        return queue_run(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
    if (argc < 6 || strcmp(argv[1], "load") != 0) {
        fprintf(stderr, "usage: see tests/bench/proxy\n");
        return 2;
    }
    load_run_all(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atof(argv[5]), argc > 6 ? atof(argv[6]) : 0);
    return load.wrong != 0;
}
