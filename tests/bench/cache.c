/* The cache's writer against a Redis of our own: events applied a second, beside a bare loop that pipelines SETs of the
 * same bytes over one socket. Rounds alternate, so that a machine that slows down slows both. Loop thread. */
#include "cache/writer.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include "platform/protocol/intents.h"
#include "tests/bench/bench.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUILDS 1000
#define EVENTS 100000 /* of a round */
#define ROUNDS 7      /* odd */
#define WINDOW 1024   /* under way at once, in both */
#define ANSWER 5      /* "+OK\r\n" */
#define KINDS  4

static const char *const types[KINDS] = {"MESSAGE_CREATE", "PRESENCE_UPDATE", "GUILD_MEMBER_UPDATE",
                                         "VOICE_STATE_UPDATE"};

struct event {
    unsigned kind;
    struct str data;
};

static struct {
    int redis_pid, redis_port;
    struct event *events;
    size_t bytes;
    struct redis *redis;
    struct cache_writer *writer;
    struct cache_place at;
    unsigned sent, answered, failed;
    struct co *waiting;
} self;

static void redis_start(void)
{
    char port[16];
    int fd = net_listen(&self.redis_port);

    close(fd);
    snprintf(port, sizeof port, "%d", self.redis_port);
    self.redis_pid = fork();
    if (self.redis_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!freopen("/dev/null", "w", stdout))
            _exit(1);
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp",
               NULL);
        _exit(127);
    }
}

/* Of ten events six are messages of about 750 bytes, two presences, one a member, one a voice state. */
static void event_make(struct event *e, unsigned i)
{
    static const unsigned mix[10] = {0, 0, 0, 0, 0, 0, 1, 1, 2, 3};
    struct buf b = {0};
    unsigned long long guild = (100000000ull + i % GUILDS) << 22, user = (200000000ull + i * 7 % 5000) << 22;

    e->kind = mix[i % 10];
    if (e->kind == 0)
        buf_addf(
            &b,
            "{\"id\":\"%llu\",\"channel_id\":\"%llu\",\"guild_id\":\"%llu\",\"type\":0,\"content\":\"%0*d\",\"tts\":"
            "false,"
            "\"timestamp\":\"2025-01-01T00:00:00.000000+00:00\",\"edited_timestamp\":null,\"mention_everyone\":false,"
            "\"mentions\":[],\"mention_roles\":[],\"attachments\":[],\"embeds\":[],\"pinned\":false,\"flags\":0,"
            "\"components\":[],\"author\":{\"id\":\"%llu\",\"username\":\"user%llu\",\"global_name\":null,"
            "\"avatar\":null,\"discriminator\":\"0\",\"bot\":false},\"member\":{\"roles\":[],\"joined_at\":"
            "\"2024-01-01T00:00:00.000000+00:00\",\"nick\":null,\"deaf\":false,\"mute\":false}}",
            (300000000ull + i) << 22, guild + 1 + i % 3, guild, 200, 1, user, user);
    else if (e->kind == 1)
        buf_addf(&b,
                 "{\"guild_id\":\"%llu\",\"user\":{\"id\":\"%llu\"},\"status\":\"online\",\"activities\":[{\"name\":"
                 "\"Chess\","
                 "\"type\":0,\"created_at\":%u}],\"client_status\":{\"desktop\":\"online\"}}",
                 guild, user, i);
    else if (e->kind == 2)
        buf_addf(&b,
                 "{\"guild_id\":\"%llu\",\"user\":{\"id\":\"%llu\",\"username\":\"user%llu\",\"global_name\":null,"
                 "\"avatar\":"
                 "null,\"discriminator\":\"0\"},\"roles\":[\"%llu\"],\"nick\":\"n%u\",\"joined_at\":"
                 "\"2024-01-01T00:00:00.000000+00:00\",\"deaf\":false,\"mute\":false}",
                 guild, user, user, guild, i);
    else
        buf_addf(
            &b,
            "{\"guild_id\":\"%llu\",\"channel_id\":\"%llu\",\"user_id\":\"%llu\",\"session_id\":\"%u\",\"deaf\":false,"
            "\"mute\":false,\"self_deaf\":false,\"self_mute\":true}",
            guild, guild + 5, user, i);
    e->data.p = buf_steal(&b, &e->data.n);
}

/* --- SETs over a bare socket --- */

