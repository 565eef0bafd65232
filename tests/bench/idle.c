/* Idle connections: what one costs in resident memory, before and after IDENTIFY, and what the heartbeats of all of
 * them cost in processor time. `guildhall dev` without TLS; everything it holds is counted, the kernel's part apart. */
#include "tests/bench/bench.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEARTBEAT_S      41.25
#define HEARTBEATS_FOR_S 20
#define PER_ADDRESS      20000
#define WINDOW           32 /* IDENTIFYs under way */
#define SPARE_FILES      500

static long meminfo_kb(const char *name)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            kb = atol(line + strlen(name) + 1);
    if (f)
        fclose(f);
    return kb;
}

static void await_guild(int fd)
{
    static char buf[1 << 20];
    do
        ws_read_frame(fd, buf, sizeof buf);
    while (!strstr(buf, "\"t\":\"GUILD_CREATE\""));
}

static void identify_all(const struct server *s, const int *fds, int count)
{
    for (int i = 0; i < count + WINDOW; i++) {
        if (i < count)
            identify_json(fds[i], s->bot_token);
        if (i >= WINDOW)
            await_guild(fds[i - WINDOW]);
    }
}

/* The share of one core that the server takes while everybody beats in time. */
static double heartbeats(const struct server *s, const int *fds, int count)
{
    static char buf[1 << 16];
    uint64_t begun = now_ns(), cpu = process_cpu_ns(s->pid);
    double rate = count / HEARTBEAT_S;
    int sent = 0, read = 0, all = (int)(rate * HEARTBEATS_FOR_S);
    while (read < all) {
        int due = (int)((double)(now_ns() - begun) / 1e9 * rate);
        for (; sent < due && sent < all; sent++)
            ws_send_text(fds[sent % count], "{\"op\":1,\"d\":2}");
        for (; read < sent; read++)
            ws_read_frame(fds[read % count], buf, sizeof buf);
        usleep(1000);
    }
    return (double)(process_cpu_ns(s->pid) - cpu) / (double)(now_ns() - begun);
}

static void idle_part(const char *bin, int count)
{
    static char buf[1 << 16];
    struct server s;
    int *fds = calloc((size_t)count, sizeof *fds);
    server_start(&s, bin);
    close(gateway_session(s.port, s.bot_token, "")); /* what the first one brings into memory is not the others' */
    sleep(1);
    long rss = server_resident_kb(&s), slab = meminfo_kb("Slab:");
    for (int i = 0; fds && i < count; i++) {
        fds[i] = net_connect_from((unsigned)(i / PER_ADDRESS), s.port);
        ws_upgrade(fds[i], "/gateway?v=10&encoding=json");
        ws_read_frame(fds[i], buf, sizeof buf); /* HELLO */
    }
    sleep(1);
    long open = server_resident_kb(&s), kernel = meminfo_kb("Slab:") - slab;
    identify_all(&s, fds, count);
    sleep(1);
    long live = server_resident_kb(&s);
    double share = heartbeats(&s, fds, count);
    printf("idle connections=%d: %.2f KB resident each when connected, %.2f KB when identified and in a guild "
           "(process: %.1f MB before, %.1f MB after); kernel, whole machine: %.1f KB each; heartbeats every %.2f s: "
           "%.1f %% of "
           "one core\n",
           count, (double)(open - rss) / count, (double)(live - rss) / count, (double)rss / 1024, (double)live / 1024,
           (double)kernel / count, HEARTBEAT_S, share * 100);
    fflush(stdout);
    for (int i = 0; i < count; i++)
        close(fds[i]);
    free(fds);
    server_stop(&s);
}

/* As many servers, with a client process each, as the limit of descriptors makes it take. */
void bench_idle(const char *bin, int count)
{
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    int most = (int)files.rlim_cur - SPARE_FILES, parts = (count + most - 1) / most;
    fflush(stdout);
    for (int i = 0; i < parts; i++)
        if (fork() == 0) {
            idle_part(bin, count / parts);
            exit(0);
        }
    while (wait(NULL) > 0)
        ;
}
