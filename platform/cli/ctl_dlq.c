/* `guildhall ctl dlq`: dead letters of a worker group, or of commands. All of them are taken from the queue without
 * being acknowledged; what is not replayed or dropped goes back to its place when the connection ends. Coroutine;
 * LIMIT_AMQP_PREFETCH letters at a time. */
#include "cache/broker.h"
#include "platform/base/arena.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/list.h"
#include "platform/base/mem.h"
#include "platform/base/settings.h"
#include "platform/cli/ctl.h"
#include "platform/io/amqp.h"
#include "platform/io/co.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LIST_DEFAULT 50
#define PATIENCE_MS  10000
#define TICK_MS      20
#define NAME_BYTES   160

struct letter {
    struct list link;
    struct arena arena;
    uint64_t tag, epoch;
    struct str id, key, type, body, why, guild, session;
    int64_t shard, shards, seq;
};

static struct {
    const char *group;
    uint64_t application;
    char queue[NAME_BYTES];
    struct amqp_consumer *consumer;
    struct amqp_publisher *publisher;
    struct list letters;
    unsigned count;
    int64_t expected; /* -1: not known yet */
    int64_t came_ms;
} self;

static struct str keep(struct letter *l, struct str s)
{
    return s.p ? arena_str(&l->arena, s) : STR("");
}

static void on_delivery(const struct amqp_delivery *d, void *arg)
{
    struct letter *l = MEM_NEW(struct letter);
    struct str why = amqp_delivery_header(d, "reason");

    (void)arg;
    l->tag = d->tag;
    l->epoch = d->epoch;
    l->id = keep(l, d->message_id);
    l->key = keep(l, d->routing_key);
    l->type = keep(l, d->type);
    l->body = keep(l, d->body);
    l->why = keep(l, why.p ? why : amqp_delivery_header(d, "x-first-death-reason"));
    l->guild = keep(l, amqp_delivery_header(d, BROKER_HEADER_GUILD));
    l->session = keep(l, amqp_delivery_header(d, BROKER_HEADER_SESSION));
    (void)amqp_delivery_header_int(d, BROKER_HEADER_SHARD, &l->shard);
    (void)amqp_delivery_header_int(d, BROKER_HEADER_SHARDS, &l->shards);
    (void)amqp_delivery_header_int(d, BROKER_HEADER_SEQ, &l->seq);
    list_append(&self.letters, &l->link);
    self.count++;
    self.came_ms = clock_mono_ms();
}

static void on_depth(const uint32_t *messages, void *arg)
{
    (void)arg;
    if (self.expected < 0)
        self.expected = messages[0];
}

/* How many there are, before any is taken. */
static int letters_count(struct buf *err)
{
    static const char *queues[1];
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;

    queues[0] = self.queue;
    self.expected = -1;
    struct amqp_depth *depth =
        amqp_depth_new(setting_str(SETTING_amqp_url), NULL, 0, queues, 1, PATIENCE_MS, on_depth, NULL, err);
    if (!depth)
        return -EINVAL;
    while (self.expected < 0 && clock_mono_ms() < end_ms)
        co_sleep(TICK_MS);
    amqp_depth_free(depth);
    if (self.expected < 0)
        buf_addf(err, "RabbitMQ does not answer, or has no queue %s", self.queue);
    if (self.expected > LIMIT_AMQP_PREFETCH)
        self.expected = LIMIT_AMQP_PREFETCH;
    return self.expected < 0 ? -EHOSTDOWN : 0;
}

static int letters_take(struct buf *err)
{
    if (self.expected == 0)
        return 0;
    self.consumer =
        amqp_consumer_new(setting_str(SETTING_amqp_url), NULL, 0, LIMIT_AMQP_PREFETCH, on_delivery, NULL, err);
    if (!self.consumer)
        return -EINVAL;
    amqp_consumer_add(self.consumer, self.queue);
    self.came_ms = clock_mono_ms();
    while (self.count < self.expected && clock_mono_ms() - self.came_ms < PATIENCE_MS)
        co_sleep(TICK_MS);
    return 0;
}

static void letter_free(struct letter *l)
{
    list_remove(&l->link);
    arena_done(&l->arena);
    mem_free(l);
}

static bool is_commands(void)
{
    return strcmp(self.group, BROKER_COMMANDS_GROUP) == 0;
}

/* --- list --- */

static struct str event_of(const struct letter *l)
{
    const char *first = l->key.n ? memchr(l->key.p, '.', l->key.n) : NULL,
               *last = l->key.n ? memrchr(l->key.p, '.', l->key.n) : NULL;

    return first && last > first ? (struct str){first + 1, (size_t)(last - first - 1)} : l->type;
}

static int list(int64_t most)
{
    LIST_FOREACH(it, &self.letters)
    {
        const struct letter *l = LIST_ENTRY(it, struct letter, link);

        if (most-- <= 0)
            break;
        if (is_commands())
            printf("%.*s shard=%lld why=\"%.*s\" %.*s\n", l->id.n ? (int)l->id.n : 1, l->id.n ? l->id.p : "-",
                   (long long)l->shard, STR_ARG(l->why), l->body.n > 200 ? 200 : (int)l->body.n, l->body.p);
        else
            printf("%.*s event=%.*s guild=%.*s why=%.*s bytes=%zu\n", STR_ARG(l->id), STR_ARG(event_of(l)),
                   STR_ARG(l->guild), STR_ARG(l->why), l->body.n);
    }
    printf("%u dead letters in %s\n", self.count, self.queue);
    return 0;
}

/* --- replay and drop --- */

