/* The cache's writer against a Redis of our own: events applied a second, beside bare loops over one socket: one that
 * pipelines a SET of the same bytes for each event, and one that pipelines the commands that the writer's script runs
 * for each event, with the same bytes, and asks no questions. Rounds alternate, so that a machine that slows down slows
 * all. Loop thread. */
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

#define GUILDS   1000
#define EVENTS   100000 /* of a round */
#define ROUNDS   7      /* odd */
#define WINDOW   1024   /* under way at once, in both */
#define KINDS    4
#define CAP      100 /* messages of a channel */
#define TRIM     5
#define CHANNELS 3000 /* event i is of channel i modulo this */
#define ID_AT    7    /* {"id":" */

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
    unsigned sent, answered, failed, round;
    struct co *waiting;
    struct {
        uint64_t ids[CAP + TRIM];
        unsigned count;
    } * channels; /* of the bare loop */
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

static uint64_t message_id(unsigned i)
{
    return (300000000ull + (uint64_t)self.round * EVENTS + i) << 22;
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
            (unsigned long long)message_id(i), guild + 1 + i % 3, guild, 200, 1, user, user);
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

/* Each round has new messages. */
static void round_begin(void)
{
    char id[24];

    self.round++;
    for (unsigned i = 0; i < EVENTS; i++)
        if (self.events[i].kind == 0) {
            int n = snprintf(id, sizeof id, "%llu", (unsigned long long)message_id(i));
            memcpy((char *)self.events[i].data.p + ID_AT, id, (size_t)n);
        }
}

/* --- a bare socket --- */

/* How many whole answers are in the bytes; *ret_used: where they end. */
static unsigned answers(const char *p, size_t n, size_t *ret_used)
{
    unsigned count = 0;

    *ret_used = 0;
    for (size_t at = 0; at < n;) {
        const char *end = memchr(p + at, '\n', n - at);
        if (!end)
            break;
        long bulk = p[at] == '$' ? strtol(p + at + 1, NULL, 10) : -1;
        at = (size_t)(end - p) + 1 + (bulk >= 0 ? (size_t)bulk + 2 : 0);
        if (at > n)
            break;
        *ret_used = at;
        count++;
    }
    return count;
}

static void answers_read(int fd, unsigned want)
{
    static char in[1 << 20];
    size_t have = 0, used;

    while (want > 0) {
        ssize_t got = read(fd, in + have, sizeof in - have);
        if (got <= 0)
            exit(1);
        have += (size_t)got;
        want -= answers(in, have, &used);
        have -= used;
        memmove(in, in + used, have);
    }
}

static void word(struct buf *b, struct str s)
{
    buf_addc(b, '$');
    buf_add_u64(b, s.n);
    buf_add(b, "\r\n", 2);
    buf_add_str(b, s);
    buf_add(b, "\r\n", 2);
}

static unsigned command(struct buf *b, int count, const struct str *words)
{
    buf_addc(b, '*');
    buf_add_u64(b, (uint64_t)count);
    buf_add(b, "\r\n", 2);
    for (int i = 0; i < count; i++)
        word(b, words[i]);
    return 1;
}

static unsigned set_add(struct buf *b, unsigned i)
{
    char key[40];

    snprintf(key, sizeof key, "set:%u", i % 10000);
    return command(b, 3, (struct str[]){STR("SET"), str_c(key), self.events[i].data});
}

/* Five at a time, as the script. */
static unsigned trim_add(struct buf *b, unsigned channel, const char *messages, const char *order, uint64_t id)
{
    char old[TRIM][24], reactions[80];
    struct str words[2 + TRIM] = {STR("HDEL"), str_c(messages)};
    unsigned count = self.channels[channel].count++;
    bool trims = count >= CAP && count % TRIM == TRIM - 1;

    for (unsigned i = 0; trims && i < TRIM; i++) {
        snprintf(old[i], sizeof old[i], "%llu",
                 (unsigned long long)self.channels[channel].ids[(count + 1 + i) % (CAP + TRIM)]);
        words[2 + i] = str_c(old[i]);
    }
    self.channels[channel].ids[count % (CAP + TRIM)] = id;
    if (!trims)
        return 0;
    command(b, 4, (struct str[]){STR("LTRIM"), str_c(order), STR("5"), STR("-1")});
    command(b, 2 + TRIM, words);
    snprintf(reactions, sizeof reactions, "bare:{%u}:reactions:%u", channel % GUILDS, channel);
    words[1] = str_c(reactions);
    command(b, 2 + TRIM, words);
    return 3;
}

