/* What a shard process costs: events a second from a gateway to RabbitMQ, with the cache written, beside a loop that
 * only publishes the same bytes; and its memory for each shard. The gateway is a process of our own that writes
 * prepared frames. Needs REDIS_URL and AMQP_URL (tests/support/with-services). Coroutine; the gateway has a thread for
 * each connection. */
#include "tests/bench/bench.h"

#include "cache/broker.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/amqp.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include "platform/io/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS          3
#define EVENTS        15000 /* all runs together stay under the test broker's memory alarm */
#define MEMORY_SHARDS 33
#define MEMORY_EVENTS 300 /* of each: so that what a connection grows to is there */
#define PATIENCE_MS   120000

/* --- what the gateway sends --- */

static void on_turn(struct gateway_session *s)
{
    if (__atomic_load_n(&s->gateway->go, __ATOMIC_SEQ_CST) == s->done)
        return;
    s->done++;
    for (unsigned n = 0; n < (s->gateway->compressed ? MEMORY_EVENTS : EVENTS); n++) {
        gateway_say_event(s, n, 0);
        if (s->out.len > 65536)
            gateway_flush(s);
    }
    gateway_flush(s);
}

/* --- the shard --- */

static struct gateway *gateway;
static const char *program;

static void redis_flush(struct redis *redis)
{
    struct redis_reply *reply = NULL;

    while (redis_await(redis, 1, (struct str[]){STR("FLUSHALL")}, &reply) != 0)
        co_sleep(20);
    redis_reply_free(reply);
}

static uint64_t seq_stored(struct redis *redis, unsigned shard, unsigned shards)
{
    struct redis_reply *reply = NULL;
    char key[64];

    snprintf(key, sizeof key, "gh:4242:{shard:%u/%u}:session:1", shard, shards);
    if (redis_await(redis, 3, (struct str[]){STR("HGET"), str_c(key), STR("seq")}, &reply) != 0)
        return 0;
    uint64_t seq = (uint64_t)redis_reply_int(reply);
    redis_reply_free(reply);
    return seq;
}

static void give_up(const char *what)
{
    fprintf(stderr, "guildhall-bench: %s\n", what);
    exit(1);
}

static void identified_wait(unsigned count)
{
    int64_t end = clock_mono_ms() + PATIENCE_MS;

    while (__atomic_load_n(&gateway->identified, __ATOMIC_SEQ_CST) < count)
        if (co_sleep(20), clock_mono_ms() > end)
            give_up("the shards do not identify");
}

/* Events a second: from the first one written until Redis says that the broker has confirmed the last. */
static double shard_rate(struct redis *redis)
{
    int64_t end = clock_mono_ms() + PATIENCE_MS;

    redis_flush(redis);
    gateway->go = 0;
    int pid = gateway_shard_start(gateway, program, 1);
    identified_wait(1);
    co_sleep(1000);
    uint64_t begun = now_ns();
    __atomic_store_n(&gateway->go, 1, __ATOMIC_SEQ_CST);
    while (seq_stored(redis, 0, 1) < EVENTS + 1)
        if (co_sleep(5), clock_mono_ms() > end)
            give_up("the shard does not get on");
    double seconds = (double)(now_ns() - begun) / 1e9, cpu = (double)process_cpu_ns(pid) / 1e9;
    printf("  shard: %.0f events/s (%.1f us of its processor time each)\n", EVENTS / seconds, cpu * 1e6 / EVENTS);
    process_end(pid);
    return EVENTS / seconds;
}

/* --- the loop that only publishes --- */

static unsigned confirmed;

static void on_confirmed(int error, void *arg)
{
    (void)arg;
    if (error) {
        fprintf(stderr, "guildhall-bench: RabbitMQ: %s\n", strerror(-error));
        exit(1);
    }
    confirmed++;
}