/* To the group's own queue, as the shard published it but for the epoch: whose lease it was no longer matters. */
static int event_replay(const struct letter *l)
{
    BUF_AUTO struct buf key = BUF_INIT(512);
    uint64_t partition = 0;
    const char *last = l->key.n ? memrchr(l->key.p, '.', l->key.n) : NULL;
    char id[256], type[80];

    if (!last || str_to_u64((struct str){last + 1, (size_t)(l->key.p + l->key.n - last - 1)}, &partition) < 0)
        return -EINVAL;
    broker_replay_key(&key, self.application, self.group, event_of(l), (unsigned)partition);
    snprintf(id, sizeof id, "%.*s", STR_ARG(l->id));
    snprintf(type, sizeof type, "%.*s", STR_ARG(l->type));
    struct amqp_header headers[] = {
        {.name = BROKER_HEADER_SHARD, .is_int = true, .number = l->shard},
        {.name = BROKER_HEADER_SHARDS, .is_int = true, .number = l->shards},
        {.name = BROKER_HEADER_SEQ, .is_int = true, .number = l->seq},
        {.name = BROKER_HEADER_GUILD, .value = l->guild},
        {.name = BROKER_HEADER_SESSION, .value = l->session},
    };
    struct amqp_message m = {.exchange = BROKER_EXCHANGE,
                             .routing_key = key.data,
                             .body = l->body,
                             .persistent = true,
                             .message_id = id,
                             .type = type,
                             .headers = headers,
                             .header_count = sizeof headers / sizeof *headers};
    return amqp_publish_await(self.publisher, &m);
}

static int command_replay(const struct letter *l)
{
    char key[64], id[256];

    snprintf(key, sizeof key, "%.*s", STR_ARG(l->key));
    snprintf(id, sizeof id, "%.*s", STR_ARG(l->id));
    struct amqp_message m = {
        .exchange = BROKER_COMMANDS, .routing_key = key, .body = l->body, .persistent = true, .message_id = id};
    return amqp_publish_await(self.publisher, &m);
}

static bool is_named(const struct letter *l, int count, char **ids)
{
    for (int i = 0; i < count; i++)
        if (strcmp(ids[i], "all") == 0 || str_eq(l->id, str_c(ids[i])))
            return true;
    return false;
}

/* The topology is declared anew, so that the bindings for replaying exist though an older shard made the queue. */
static int publisher_open(struct broker_topology *t, struct buf *err)
{
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;

    broker_topology_init(t, self.application, &self.group, is_commands() ? 0 : 1);
    self.publisher = amqp_publisher_new(setting_str(SETTING_amqp_url), t->declares, t->count, err);
    while (self.publisher && !amqp_publisher_connected(self.publisher) && clock_mono_ms() < end_ms)
        co_sleep(TICK_MS);
    return self.publisher ? 0 : -EINVAL;
}

/* Acknowledged once the copy is confirmed: what fails stays a dead letter. */
static int settle(bool replay, int count, char **ids)
{
    unsigned done = 0, failed = 0;

    LIST_FOREACH(it, &self.letters)
    {
        const struct letter *l = LIST_ENTRY(it, struct letter, link);

        if (!is_named(l, count, ids))
            continue;
        if (replay && (is_commands() ? command_replay(l) : event_replay(l)) != 0) {
            failed++;
            continue;
        }
        amqp_ack(self.consumer, l->tag, l->epoch, false);
        done++;
    }
    printf("%u %s, %u left in %s\n", done, replay ? "replayed" : "dropped", self.count - done, self.queue);
    if (failed)
        fprintf(stderr, "guildhall: %u could not be published\n", failed);
    return failed ? -EIO : done ? 0 : -ENOENT;
}

/* --- all --- */

static int usage(void)
{
    fprintf(stderr, "guildhall: ctl dlq list [COUNT] | replay all|ID... | drop all|ID...\n");
    return -EINVAL;
}

static int act(int count, char **words, struct buf *err)
{
    struct broker_topology topology = {0};
    bool replay = strcmp(words[0], "replay") == 0;
    uint64_t most = LIST_DEFAULT;
    int r = 0;

    if (strcmp(words[0], "list") == 0)
        return count > 1 && str_to_u64(str_c(words[1]), &most) < 0 ? usage() : list((int64_t)most);
    if (replay)
        r = publisher_open(&topology, err);
    if (r == 0)
        r = settle(replay, count - 1, words + 1);
    if (self.publisher)
        amqp_publisher_free(self.publisher);
    broker_topology_done(&topology);
    return r;
}

int dlq_run(uint64_t application, int word_count, char **words)
{
    BUF_AUTO struct buf err = {0}, queue = {0};
    bool changes = word_count > 0 && (strcmp(words[0], "replay") == 0 || strcmp(words[0], "drop") == 0);

    if (word_count == 0 || (!changes && strcmp(words[0], "list") != 0) || (changes && word_count < 2))
        return usage();
    self.group = setting_str(SETTING_worker_group);
    self.application = application;
    list_init(&self.letters);
    broker_dead(&queue, application, self.group);
    snprintf(self.queue, sizeof self.queue, "%s", queue.data);
    int r = letters_count(&err);
    r = r == 0 ? letters_take(&err) : r;
    r = r == 0 ? act(word_count, words, &err) : r;
    if (self.consumer)
        amqp_consumer_free(self.consumer);
    LIST_FOREACH_SAFE(it, &self.letters)
    {
        letter_free(LIST_ENTRY(it, struct letter, link));
    }
    if (err.len)
        fprintf(stderr, "guildhall: %s\n", err.data);
    return r;
}
