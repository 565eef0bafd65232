/* guildhall-bench [--bin PATH] [start|post|fanout [SESSIONS]]...: all of them by default, on `guildhall dev`.
 * guildhall-bench idle [COUNT]: what an idle connection costs.
 * guildhall-bench cache: events a second that the bot side's cache takes, beside a bare loop of SETs.
 * guildhall-bench shard: a shard process's events a second and memory, beside publishing alone; needs Redis and
 * RabbitMQ. guildhall-bench encodings [SESSIONS]: what each encoding and compression costs. guildhall-bench stack
 * API_PORT GATEWAY_PORT USER_TOKEN BOT_TOKEN CHANNEL [NAME=PID | RATE[:SECONDS] | max | highest]...: on a stack that
 * runs with limits off: POST to socket at each RATE (open loop), as fast as it goes (max), and the highest rate that it
 * sustains; with the processor time of each named process tree. tests/bench/big uses it for `guilds SHARDS COUNT`,
 * `members PROBE_TOKEN GATEWAY_PID GUILD COUNT` and `adopt PROBE_TOKEN OTHER_GATEWAY_PORT OTHER_GATEWAY_PID COUNT`. */
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define STARTS   11
#define SESSIONS 1000
#define IDLE     50000

void bench_start(const char *bin)
{
    double ms[STARTS];
    long kb = 0;
    for (int i = 0; i < STARTS; i++) {
        struct server s;
        server_start(&s, bin);
        ms[i] = s.start_ms;
        if (i == STARTS - 1) {
            sleep(1);
            kb = server_resident_kb(&s);
        }
        server_stop(&s);
    }
    double middle = median(ms, STARTS); /* which sorts them */
    printf("start runs=%d: ready after %.0f ms (median; slowest %.0f), %.1f MB resident when idle\n", STARTS, middle,
           ms[STARTS - 1], (double)kb / 1024);
    fflush(stdout);
}

#define SECONDS 8

static void stack_runs(const struct server *s, int argc, char **argv)
{
    struct cpu_group groups[CPU_GROUPS_MAX] = {{"load", getpid()}};
    unsigned count = 1;
    for (int i = 0; i < argc; i++) {
        char *pid = strchr(argv[i], '=');
        if (pid && count < CPU_GROUPS_MAX) {
            *pid = '\0';
            groups[count++] = (struct cpu_group){argv[i], atoi(pid + 1)};
        } else if (strcmp(argv[i], "guilds") == 0 && i + 2 < argc) {
            bench_guilds(s, groups, count, (unsigned)atoi(argv[i + 1]), (unsigned)atoi(argv[i + 2]));
            i += 2;
        } else if (strcmp(argv[i], "members") == 0 && i + 4 < argc) {
            struct server with_probe = *s;
            snprintf(with_probe.probe_token, sizeof with_probe.probe_token, "%s", argv[i + 1]);
            bench_members(&with_probe, atoi(argv[i + 2]), argv[i + 3], (unsigned)atoi(argv[i + 4]));
            i += 4;
        } else if (strcmp(argv[i], "adopt") == 0 && i + 4 < argc) {
            struct server with_probe = *s;
            snprintf(with_probe.probe_token, sizeof with_probe.probe_token, "%s", argv[i + 1]);
            bench_adopt(&with_probe, atoi(argv[i + 2]), atoi(argv[i + 3]), (unsigned)atoi(argv[i + 4]));
            i += 4;
        } else if (strcmp(argv[i], "highest") == 0) {
            bench_highest(s);
        } else {
            const char *seconds = strchr(argv[i], ':');
            bench_load(s, groups, count, strcmp(argv[i], "max") == 0 ? 0 : atof(argv[i]),
                       seconds ? atof(seconds + 1) : SECONDS);
        }
    }
}

int main(int argc, char **argv)
{
    const char *bin = "build/release/guildhall";
    bool any = false;
    struct rlimit files = {65536, 65536};
    if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max; /* as far as it goes */
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (argc >= 7 && strcmp(argv[1], "stack") == 0) {
        struct server stack = {.port = atoi(argv[2]), .gateway_port = atoi(argv[3])};
        snprintf(stack.user_token, sizeof stack.user_token, "%s", argv[4]);
        snprintf(stack.bot_token, sizeof stack.bot_token, "%s", argv[5]);
        snprintf(stack.channel, sizeof stack.channel, "%s", argv[6]);
        stack_runs(&stack, argc - 7, argv + 7);
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bin") == 0 && i + 1 < argc) {
            bin = argv[++i];
            continue;
        }
        any = true;
        if (strcmp(argv[i], "start") == 0) {
            bench_start(bin);
        } else if (strcmp(argv[i], "post") == 0) {
            bench_post(bin, NULL);
        } else if (strcmp(argv[i], "fanout") == 0) {
            bench_fanout(bin, i + 1 < argc && atoi(argv[i + 1]) ? atoi(argv[++i]) : SESSIONS);
        } else if (strcmp(argv[i], "shard") == 0) {
            bench_shard(bin);
        } else if (strcmp(argv[i], "idle") == 0) {
            bench_idle(bin, i + 1 < argc && atoi(argv[i + 1]) ? atoi(argv[++i]) : IDLE);
        } else if (strcmp(argv[i], "encodings") == 0) {
            bench_encodings(i + 1 < argc && atoi(argv[i + 1]) ? atoi(argv[++i]) : SESSIONS);
        } else if (strcmp(argv[i], "cache") == 0) {
            bench_cache();
        } else {
            fprintf(stderr, "usage: guildhall-bench [--bin PATH] [start|post|fanout [SESSIONS]|encodings "
                            "[SESSIONS]|idle [COUNT]|cache]...\n");
            return 2;
        }
    }
    if (!any) {
        bench_start(bin);
        bench_post(bin, NULL);
        bench_fanout(bin, SESSIONS);
    }
    return 0;
}