static double bare_round(int fd)
{
    struct buf b = {0};
    static char in[WINDOW * ANSWER];
    uint64_t from = now_ns();

    for (unsigned i = 0; i < EVENTS; i += WINDOW) {
        unsigned n = EVENTS - i < WINDOW ? EVENTS - i : WINDOW;
        buf_clear(&b);
        for (unsigned k = i; k < i + n; k++) {
            char key[40];
            int length = snprintf(key, sizeof key, "set:%u", k % 10000);
            buf_addf(&b, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%zu\r\n", length, key, self.events[k].data.n);
            buf_add_str(&b, self.events[k].data);
            buf_add(&b, "\r\n", 2);
        }
        net_write(fd, b.data, b.len);
        for (size_t want = (size_t)n * ANSWER; want > 0;) {
            ssize_t got = read(fd, in, want < sizeof in ? want : sizeof in);
            if (got <= 0)
                exit(1);
            want -= (size_t)got;
        }
    }
    buf_done(&b);
    return EVENTS / ((double)(now_ns() - from) / 1e9);
}

/* --- the writer --- */

static void on_written(enum cache_result r, void *arg)
{
    (void)arg;
    self.failed += r != CACHE_DONE;
    self.answered++;
    if (self.waiting && (self.sent - self.answered <= WINDOW / 2 || self.answered == self.sent)) {
        struct co *co = self.waiting;
        self.waiting = NULL;
        co_resume(co);
    }
}

static void wait_below(unsigned under_way)
{
    while (self.sent - self.answered > under_way) {
        self.waiting = co_self();
        co_suspend();
    }
}

static double writer_round(void)
{
    uint64_t from = now_ns();

    self.sent = self.answered = 0;
    self.at.generation++; /* a new session: the same events count again */
    for (unsigned i = 0; i < EVENTS; i++) {
        const struct event *e = &self.events[i];
        self.at.seq = i + 1;
        self.sent++;
        if (!cache_write(self.writer, str_c(types[e->kind]), e->data, &self.at, on_written, NULL))
            self.sent--;
        if (self.sent - self.answered >= WINDOW)
            wait_below(WINDOW / 2);
    }
    wait_below(0);
    return EVENTS / ((double)(now_ns() - from) / 1e9);
}

static void run(void *arg)
{
    double bare[ROUNDS], written[ROUNDS], ratio[ROUNDS];

    (void)arg;
    while (!redis_connected(self.redis))
        co_sleep(10);
    int fd = net_connect(self.redis_port);
    (void)bare_round(fd); /* both warm */
    (void)writer_round();
    for (int i = 0; i < ROUNDS; i++) {
        bare[i] = bare_round(fd);
        written[i] = writer_round();
        ratio[i] = written[i] / bare[i];
    }
    close(fd);
    printf(
        "cache guilds=%d bytes=%zu: %.0f events a second applied, %.0f SETs a second of the same bytes in a bare loop: "
        "%.2f of it (median of %d rounds); %u failed\n",
        GUILDS, self.bytes / EVENTS, median(written, ROUNDS), median(bare, ROUNDS), median(ratio, ROUNDS), ROUNDS,
        self.failed);
    fflush(stdout);
    loop_stop();
}

void bench_cache(void)
{
    struct buf err = {0}, url = {0};

    redis_start();
    self.events = mem_zalloc(sizeof *self.events * EVENTS);
    for (unsigned i = 0; i < EVENTS; i++) {
        event_make(&self.events[i], i);
        self.bytes += self.events[i].data.n;
    }
    buf_addf(&url, "redis://127.0.0.1:%d", self.redis_port);
    loop_init();
    self.redis = redis_new(url.data, &err);
    self.at = (struct cache_place){1, 0, 0};
    self.writer =
        cache_writer_new(&(struct cache_writer_options){.redis = self.redis, .application = 1, .intents = INTENTS_ALL});
    (void)co_spawn(run, NULL);
    loop_run();
    cache_writer_free(self.writer);
    redis_free(self.redis);
    loop_done();
    for (unsigned i = 0; i < EVENTS; i++)
        mem_free((char *)self.events[i].data.p);
    mem_free(self.events);
    buf_done(&url);
    buf_done(&err);
    kill(self.redis_pid, SIGTERM);
    waitpid(self.redis_pid, NULL, 0);
}