/* What the script does: the version, HSET, and of a message RPUSH and what goes beyond the cap. */
static unsigned commands_add(struct buf *b, unsigned i)
{
    char version[80], key[80], order[80], field[24];
    unsigned n = 0, channel = i % CHANNELS;
    uint64_t id = self.events[i].kind == 0 ? message_id(i) : i * 7 % 5000;

    snprintf(version, sizeof version, "bare:{%u}:version", i % GUILDS);
    snprintf(key, sizeof key, "bare:{%u}:%u:%u", i % GUILDS, self.events[i].kind, channel);
    snprintf(field, sizeof field, "%llu", (unsigned long long)id);
    n += command(b, 5,
                 (struct str[]){STR("SET"), str_c(version), STR("000000000000000100000000000000010000000000000001"),
                                STR("KEEPTTL"), STR("GET")});
    n += command(b, 4, (struct str[]){STR("HSET"), str_c(key), str_c(field), self.events[i].data});
    if (self.events[i].kind == 0) {
        snprintf(order, sizeof order, "bare:{%u}:order:%u", i % GUILDS, channel);
        n += command(b, 3, (struct str[]){STR("RPUSH"), str_c(order), str_c(field)});
        n += trim_add(b, channel, key, order, id);
    }
    return n;
}

struct round {
    double rate, redis_us; /* a second; processor time of Redis for each event */
};

static uint64_t began_ns, began_cpu_ns;

static void round_start(void)
{
    round_begin();
    began_cpu_ns = process_cpu_ns(self.redis_pid);
    began_ns = now_ns();
}

static struct round round_end(void)
{
    return (struct round){EVENTS / ((double)(now_ns() - began_ns) / 1e9),
                          (double)(process_cpu_ns(self.redis_pid) - began_cpu_ns) / 1e3 / EVENTS};
}

static struct round bare_round(int fd, unsigned (*add)(struct buf *b, unsigned i))
{
    struct buf b = {0};

    round_start();
    for (unsigned i = 0; i < EVENTS; i += WINDOW) {
        unsigned n = EVENTS - i < WINDOW ? EVENTS - i : WINDOW, want = 0;
        buf_clear(&b);
        for (unsigned k = i; k < i + n; k++)
            want += add(&b, k);
        net_write(fd, b.data, b.len);
        answers_read(fd, want);
    }
    buf_done(&b);
    return round_end();
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

static struct round writer_round(void)
{
    round_start();
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
    return round_end();
}

enum { SETS, COMMANDS, WRITER, KINDS_OF_ROUNDS };

static double of_rounds(struct round rounds[KINDS_OF_ROUNDS][ROUNDS], int kind, int beside, bool cpu)
{
    double values[ROUNDS];

    for (int i = 0; i < ROUNDS; i++) {
        values[i] = cpu ? rounds[kind][i].redis_us : rounds[kind][i].rate;
        if (beside >= 0)
            values[i] /= rounds[beside][i].rate;
    }
    return median(values, ROUNDS);
}

static void run(void *arg)
{
    struct round rounds[KINDS_OF_ROUNDS][ROUNDS];

    (void)arg;
    while (!redis_connected(self.redis))
        co_sleep(10);
    int fd = net_connect(self.redis_port);
    for (int i = -3; i < ROUNDS; i++) { /* some to warm up: until messages are as many as are kept */
        int at = i < 0 ? 0 : i;
        rounds[SETS][at] = bare_round(fd, set_add);
        rounds[COMMANDS][at] = bare_round(fd, commands_add);
        rounds[WRITER][at] = writer_round();
    }
    close(fd);
    printf(
        "cache guilds=%d bytes=%zu: %.0f events a second applied; %.2f of a bare loop of the same commands and bytes "
        "(%.0f), %.2f of one SET of the same bytes each (%.0f); processor time of Redis for each event %.1f, %.1f and "
        "%.1f us (medians of %d rounds); %u failed\n",
        GUILDS, self.bytes / EVENTS, of_rounds(rounds, WRITER, -1, false), of_rounds(rounds, WRITER, COMMANDS, false),
        of_rounds(rounds, COMMANDS, -1, false), of_rounds(rounds, WRITER, SETS, false),
        of_rounds(rounds, SETS, -1, false), of_rounds(rounds, WRITER, -1, true), of_rounds(rounds, COMMANDS, -1, true),
        of_rounds(rounds, SETS, -1, true), ROUNDS, self.failed);
    fflush(stdout);
    loop_stop();
}

void bench_cache(void)
{
    struct buf err = {0}, url = {0};

    redis_start();
    self.events = mem_zalloc(sizeof *self.events * EVENTS);
    self.channels = mem_zalloc(sizeof *self.channels * CHANNELS);
    for (unsigned i = 0; i < EVENTS; i++) {
        event_make(&self.events[i], i);
        self.bytes += self.events[i].data.n;
    }
    buf_addf(&url, "redis://127.0.0.1:%d", self.redis_port);
    loop_init();
    self.redis = redis_new(url.data, &err);
    self.at = (struct cache_place){.epoch = 1, .shard_count = 1};
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
    mem_free(self.channels);
    buf_done(&url);
    buf_done(&err);
    kill(self.redis_pid, SIGTERM);
    waitpid(self.redis_pid, NULL, 0);
}
