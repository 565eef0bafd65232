/* The processes whose fan-out is compared. Each keeps its own sockets; one byte on its control pipe makes it send. */
#include "tests/bench/bench.h"

#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONTENT_CHARS 60
#define NODE_MODULES  "build/clients-cache/discordjs-*/node_modules"

/* --- life --- */

/* The first line that the process writes. */
static void first_line(int fd, char *line, size_t cap)
{
    size_t n = 0;
    while (n < cap - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
        n++;
    line[n] = '\0';
    if (!n) {
        fprintf(stderr, "bench: a sender did not get ready\n");
        exit(1);
    }
}

static void pipe_open(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC) == 0)
        return;
    perror("pipe");
    exit(1);
}

void sender_send(struct sender *s, int events)
{
    char count = (char)events, body[CONTENT_CHARS + 32], path[128], content[CONTENT_CHARS + 1];
    if (s->control >= 0) {
        net_write(s->control, &count, 1);
        return;
    }
    memset(content, 'x', CONTENT_CHARS);
    content[CONTENT_CHARS] = '\0';
    snprintf(body, sizeof body, "{\"content\":\"%s\"}", content);
    snprintf(path, sizeof path, "/api/v10/channels/%s/messages", s->server.channel);
    for (int i = 0; i < events; i++)
        http_send(s->posts[i], "POST", path, s->server.user_token, body);
}

static size_t digits(uint64_t n)
{
    return n < 10 ? 1 : 1 + digits(n / 10);
}

/* How much longer than the first event's the next frame's number is. */
static size_t seq_growth(struct sender *s)
{
    if (!s->numbered)
        return 0;
    s->seq++;
    return s->etf ? (s->seq > 255 ? 3 : 0) : digits(s->seq) - 1;
}

void sender_take(struct sender *s, int events)
{
    static char answer[1 << 16];
    size_t bytes = 0;
    for (int i = 0; i < events; i++)
        bytes += s->frame_bytes + seq_growth(s);
    receiver_take(&s->receiver, bytes * (size_t)s->receiver.count);
    for (int i = 0; s->control < 0 && i < events; i++)
        http_receive(s->posts[i], answer, sizeof answer);
}

/* READY and GUILD_CREATE had the numbers 1 and 2; the first event tells how long a frame is. */
static void measure_frame(struct sender *s)
{
    static char answer[1 << 16];
    receiver_drain(&s->receiver, 300);
    sender_send(s, 1);
    s->frame_bytes = receiver_drain(&s->receiver, 1000) / (size_t)s->receiver.count;
    s->numbered = true;
    s->seq = 3;
    if (s->control < 0)
        http_receive(s->posts[0], answer, sizeof answer);
}

void sender_stop(struct sender *s)
{
    receiver_done(&s->receiver);
    if (s->control < 0) {
        for (int i = 0; i < 16; i++)
            close(s->posts[i]);
        server_stop(&s->server);
        return;
    }
    close(s->control);
    kill(s->pid, SIGTERM);
    waitpid(s->pid, NULL, 0);
}

/* --- guildhall --- */

void sender_gateway(struct sender *s, const char *name, int sessions, const char *query)
{
    char line[300], token[256];
    int to[2], from[2];
    *s = (struct sender){.name = name, .etf = strstr(query, "encoding=etf")};
    pipe_open(to);
    pipe_open(from);
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(to[1]);
        node_run(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    s->control = to[1];
    first_line(from[0], line, sizeof line);
    close(from[0]);
    if (sscanf(line, "%d %255s", &s->port, token) != 2)
        exit(1);
    receiver_init(&s->receiver, sessions);
    for (int i = 0; i < sessions; i++)
        receiver_add(&s->receiver, gateway_session(s->port, token, query));
    measure_frame(s);
}

void sender_dev(struct sender *s, const char *bin, int sessions)
{
    *s = (struct sender){.name = "dev", .control = -1};
    server_start(&s->server, bin);
    s->pid = s->server.pid;
    receiver_init(&s->receiver, sessions);
    for (int i = 0; i < sessions; i++)
        receiver_add(&s->receiver, gateway_session(s->server.port, s->server.bot_token, ""));
    for (int i = 0; i < 16; i++)
        s->posts[i] = net_connect(s->server.port);
    measure_frame(s);
}

/* --- the bare loop --- */

static _Noreturn void bare_run(int listener, int control, int sessions, size_t frame_bytes)
{
    int *fds = calloc((size_t)sessions, sizeof *fds);
    char *frames = malloc(frame_bytes * 16), count;
    if (!fds || !frames)
        _exit(1);
    memset(frames, 'x', frame_bytes * 16);
    for (int i = 0; i < sessions; i++)
        if ((fds[i] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
            _exit(1);
    while (read(control, &count, 1) == 1)
        for (int i = 0; i < sessions; i++) {
            size_t n = frame_bytes * (size_t)count;
            if (send(fds[i], frames, n, MSG_NOSIGNAL) != (ssize_t)n)
                _exit(1);
        }
    _exit(0);
}

void sender_bare(struct sender *s, int sessions, size_t frame_bytes)
{
    int to[2], listener;
    *s = (struct sender){.name = "send() loop", .frame_bytes = frame_bytes};
    listener = net_listen(&s->port);
    pipe_open(to);
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(to[1]);
        bare_run(listener, to[0], sessions, frame_bytes);
    }
    close(to[0]);
    close(listener);
    s->control = to[1];
    receiver_init(&s->receiver, sessions);
    for (int i = 0; i < sessions; i++)
        receiver_add(&s->receiver, net_connect(s->port));
}

/* --- npm's ws --- */

static bool node_modules(char *path, size_t cap)
{
    glob_t g;
    if (glob(NODE_MODULES "/ws", 0, NULL, &g) != 0)
        return false;
    snprintf(path, cap, "%.*s", (int)(strlen(g.gl_pathv[0]) - strlen("/ws")), g.gl_pathv[0]);
    globfree(&g);
    return true;
}

static _Noreturn void ws_exec(int in, int out, const char *modules, size_t payload_bytes)
{
    char bytes[24], whole[4096];
    dup2(in, 0);
    dup2(out, 1);
    snprintf(bytes, sizeof bytes, "%zu", payload_bytes);
    if (realpath(modules, whole))
        setenv("NODE_PATH", whole, 1);
    execlp("node", "node", "tests/bench/ws_broadcast.js", bytes, (char *)NULL);
    _exit(127);
}

bool sender_ws(struct sender *s, int sessions, size_t payload_bytes)
{
    char modules[512], line[64];
    int to[2], from[2];
    *s = (struct sender){.name = "npm ws", .frame_bytes = payload_bytes + 4};
    if (!node_modules(modules, sizeof modules))
        return false;
    pipe_open(to);
    pipe_open(from);
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        ws_exec(to[0], from[1], modules, payload_bytes);
    }
    close(to[0]);
    close(from[1]);
    s->control = to[1];
    first_line(from[0], line, sizeof line);
    close(from[0]);
    s->port = atoi(line);
    receiver_init(&s->receiver, sessions);
    for (int i = 0; i < sessions; i++) {
        int fd = net_connect(s->port);
        ws_upgrade(fd, "/");
        receiver_add(&s->receiver, fd);
    }
    return true;
}