static double publish_rate(struct amqp_publisher *publisher)
{
    struct buf key = BUF_INIT(256), body = BUF_INIT(1 << 16);
    char id[32], guild[24];

    confirmed = 0;
    uint64_t begun = now_ns();
    for (unsigned n = 0; n < EVENTS; n++) {
        unsigned long long tag = (unsigned long long)(1 + n % BENCH_GUILDS) << 22;
        buf_clear(&key);
        broker_routing_key(&key, BENCH_APPLICATION, STR("MESSAGE_CREATE"), broker_partition(tag));
        snprintf(id, sizeof id, "bench0:%u", n);
        snprintf(guild, sizeof guild, "%llu", tag);
        struct amqp_header headers[] = {
            {.name = BROKER_HEADER_SHARD, .is_int = true, .number = 0},
            {.name = BROKER_HEADER_SHARDS, .is_int = true, .number = 1},
            {.name = BROKER_HEADER_SEQ, .is_int = true, .number = n},
            {.name = BROKER_HEADER_GUILD, .value = str_c(guild)},
            {.name = BROKER_HEADER_SESSION, .value = STR("bench0")},
            {.name = BROKER_HEADER_EPOCH, .is_int = true, .number = 1},
        };
        struct amqp_message m = {.exchange = BROKER_EXCHANGE,
                                 .routing_key = key.data,
                                 .body = event_body(&body, n, 0),
                                 .persistent = true,
                                 .message_id = id,
                                 .type = "MESSAGE_CREATE",
                                 .headers = headers,
                                 .header_count = sizeof headers / sizeof *headers};
        while (n - confirmed >= LIMIT_SHARD_PUBLISHING)
            co_sleep(1);
        amqp_publish(publisher, &m, on_confirmed, NULL);
    }
    while (confirmed < EVENTS)
        co_sleep(1);
    double seconds = (double)(now_ns() - begun) / 1e9;
    printf("  publishing alone: %.0f events/s\n", EVENTS / seconds);
    buf_done(&key);
    buf_done(&body);
    return EVENTS / seconds;
}

/* --- memory --- */

static long resident_kb(int pid)
{
    struct server s = {.pid = pid};

    return server_resident_kb(&s);
}

/* Each connection as it is by itself: compressed, and after some events. */
static long shards_kb(struct redis *redis, unsigned shards)
{
    int64_t end = clock_mono_ms() + PATIENCE_MS;

    redis_flush(redis);
    gateway->go = 0;
    gateway->compressed = true;
    int pid = gateway_shard_start(gateway, program, shards);
    identified_wait(shards);
    co_sleep(1000);
    __atomic_store_n(&gateway->go, 1, __ATOMIC_SEQ_CST);
    for (unsigned n = 0; n < shards; n++)
        while (seq_stored(redis, n, shards) < MEMORY_EVENTS + 1)
            if (co_sleep(20), clock_mono_ms() > end)
                give_up("the shards do not get on");
    co_sleep(1000);
    long kb = resident_kb(pid);
    process_end(pid);
    return kb;
}

static void shard_main(void *arg)
{
    static const char *groups[] = {BROKER_GROUP_DEFAULT};
    struct broker_topology topology;
    struct buf err = BUF_INIT(1024);
    double shard[RUNS], alone[RUNS], ratios[RUNS];

    (void)arg;
    struct redis *redis = redis_new(getenv("REDIS_URL"), &err);
    broker_topology_init(&topology, BENCH_APPLICATION, groups, 1);
    struct amqp_publisher *publisher = amqp_publisher_new(getenv("AMQP_URL"), topology.declares, topology.count, &err);
    while (!amqp_publisher_connected(publisher) || !redis_connected(redis))
        co_sleep(20);
    for (int i = 0; i < RUNS; i++) {
        alone[i] = publish_rate(publisher);
        shard[i] = shard_rate(redis);
        ratios[i] = shard[i] / alone[i];
    }
    printf("shard events=%d: %.0f events/s to RabbitMQ with the cache written, %.2f of publishing alone (%.0f); "
           "medians of "
           "%d runs\n",
           EVENTS, median(shard, RUNS), median(ratios, RUNS), median(alone, RUNS), RUNS);
    long one = shards_kb(redis, 1), many = shards_kb(redis, MEMORY_SHARDS);
    printf("shard memory: %.1f MB resident with 1 shard, %.1f MB with %d: %.0f KB for each shard connection "
           "(zlib-stream, after %d events each)\n",
           (double)one / 1024, (double)many / 1024, MEMORY_SHARDS, (double)(many - one) / (MEMORY_SHARDS - 1),
           MEMORY_EVENTS);
    fflush(stdout);
    amqp_publisher_free(publisher);
    broker_topology_done(&topology);
    redis_free(redis);
    buf_done(&err);
    loop_stop();
}

void bench_shard(const char *bin)
{
    if (!getenv("REDIS_URL") || !getenv("AMQP_URL"))
        give_up("run it as: tests/support/with-services redis rabbitmq -- guildhall-bench shard");
    program = bin;
    gateway = gateway_start(on_turn);
    loop_init();
    (void)co_spawn(shard_main, NULL);
    loop_run();
    loop_done();
    process_end(gateway->pid);
}
