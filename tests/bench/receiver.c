/* Many sockets on one epoll. It polls without sleeping while bytes are due: a receiver that sleeps makes whoever wakes
 * it pay, and how often that happens depends on the machine, not on the sender. */
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PATIENCE_NS UINT64_C(30000000000)

void receiver_init(struct receiver *r, int count)
{
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->fds = calloc((size_t)count, sizeof *r->fds);
    r->count = 0;
    if (r->epoll < 0 || !r->fds)
        exit(1);
}

void receiver_add(struct receiver *r, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &e);
    r->fds[r->count++] = fd;
}

void receiver_done(struct receiver *r)
{
    for (int i = 0; i < r->count; i++)
        close(r->fds[i]);
    free(r->fds);
    close(r->epoll);
}

/* What came at once. */
static size_t take_some(struct receiver *r, int wait_ms)
{
    static char sink[1 << 16];
    struct epoll_event events[256];
    size_t got = 0;
    int n = epoll_wait(r->epoll, events, 256, wait_ms);
    for (int i = 0; i < n; i++) {
        ssize_t k = read(events[i].data.fd, sink, sizeof sink);
        if (k == 0 || (k < 0 && errno != EAGAIN)) {
            fprintf(stderr, "bench: a session was closed (%s)\n", k ? strerror(errno) : "orderly");
            exit(1);
        }
        got += k > 0 ? (size_t)k : 0;
    }
    return got;
}

void receiver_take(struct receiver *r, size_t bytes)
{
    uint64_t until = now_ns() + PATIENCE_NS;
    size_t got = 0;
    while (got < bytes) {
        got += take_some(r, 0);
        if (now_ns() > until) {
            fprintf(stderr, "bench: %zu of %zu bytes came\n", got, bytes);
            exit(1);
        }
    }
    if (got > bytes) {
        fprintf(stderr, "bench: %zu bytes came, not %zu\n", got, bytes);
        exit(1);
    }
}

size_t receiver_drain(struct receiver *r, int quiet_ms)
{
    size_t all = 0;
    for (size_t got; (got = take_some(r, quiet_ms));)
        all += got;
    return all;
}
