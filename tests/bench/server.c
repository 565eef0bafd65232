/* A `guildhall dev` in memory, without limits, seeded with one guild. */
#include "tests/bench/bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL "100000000000000031"

static const char seed[] =
    "{\"users\":[{\"username\":\"alice\",\"password\":\"correct horse battery\",\"email\":\"alice@example.test\"}],"
    "\"bots\":[{\"username\":\"benchbot\",\"owner\":\"alice\",\"intents\":[\"MESSAGE_CONTENT\"]}],"
    "\"guilds\":[{\"name\":\"Bench\",\"owner\":\"alice\",\"bots\":[{\"username\":\"benchbot\",\"permissions\":\"8\"}],"
    "\"channels\":[{\"id\":\"" CHANNEL "\",\"name\":\"general\",\"type\":0}]}]}";

static uint64_t thread_cpu_ns(int pid, const char *thread)
{
    char path[300];
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, thread);
    FILE *f = fopen(path, "re");
    if (f) {
        if (fscanf(f, "%llu", &ns) != 1)
            ns = 0;
        fclose(f);
    }
    return ns;
}

uint64_t process_cpu_ns(int pid)
{
    char path[64];
    uint64_t ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            ns += thread_cpu_ns(pid, e->d_name);
    if (d)
        closedir(d);
    return ns;
}

long server_resident_kb(const struct server *s)
{
    char path[64], line[256];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", s->pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmRSS:", 6) == 0)
            kb = atol(line + 6);
    if (f)
        fclose(f);
    return kb;
}

static void seed_file(char path[64])
{
    snprintf(path, 64, "/tmp/guildhall-bench-%d.json", getpid());
    FILE *f = fopen(path, "we");
    if (!f || fputs(seed, f) < 0 || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static void token_after(const char *line, const char *name, char *out, size_t cap)
{
    const char *at = strstr(line, name);
    at = at ? strstr(at, "\"token\":\"") : NULL;
    if (!at) {
        fprintf(stderr, "bench: no token for %s in %s\n", name, line);
        exit(1);
    }
    at += strlen("\"token\":\"");
    snprintf(out, cap, "%.*s", (int)strcspn(at, "\""), at);
}

void server_start(struct server *s, const char *bin)
{
    char path[64], line[4096] = "";
    int out[2];
    seed_file(path);
    if (pipe2(out, O_CLOEXEC) < 0) {
        perror("pipe");
        exit(1);
    }
    uint64_t begun = now_ns();
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* not left behind when the benchmark fails */
        dup2(out[1], 1);
        execl(bin, bin, "dev", "--port", "0", "--memory", "--limits", "off", "--log-level", "warn", "--seed", path,
              "--heartbeat-interval-ms", "600000", (char *)NULL);
        perror(bin);
        _exit(127);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    if (!f || !fgets(line, sizeof line, f)) {
        fprintf(stderr, "bench: %s dev did not get ready\n", bin);
        exit(1);
    }
    s->start_ms = (double)(now_ns() - begun) / 1e6;
    fclose(f);
    unlink(path);
    const char *url = strstr(line, "\"api_url\":\"http://127.0.0.1:");
    s->port = url ? atoi(url + strlen("\"api_url\":\"http://127.0.0.1:")) : 0;
    s->gateway_port = s->port;
    snprintf(s->channel, sizeof s->channel, CHANNEL);
    token_after(line, "\"username\":\"alice\"", s->user_token, sizeof s->user_token);
    token_after(line, "\"username\":\"benchbot\"", s->bot_token, sizeof s->bot_token);
}

void server_stop(struct server *s)
{
    if (!s->pid)
        return;
    kill(s->pid, SIGTERM);
    waitpid(s->pid, NULL, 0);
}
