/* POST to socket at a fixed rate: message i is due at i / rate whatever the server does meanwhile, and its latency
 * counts from then (no coordinated omission). Every answer of 2xx must be seen on the bot's socket exactly once, by
 * message id. A person's socket listens beside it: what is sent to a bot goes through the session log first. One
 * thread, epoll. */
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS  256
#define DRAIN_NS     15000000000u /* for what is under way at the end */
#define HEARTBEAT_NS 20000000000u
#define IN_BYTES     (1u << 20)
#define ANSWER_BYTES (8u << 10)
/* MESSAGE_CREATE of about 770 bytes. */
#define PADDING                                                                                                        \
    " the quick brown fox jumps over the lazy dog, and what it thinks of it is told to everybody who is in the room "  \
    "and listens, as it is with what people write to each other all day long"

struct message {
    uint64_t id;      /* from the answer */
    uint64_t seen_id; /* from the socket */
    uint64_t due_ns;
    uint32_t answer_us, socket_us, person_us;
    uint16_t seen;
    int16_t status;
};

struct http {
    int fd;
    int message; /* -1: free */
    size_t len;
    char in[ANSWER_BYTES];
};

struct listener {
    int fd;
    bool is_bot;
    char *in;
    size_t in_len;
};

static struct {
    struct http http[CONNECTIONS];
    struct http *idle[CONNECTIONS];
    unsigned idle_count;
    struct message *messages;
    unsigned count, sent, answered, seen, accepted;
    struct listener listeners[2];
    int epoll;
    uint64_t heartbeat_ns;
    char path[128];
    const struct server *server;
} load;

