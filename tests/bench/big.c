/* A bot in very many guilds, and a guild of very many members: what identifying and asking for everyone cost, and how
 * long another session's heartbeats wait meanwhile. Single-threaded, epoll and poll. */
#include "tests/bench/bench.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHARDS_MAX 64
#define IN_BYTES   (4u << 20)
#define PROBE_NS   5000000 /* between two heartbeats of the probe */
#define GIVE_UP_NS 300000000000u

struct reader {
    int fd;
    char *in;
    size_t len;
    uint64_t bytes;
    unsigned ready, resumed, guilds, chunks, acks, messages;
    unsigned long seq;
    char session_id[64];
};

static void die(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static bool begins(const char *p, size_t n, const char *what)
{
    return memmem(p, n < 64 ? n : 64, what, strlen(what)) != NULL;
}

static void ready_take(struct reader *r, const char *p, size_t n)
{
    const char *id = memmem(p, n, "\"session_id\":\"", 14);
    r->ready++;
    if (id)
        sscanf(id + 14, "%63[^\"]", r->session_id);
}

static void frame_take(struct reader *r, const char *p, size_t n)
{
    if (n > 5 && memcmp(p, "{\"s\":", 5) == 0 && p[5] != 'n')
        r->seq = strtoul(p + 5, NULL, 10);
    if (begins(p, n, "\"t\":\"GUILD_CREATE\""))
        r->guilds++;
    else if (begins(p, n, "\"t\":\"GUILD_MEMBERS_CHUNK\""))
        r->chunks++;
    else if (begins(p, n, "\"t\":\"MESSAGE_CREATE\""))
        r->messages++;
    else if (begins(p, n, "\"t\":\"READY\""))
        ready_take(r, p, n);
    else if (begins(p, n, "\"t\":\"RESUMED\""))
        r->resumed++;
    else if (begins(p, n, "\"op\":11"))
        r->acks++;
    else if (begins(p, n, "\"op\":9"))
        die("the session is invalid");
}

/* All that has come. */
static void reader_read(struct reader *r)
{
    ssize_t k = recv(r->fd, r->in + r->len, IN_BYTES - r->len, MSG_DONTWAIT);
    if (k < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (k <= 0)
        die("the gateway closed a session");
    r->len += (size_t)k;
    r->bytes += (size_t)k;
    size_t at = 0, head;
    for (;;) {
        const unsigned char *h = (const unsigned char *)r->in + at;
        size_t n = ws_frame_length(h, r->len - at, &head);
        if (!n || r->len - at < head + n)
            break;
        if ((h[0] & 15) == 8) {
            fprintf(stderr, "bench: close code %d after %u chunks\n", n > 1 ? h[head] << 8 | h[head + 1] : 0,
                    r->chunks);
            die("the gateway closed a session");
        }
        frame_take(r, (const char *)h + head, n);
        at += head + n;
    }
    memmove(r->in, r->in + at, r->len - at);
    r->len -= at;
}

/* GUILDS, GUILD_MESSAGES, MESSAGE_CONTENT; with members also GUILD_MEMBERS. */
#define INTENTS      33281u
#define WITH_MEMBERS 2u

static void identify(struct reader *r, int port, const char *token, unsigned intents, unsigned shard, unsigned shards)
{
    *r = (struct reader){.fd = gateway_identify(port, token, intents, shard, shards), .in = malloc(IN_BYTES)};
}

static void close_all(struct reader *readers, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        close(readers[i].fd);
        free(readers[i].in);
    }
}

static long resident_kb(int pid)
{
    struct server s = {.pid = pid};
    return server_resident_kb(&s);
}

void bench_guilds(const struct server *s, const struct cpu_group *groups, unsigned group_count, unsigned shards,
                  unsigned guilds)
{
    static struct reader readers[SHARDS_MAX];
    struct pollfd fds[SHARDS_MAX];
    uint64_t before[CPU_GROUPS_MAX], after[CPU_GROUPS_MAX], machine, machine_after, bytes = 0;
    unsigned gateway = 0, got = 0;
    for (unsigned g = 0; g < group_count; g++)
        if (strcmp(groups[g].name, "gateway") == 0)
            gateway = g;
    long resident = resident_kb(groups[gateway].pid);
    cpu_read(groups, group_count, before, &machine);
    uint64_t begun = now_ns();
    for (unsigned i = 0; i < shards; i++) {
        identify(&readers[i], s->gateway_port, s->bot_token, INTENTS, i, shards);
        fds[i] = (struct pollfd){.fd = readers[i].fd, .events = POLLIN};
    }
    for (uint64_t last = begun; got < guilds && now_ns() - last < GIVE_UP_NS;) {
        if (poll(fds, shards, 1000) > 0)
            last = now_ns();
        got = 0;
        for (unsigned i = 0; i < shards; i++) {
            if (fds[i].revents)
                reader_read(&readers[i]);
            got += readers[i].guilds;
        }
    }
    double seconds = (double)(now_ns() - begun) / 1e9;
    cpu_read(groups, group_count, after, &machine_after);
    for (unsigned i = 0; i < shards; i++)
        bytes += readers[i].bytes;
    printf("guilds: %u of %u GUILD_CREATEs on %u shards in %.1f s (%.0f a second), %.0f MB; gateway %.0f MB resident "
           "more, "
           "%.1f KB a guild\n",
           got, guilds, shards, seconds, got / seconds, (double)bytes / 1e6,
           (double)(resident_kb(groups[gateway].pid) - resident) / 1024,
           (double)(resident_kb(groups[gateway].pid) - resident) / (got ? got : 1));
    cpu_print(groups, group_count, before, after, machine_after - machine, (uint64_t)(seconds * 1e6), got ? got : 1);
    close_all(readers, shards);
    if (got < guilds)
        exit(1);
}

/* --- a large guild --- */

struct probe {
    struct reader reader;
    uint64_t sent_ns;
    unsigned asked;
    uint32_t *us;
    unsigned count, cap;
};

static void probe_step(struct probe *p)
{
    uint64_t now = now_ns();
    if (p->asked > p->reader.acks || now - p->sent_ns < PROBE_NS)
        return;
    ws_send_text(p->reader.fd, "{\"op\":1,\"d\":null}");
    p->sent_ns = now;
    p->asked++;
}

static void probe_read(struct probe *p)
{
    unsigned before = p->reader.acks;
    reader_read(&p->reader);
    if (p->reader.acks == before)
        return;
    if (p->count == p->cap)
        p->us = realloc(p->us, sizeof *p->us * (p->cap = p->cap ? p->cap * 2 : 1024));
    p->us[p->count++] = (uint32_t)((now_ns() - p->sent_ns) / 1000);
}

/* How long a process's main thread was ready to run and did not. */
static double waited_ms(int pid)
{
    char path[64];
    unsigned long long ran = 0, waited = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    FILE *f = fopen(path, "re");
    if (f) {
        if (fscanf(f, "%llu %llu", &ran, &waited) != 2)
            waited = 0;
        fclose(f);
    }
    return (double)waited / 1e6;
}

struct phase {
    struct probe *probe;
    struct reader *bot;
    int http, gateway_pid;
    const struct server *server;
    uint64_t post_ns;
    bool posting;
    uint64_t heartbeat_ns; /* of the bot */
    uint64_t begun_ns;
    double waited_ms;
};

static void bot_heartbeat(struct phase *p)
{
    if (!p->bot || now_ns() - p->heartbeat_ns < 20000000000u)
        return;
    p->heartbeat_ns = now_ns();
    ws_send_text(p->bot->fd, "{\"op\":1,\"d\":null}");
}

/* 20 messages a second into the large guild while it runs; an answer is read when it is there. */
static void phase_post(struct phase *p, bool answered)
{
    static char answer[1 << 16];
    char path[128];
    if (answered) {
        if (http_receive(p->http, answer, sizeof answer) != 200)
            die("a message was refused");
        p->posting = false;
    }
    if (p->http < 0 || p->posting || now_ns() - p->post_ns < 50000000u)
        return;
    snprintf(path, sizeof path, "/api/v10/channels/%s/messages", p->server->channel);
    p->post_ns = now_ns();
    p->posting = true;
    http_send(p->http, "POST", path, p->server->user_token, "{\"content\":\"to everybody\"}");
}

/* Until the counter is there, or so long. */
static void phase_go(struct phase *p, const unsigned *counter, unsigned until, uint64_t most_ns)
{
    uint64_t begun = now_ns();
    while ((!counter || *counter < until) && now_ns() - begun < most_ns) {
        struct pollfd fds[] = {{.fd = p->probe->reader.fd, .events = POLLIN},
                               {.fd = p->bot ? p->bot->fd : -1, .events = POLLIN},
                               {.fd = p->http, .events = POLLIN}};
        probe_step(p->probe);
        bot_heartbeat(p);
        poll(fds, 3, 1);
        phase_post(p, fds[2].revents);
        if (fds[0].revents)
            probe_read(p->probe);
        if (fds[1].revents)
            reader_read(p->bot);
    }
}

static void phase_begin(struct phase *p)
{
    p->waited_ms = waited_ms(p->gateway_pid);
    p->begun_ns = now_ns();
    p->probe->count = 0;
}

static void phase_print(const struct phase *p, const char *name, bool finished)
{
    struct probe *b = p->probe;
    times_sort(b->us, b->count);
    printf("  %s: %.2f s, another session's heartbeat answered after p50 %.2f, p99 %.1f, max %.1f ms (%u; the gateway "
           "waited %.0f ms "
           "for a core)%s\n",
           name, (double)(now_ns() - p->begun_ns) / 1e9, b->count ? b->us[b->count / 2] / 1e3 : 0,
           b->count ? b->us[b->count * 99 / 100] / 1e3 : 0, b->count ? b->us[b->count - 1] / 1e3 : 0, b->count,
           waited_ms(p->gateway_pid) - p->waited_ms, finished ? "" : " NOT FINISHED");
    fflush(stdout);
}

static void phase_run(struct phase *p, const char *name, const unsigned *counter, unsigned until, uint64_t most_ns)
{
    phase_begin(p);
    phase_go(p, counter, until, most_ns);
    phase_print(p, name, !counter || *counter >= until);
}

void bench_members(const struct server *s, int gateway_pid, const char *guild, unsigned members)
{
    static struct reader bot;
    static struct probe probe;
    struct phase p = {.probe = &probe, .gateway_pid = gateway_pid, .http = -1, .server = s};
    char request[160];
    printf("a guild of %u members:\n", members);
    identify(&probe.reader, s->gateway_port, s->probe_token, INTENTS, 0, 1);
    phase_run(&p, "nothing else", NULL, 0, 2000000000u);
    identify(&bot, s->gateway_port, s->bot_token, INTENTS | WITH_MEMBERS, 0, 1);
    p.bot = &bot;
    phase_run(&p, "a bot identifies, the guild is loaded", &bot.guilds, 1, 60000000000u);
    p.http = net_connect(s->port);
    phase_run(&p, "messages", NULL, 0, 2000000000u);
    snprintf(request, sizeof request, "{\"op\":8,\"d\":{\"guild_id\":\"%s\",\"query\":\"\",\"limit\":0}}", guild);
    ws_send_text(bot.fd, request);
    phase_run(&p, "all members asked for (op 8), and messages", &bot.chunks, (members + 999) / 1000, 120000000000u);
    snprintf(request, sizeof request, "{\"op\":8,\"d\":{\"guild_id\":\"%s\",\"query\":\"member77\",\"limit\":100}}",
             guild);
    ws_send_text(bot.fd, request);
    phase_run(&p, "members searched by name, and messages", &bot.chunks, (members + 999) / 1000 + 1, 60000000000u);
    printf("  %u chunks, %u messages, %.0f MB\n", bot.chunks, bot.messages, (double)bot.bytes / 1e6);
}

/* --- a session of many guilds that comes to another node --- */

static unsigned topics_of(int port)
{
    static char page[1 << 20];
    int fd = net_connect(port);
    if (http_request(fd, "GET", "/metrics", NULL, NULL, page, sizeof page) != 200)
        die("no metrics");
    close(fd);
    const char *line = strstr(page, "\nguildhall_gateway_topics ");
    return line ? (unsigned)strtoul(line + 26, NULL, 10) : 0;
}

static void read_until(struct reader *r, const unsigned *counter, unsigned count)
{
    uint64_t begun = now_ns();
    while (*counter < count && now_ns() - begun < GIVE_UP_NS) {
        struct pollfd fd = {.fd = r->fd, .events = POLLIN};
        if (poll(&fd, 1, 1000) > 0)
            reader_read(r);
    }
    if (*counter < count)
        die("not everything came");
}

void bench_adopt(const struct server *s, int other_port, int other_pid, unsigned guilds)
{
    static struct reader bot;
    static struct probe probe;
    struct phase p = {.probe = &probe, .gateway_pid = other_pid, .http = -1, .server = s};
    char text[512];
    identify(&bot, s->gateway_port, s->bot_token, INTENTS, 0, 1);
    read_until(&bot, &bot.guilds, guilds);
    identify(&probe.reader, other_port, s->probe_token, INTENTS, 0, 1);
    phase_run(&p, "nothing else", NULL, 0, 2000000000u);
    sleep(3); /* its record is in kv */
    unsigned topics = topics_of(other_port);
    close(bot.fd);
    bot.fd = net_connect(other_port);
    bot.len = 0;
    ws_upgrade(bot.fd, "/gateway?v=10&encoding=json");
    snprintf(text, sizeof text, "{\"op\":6,\"d\":{\"token\":\"%s\",\"session_id\":\"%s\",\"seq\":%lu}}", s->bot_token,
             bot.session_id, bot.seq);
    uint64_t begun = now_ns();
    ws_send_text(bot.fd, text);
    p.bot = &bot;
    p.heartbeat_ns = begun;
    phase_run(&p, "RESUME on the other node, until RESUMED", &bot.resumed, 1, 30000000000u);
    double resumed = (double)(now_ns() - begun) / 1e9;
    unsigned there = 0;
    phase_begin(&p);
    while ((there = topics_of(other_port) - topics) < guilds && now_ns() - begun < GIVE_UP_NS)
        phase_go(&p, NULL, 0, 100000000u);
    phase_print(&p, "its guilds are loaded", there >= guilds);
    printf("adopted: a session of %u guilds RESUMED after %.2f s, all %u guilds followed after %.1f s\n", guilds,
           resumed, there, (double)(now_ns() - begun) / 1e9);
    if (there < guilds)
        exit(1);
}
