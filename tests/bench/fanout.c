/* Dispatch fan-out: one MESSAGE_CREATE to many sessions, beside a bare loop that sends the same frame to as many
 * sockets with send(). The same receiver reads both. What is compared is the sender's processor time for each
 * recipient, which a slow receiver cannot change; wall time stands beside it. */
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS        80 /* with the ones before, all sequence numbers have two digits */
#define CONTENT_CHARS 300

struct receiver {
    int epoll, count;
    int *fds;
    size_t bytes;
};

static void receiver_init(struct receiver *r, int count)
{
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->fds = calloc((size_t)count, sizeof *r->fds);
    r->count = 0;
    r->bytes = 0;
    if (r->epoll < 0 || !r->fds)
        exit(1);
}

static void receiver_add(struct receiver *r, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &e);
    r->fds[r->count++] = fd;
}

static void receiver_done(struct receiver *r)
{
    for (int i = 0; i < r->count; i++)
        close(r->fds[i]);
    free(r->fds);
    close(r->epoll);
}

/* Reads until `bytes` more have come. */
static void receive(struct receiver *r, size_t bytes)
{
    static char sink[1 << 16];
    struct epoll_event events[256];
    for (size_t got = 0; got < bytes;) {
        int n = epoll_wait(r->epoll, events, 256, 10000);
        if (n <= 0) {
            fprintf(stderr, "bench: %zu of %zu bytes came\n", got, bytes);
            exit(1);
        }
        for (int i = 0; i < n; i++) {
            ssize_t k = read(events[i].data.fd, sink, sizeof sink);
            if (k == 0 || (k < 0 && errno != EAGAIN)) {
                fprintf(stderr, "bench: a session was closed\n");
                exit(1);
            }
            got += k > 0 ? (size_t)k : 0;
        }
    }
}

struct figures {
    double cpu_us, wall_us; /* for each recipient of each event */
    size_t frame_bytes;
};

/* --- guildhall --- */

/* Every session's frame differs only in the digits of its sequence number, which are as many for all. */
static size_t frame_size(struct receiver *r, int post, const struct server *s, const char *path, const char *body)
{
    static char answer[1 << 16], sink[1 << 16];
    struct epoll_event e;
    if (http_request(post, "POST", path, s->user_token, body, answer, sizeof answer) != 200) {
        fprintf(stderr, "bench: POST was refused: %s\n", answer);
        exit(1);
    }
    usleep(300000);
    size_t first = 0;
    while (epoll_wait(r->epoll, &e, 1, 200) == 1) {
        ssize_t k = read(e.data.fd, sink, sizeof sink);
        if (k > 0 && !first)
            first = (size_t)k;
        if (k <= 0)
            break;
    }
    return first;
}

static struct figures run_guildhall(const char *bin, int sessions, int burst)
{
    static char answer[1 << 16];
    struct server s;
    struct receiver r;
    char path[128], content[CONTENT_CHARS + 1], body[CONTENT_CHARS + 32];
    int posts[16];
    server_start(&s, bin);
    receiver_init(&r, sessions);
    for (int i = 0; i < sessions; i++)
        receiver_add(&r, gateway_session(s.port, s.bot_token));
    for (int i = 0; i < burst; i++)
        posts[i] = net_connect(s.port);
    memset(content, 'x', CONTENT_CHARS);
    content[CONTENT_CHARS] = '\0';
    snprintf(body, sizeof body, "{\"content\":\"%s\"}", content);
    snprintf(path, sizeof path, "/api/v10/channels/%s/messages", s.channel);

    struct figures f = {0};
    for (int i = 0; i < 10; i++) /* past the sequence numbers of one digit */
        f.frame_bytes = frame_size(&r, posts[0], &s, path, body);
    int rounds = EVENTS / burst;
    uint64_t cpu = process_cpu_ns(s.pid), wall = now_ns();
    for (int i = 0; i < rounds; i++) {
        for (int k = 0; k < burst; k++)
            http_send(posts[k], "POST", path, s.user_token, body);
        receive(&r, f.frame_bytes * (size_t)sessions * (size_t)burst);
        for (int k = 0; k < burst; k++)
            http_receive(posts[k], answer, sizeof answer);
    }
    double deliveries = (double)rounds * burst * sessions;
    f.cpu_us = (double)(process_cpu_ns(s.pid) - cpu) / 1e3 / deliveries;
    f.wall_us = (double)(now_ns() - wall) / 1e3 / deliveries;
    for (int i = 0; i < burst; i++)
        close(posts[i]);
    receiver_done(&r);
    server_stop(&s);
    return f;
}

/* --- the bare loop --- */

static _Noreturn void bare_server(int listener, int control, int sessions, size_t frame_bytes, int burst)
{
    int *fds = calloc((size_t)sessions, sizeof *fds);
    char *frames = malloc(frame_bytes * (size_t)burst), go;
    if (!fds || !frames)
        _exit(1);
    memset(frames, 'x', frame_bytes * (size_t)burst);
    for (int i = 0; i < sessions; i++) {
        fds[i] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fds[i] < 0)
            _exit(1);
    }
    while (read(control, &go, 1) == 1)
        for (int i = 0; i < sessions; i++)
            if (send(fds[i], frames, frame_bytes * (size_t)burst, MSG_NOSIGNAL) !=
                (ssize_t)(frame_bytes * (size_t)burst))
                _exit(1);
    _exit(0);
}

static struct figures run_bare(int sessions, size_t frame_bytes, int burst)
{
    int port, control[2], listener = net_listen(&port);
    struct receiver r;
    if (pipe(control) < 0)
        exit(1);
    int pid = fork();
    if (pid == 0) {
        close(control[1]);
        bare_server(listener, control[0], sessions, frame_bytes, burst);
    }
    receiver_init(&r, sessions);
    for (int i = 0; i < sessions; i++)
        receiver_add(&r, net_connect(port));
    int rounds = EVENTS / burst;
    net_write(control[1], "x", 1);
    receive(&r, frame_bytes * (size_t)sessions * (size_t)burst);
    uint64_t cpu = process_cpu_ns(pid), wall = now_ns();
    for (int i = 0; i < rounds; i++) {
        net_write(control[1], "x", 1);
        receive(&r, frame_bytes * (size_t)sessions * (size_t)burst);
    }
    double deliveries = (double)rounds * burst * sessions;
    struct figures f = {(double)(process_cpu_ns(pid) - cpu) / 1e3 / deliveries,
                        (double)(now_ns() - wall) / 1e3 / deliveries, frame_bytes};
    close(control[1]);
    close(control[0]);
    close(listener);
    receiver_done(&r);
    waitpid(pid, NULL, 0);
    return f;
}

static void compare(const char *bin, int sessions, int burst)
{
    struct figures g = run_guildhall(bin, sessions, burst), b = run_bare(sessions, g.frame_bytes, burst);
    printf("fanout sessions=%d burst=%d frame_bytes=%zu: guildhall %.2f us, bare send loop %.2f us of processor time "
           "for each "
           "recipient (wall %.2f, %.2f): ratio %.2f\n",
           sessions, burst, g.frame_bytes, g.cpu_us, b.cpu_us, g.wall_us, b.wall_us, b.cpu_us / g.cpu_us);
    fflush(stdout);
}

void bench_fanout(const char *bin, int sessions)
{
    signal(SIGPIPE, SIG_IGN);
    compare(bin, sessions, 1);
    compare(bin, sessions, 10);
}
