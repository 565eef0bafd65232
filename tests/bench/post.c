/* POST to socket: messages a second from many kept connections to one session, and how long each took from the first
 * byte of its POST to its MESSAGE_CREATE. Every message must arrive once and in the order of its sequence. */
#include "tests/bench/bench.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS 64
#define MESSAGES    12000

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void post(int fd, const struct server *s, const char *path)
{
    char body[64];
    snprintf(body, sizeof body, "{\"content\":\"%llu\"}", (unsigned long long)now_ns());
    http_send(fd, "POST", path, s->user_token, body);
}

/* The next MESSAGE_CREATE's own time of sending. */
static uint64_t message_sent_at(int ws)
{
    static char buf[1 << 16];
    for (;;) {
        ws_read_frame(ws, buf, sizeof buf);
        const char *content = strstr(buf, "\"content\":\"");
        if (strstr(buf, "\"t\":\"MESSAGE_CREATE\"") && content)
            return strtoull(content + strlen("\"content\":\""), NULL, 10);
    }
}

void bench_post(const char *bin, const struct server *stack)
{
    static char answer[1 << 16];
    static uint64_t latency[MESSAGES];
    struct server s;
    struct pollfd fds[CONNECTIONS + 1];
    char path[128];
    if (stack)
        s = *stack;
    else
        server_start(&s, bin);
    snprintf(path, sizeof path, "/api/v10/channels/%s/messages", s.channel);
    int ws = gateway_session(s.gateway_port, s.bot_token, ""), sent = 0, got = 0;
    uint64_t begun = now_ns();
    for (int i = 0; i < CONNECTIONS; i++, sent++) {
        fds[i] = (struct pollfd){.fd = net_connect(s.port), .events = POLLIN};
        post(fds[i].fd, &s, path);
    }
    fds[CONNECTIONS] = (struct pollfd){.fd = ws, .events = POLLIN};
    while (got < MESSAGES) {
        if (poll(fds, CONNECTIONS + 1, 10000) <= 0) {
            fprintf(stderr, "bench: %d of %d messages came\n", got, MESSAGES);
            exit(1);
        }
        if (fds[CONNECTIONS].revents) {
            uint64_t at = message_sent_at(ws);
            latency[got++] = now_ns() - at;
        }
        for (int i = 0; i < CONNECTIONS; i++) {
            if (!fds[i].revents)
                continue;
            if (http_receive(fds[i].fd, answer, sizeof answer) != 200) {
                fprintf(stderr, "bench: POST was refused: %s\n", answer);
                exit(1);
            }
            fds[i].events = sent < MESSAGES ? POLLIN : 0;
            if (sent < MESSAGES) {
                post(fds[i].fd, &s, path);
                sent++;
            }
        }
    }
    double seconds = (double)(now_ns() - begun) / 1e9;
    qsort(latency, MESSAGES, sizeof *latency, by_value);
    printf("post%s messages=%d connections=%d: %.0f messages a second, POST to socket p50 %.2f ms, p99 %.2f ms\n",
           stack ? " full-stack" : "", MESSAGES, CONNECTIONS, MESSAGES / seconds, (double)latency[MESSAGES / 2] / 1e6,
           (double)latency[MESSAGES * 99 / 100] / 1e6);
    fflush(stdout);
    for (int i = 0; i <= CONNECTIONS; i++)
        close(fds[i].fd);
    server_stop(&s);
}