static void die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static uint64_t id_after(const char *p, size_t n, const char *key)
{
    const char *at = memmem(p, n, key, strlen(key));
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* --- HTTP --- */

static void post(struct http *h, unsigned index)
{
    char body[512], request[1536];
    int n = snprintf(body, sizeof body, "{\"content\":\"%u" PADDING "\"}", index);
    int m = snprintf(request, sizeof request,
                     "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: %s\r\nContent-Type: application/json\r\n"
                     "Content-Length: %d\r\n\r\n%s",
                     load.path, load.server->user_token, n, body);
    if (send(h->fd, request, (size_t)m, MSG_NOSIGNAL) != m)
        die("a POST could not be sent");
    h->message = (int)index;
    h->len = 0;
}

/* True: the answer is whole. */
static bool answer_read(struct http *h)
{
    ssize_t k = recv(h->fd, h->in + h->len, sizeof h->in - 1 - h->len, MSG_DONTWAIT);
    if (k < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (k <= 0)
        die("the api closed a connection");
    h->len += (size_t)k;
    h->in[h->len] = '\0';
    const char *end = memmem(h->in, h->len, "\r\n\r\n", 4);
    const char *length = end ? strcasestr(h->in, "content-length:") : NULL;
    size_t body = length ? strtoul(length + 15, NULL, 10) : 0;
    return end && h->len >= (size_t)(end - h->in) + 4 + body;
}

static void answer_take(struct http *h)
{
    struct message *m = &load.messages[h->message];
    const char *body = memmem(h->in, h->len, "\r\n\r\n", 4);
    m->status = (int16_t)atoi(h->in + 9);
    m->answer_us = (uint32_t)((now_ns() - m->due_ns) / 1000);
    if (m->status / 100 == 2) {
        m->id = id_after(body, h->len - (size_t)(body - h->in), "{\"id\":\"");
        load.accepted++;
    }
    load.answered++;
    h->message = -1;
    load.idle[load.idle_count++] = h;
}

/* --- the gateway's sockets --- */

static void event_take(const struct listener *l, const char *p, size_t n)
{
    static const char name[] = "\"t\":\"MESSAGE_CREATE\"";
    if (!memmem(p, n < 64 ? n : 64, name, sizeof name - 1))
        return;
    uint64_t index = id_after(p, n, "\"content\":\"");
    if (index >= load.count)
        return; /* of a run before */
    struct message *m = &load.messages[index];
    if (!l->is_bot) {
        m->person_us = (uint32_t)((now_ns() - m->due_ns) / 1000);
        return;
    }
    m->seen++;
    m->seen_id = id_after(p, n, "\"d\":{\"id\":\"");
    m->socket_us = (uint32_t)((now_ns() - m->due_ns) / 1000);
    load.seen++;
}

static void socket_read(struct listener *l)
{
    ssize_t k = recv(l->fd, l->in + l->in_len, IN_BYTES - l->in_len, MSG_DONTWAIT);
    if (k < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (k <= 0)
        die("the gateway closed the session");
    l->in_len += (size_t)k;
    size_t at = 0, head;
    for (;;) {
        const unsigned char *h = (const unsigned char *)l->in + at;
        size_t n = ws_frame_length(h, l->in_len - at, &head);
        if (!n || l->in_len - at < head + n)
            break;
        if ((h[0] & 15) == 8)
            die("the gateway closed the session");
        event_take(l, (const char *)h + head, n);
        at += head + n;
    }
    memmove(l->in, l->in + at, l->in_len - at);
    l->in_len -= at;
}

/* --- a run --- */

static void heartbeat(void)
{
    if (now_ns() - load.heartbeat_ns < HEARTBEAT_NS)
        return;
    load.heartbeat_ns = now_ns();
    for (int i = 0; i < 2; i++)
        ws_send_text(load.listeners[i].fd, "{\"op\":1,\"d\":null}");
}

static void turn(int wait_ms)
{
    heartbeat();
    struct epoll_event events[CONNECTIONS + 2];
    int n = epoll_wait(load.epoll, events, CONNECTIONS + 2, wait_ms);
    for (int i = 0; i < n; i++) {
        void *p = events[i].data.ptr;
        struct http *h = p;
        if (p == &load.listeners[0] || p == &load.listeners[1])
            socket_read(p);
        else if (answer_read(h))
            answer_take(h);
    }
}

/* rate 0: as fast as answers come. */
static void send_due(uint64_t begun_ns, double rate)
{
    uint64_t now = now_ns();
    while (load.idle_count && load.sent < load.count) {
        uint64_t due = rate > 0 ? begun_ns + (uint64_t)((double)load.sent * 1e9 / rate) : now;
        if (due > now)
            return;
        load.messages[load.sent].due_ns = due;
        post(load.idle[--load.idle_count], load.sent);
        load.sent++;
    }
}

static int by_value(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The median of how much later the bot has a message than the person. */
static int log_cost(uint32_t *room)
{
    int32_t *later = (int32_t *)room;
    unsigned n = 0;
    for (unsigned i = 0; i < load.count; i++)
        if (load.messages[i].seen && load.messages[i].person_us)
            later[n++] = (int32_t)load.messages[i].socket_us - (int32_t)load.messages[i].person_us;
    qsort(later, n, sizeof *later, by_value);
    return n ? later[n / 2] : 0;
}

static void judge(struct load_result *r)
{
    uint32_t *us = calloc(load.count, sizeof *us);
    unsigned n = 0;
    for (unsigned i = 0; i < load.count; i++) {
        const struct message *m = &load.messages[i];
        bool ok = m->status / 100 == 2;
        r->refused += !ok;
        r->lost += ok && !m->seen;
        r->repeated += m->seen > 1;
        r->wrong += ok && m->seen && m->id != m->seen_id;
        if (ok && m->seen)
            us[n++] = m->socket_us;
    }
    if (n) {
        times_sort(us, n);
        r->p50_ms = us[n / 2] / 1e3;
        r->p99_ms = us[(size_t)n * 99 / 100] / 1e3;
        r->max_ms = us[n - 1] / 1e3;
    }
    r->log_us = log_cost(us);
    free(us);
}

static void load_open(const struct server *s)
{
    if (load.epoll)
        return;
    load.server = s;
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    snprintf(load.path, sizeof load.path, "/api/v10/channels/%s/messages", s->channel);
    struct epoll_event e = {.events = EPOLLIN};
    for (int i = 0; i < 2; i++) {
        struct listener *l = &load.listeners[i];
        *l = (struct listener){.is_bot = i == 0, .in = malloc(IN_BYTES)};
        l->fd = gateway_session(s->gateway_port, l->is_bot ? s->bot_token : s->user_token, "");
        e.data.ptr = l;
        epoll_ctl(load.epoll, EPOLL_CTL_ADD, l->fd, &e);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        struct http *h = &load.http[i];
        *h = (struct http){.fd = net_connect(s->port), .message = -1};
        e.data.ptr = h;
        epoll_ctl(load.epoll, EPOLL_CTL_ADD, h->fd, &e);
        load.idle[load.idle_count++] = h;
    }
}

void load_run(const struct server *s, double rate, unsigned count, struct load_result *ret)
{
    load_open(s);
    load.messages = calloc(count, sizeof *load.messages);
    load.count = count;
    load.sent = load.answered = load.seen = load.accepted = 0;
    uint64_t begun = now_ns(), end = 0;
    while (load.answered < count || load.seen < load.accepted) {
        send_due(begun, rate);
        turn(load.sent < count && load.idle_count ? 1 : 100);
        if (load.sent == count && !end)
            end = now_ns() + DRAIN_NS;
        if (end && now_ns() > end)
            break;
    }
    *ret = (struct load_result){.rate = (double)load.answered / ((double)(now_ns() - begun) / 1e9)};
    for (int quiet = 0; quiet < 3; quiet++) /* a repetition would come now */
        turn(100);
    judge(ret);
    free(load.messages);
    load.messages = NULL;
    load.count = 0;
}

static bool clean(const struct load_result *r)
{
    return !r->refused && !r->lost && !r->repeated && !r->wrong;
}

static void print_result(const char *what, double rate, const struct load_result *r)
{
    printf("%s", what);
    if (rate > 0)
        printf(" at %.0f", rate);
    printf(": %.0f messages a second, POST to socket p50 %.1f ms, p99 %.1f ms, max %.0f ms; a bot, being logged, %+d "
           "us after a person; ",
           r->rate, r->p50_ms, r->p99_ms, r->max_ms, r->log_us);
    if (clean(r))
        printf("each exactly once\n");
    else
        printf("REFUSED %u LOST %u REPEATED %u WRONG %u\n", r->refused, r->lost, r->repeated, r->wrong);
    fflush(stdout);
}

void bench_load(const struct server *s, const struct cpu_group *groups, unsigned count, double rate, double seconds)
{
    uint64_t before[CPU_GROUPS_MAX], after[CPU_GROUPS_MAX], machine, machine_after, begun;
    unsigned messages = (unsigned)((rate > 0 ? rate : 6000) * seconds);
    struct load_result r;
    load_run(s, rate > 0 ? rate : 500, rate > 0 ? (unsigned)rate / 4 : 500, &r); /* warm */
    begun = now_ns();
    cpu_read(groups, count, before, &machine);
    load_run(s, rate, messages, &r);
    cpu_read(groups, count, after, &machine_after);
    print_result(rate > 0 ? "open loop" : "closed loop, 256 connections", rate, &r);
    cpu_print(groups, count, before, after, machine_after - machine, (now_ns() - begun) / 1000, messages);
    if (!clean(&r))
        exit(1);
}

void bench_highest(const struct server *s)
{
    struct load_result r;
    load_run(s, 0, 12000, &r); /* what it can at most, answers waited for */
    double rate = r.rate;
    for (int i = 0; i < 8; i++, rate *= 0.93) {
        load_run(s, rate, (unsigned)(rate * 6), &r);
        print_result("  try", rate, &r);
        if (clean(&r) && r.p99_ms < 500 && r.rate > rate * 0.97)
            break;
    }
    print_result("highest sustained", rate, &r);
}
