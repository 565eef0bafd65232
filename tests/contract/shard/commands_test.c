/* What workers have the shard send: in order, within the upstream's budget, through a change of owner; and what becomes
 * of what cannot be sent. */
#include "tests/contract/shard/rig.h"
#include "tests/support/services.h"

#include "cache/broker.h"
#include "gateway/shard/budget.h"
#include "platform/io/amqp.h"

#include <signal.h>

#define GUILD   (UINT64_C(5) << 22)
#define QUEUE   "guildhall.4242.commands.0"
#define QUEUE_1 "guildhall.4242.commands.1"

static struct amqp_publisher *publisher;

/* The queues are declared as the shard does it, so that no command comes before them. */
void commands_start(void)
{
#define QUEUE_LIKE(queue, key)                                                                                         \
    {.what = AMQP_QUEUE,                                                                                               \
     .name = (queue),                                                                                                  \
     .durable = true,                                                                                                  \
     .max_length = LIMIT_BROKER_COMMANDS,                                                                              \
     .overflow = "reject-publish",                                                                                     \
     .single_active_consumer = true},                                                                                  \
        {.what = AMQP_BIND, .name = (queue), .exchange = BROKER_COMMANDS, .routing_key = (key)},                       \
    {                                                                                                                  \
        .what = AMQP_BIND, .name = (queue), .exchange = BROKER_COMMANDS, .routing_key = "4242.all"                     \
    }
    static const struct amqp_declare declares[] = {
        {.what = AMQP_EXCHANGE, .name = BROKER_COMMANDS, .type = "topic", .durable = true},
        QUEUE_LIKE(QUEUE, "4242.0"),
        QUEUE_LIKE(QUEUE_1, "4242.1"),
    };
    BUF_AUTO struct buf err = {0};

    publisher = amqp_publisher_new(services_env("AMQP_URL"), declares, sizeof declares / sizeof *declares, &err);
    assert_non_null(publisher);
    WAIT(amqp_publisher_connected(publisher));
}

void command_send(const char *key, const char *body, int64_t expiration_ms, int64_t timestamp_s)
{
    struct amqp_message m = {.exchange = BROKER_COMMANDS,
                             .routing_key = key,
                             .body = str_c(body),
                             .persistent = true,
                             .expiration_ms = expiration_ms,
                             .timestamp_s = timestamp_s};

    assert_int_equal(amqp_publish_await(publisher, &m), 0);
}

void commands_stop(void)
{
    amqp_publisher_free(publisher);
}

static void command(const char *body)
{
    command_send("4242.0", body, 0, 0);
}

static void members_command(unsigned nonce)
{
    BUF_AUTO struct buf body = {0};

    buf_addf(&body, "{\"op\":8,\"d\":{\"guild_id\":\"%llu\",\"query\":\"\",\"limit\":0,\"nonce\":\"%u\"}}",
             (unsigned long long)GUILD, nonce);
    command(body.data);
}

static void sends_check(void)
{
    for (unsigned i = LIMIT_SHARD_SENDS; i < fake.sends; i++)
        assert_true(fake.sent_ms[i] - fake.sent_ms[i - LIMIT_SHARD_SENDS] >= 60000);
}

/* More than a minute's budget: what is over it waits, in order, also for the shard's next owner, whose connection has a
 * budget of its own. What the first one acknowledged as it went may come once more. */
static void commands_are_sent_in_order_within_the_budget(void)
{
    unsigned most = budget_most(45000), total = most + 30, last = 0;

    begin_live();
    commands_start();
    for (unsigned n = 1; n <= total; n++)
        members_command(n);
    WAIT(fake.commands >= most);
    sends_check();
    assert_int_equal(shard_end(0, SIGTERM), 0);
    sends_check();
    fake.sends = 0;
    shard_start(1);
    WAIT(fake.commands > 0 && fake.nonces[fake.commands - 1] == total);
    for (unsigned i = 0; i < fake.commands; i++) {
        assert_true(fake.nonces[i] <= last + 1);
        last = fake.nonces[i] > last ? fake.nonces[i] : last;
    }
    sends_check();
    assert_int_equal(fake.identifies, 1);
    commands_stop();
    end();
}
ON_LOOP_LISTED(commands_are_sent_in_order_within_the_budget)

static struct {
    unsigned count;
    char reasons[8][64];
} dead;
static struct amqp_consumer *dead_consumer;

static void on_dead(const struct amqp_delivery *d, void *arg)
{
    struct str reason = amqp_delivery_header(d, "reason");

    (void)arg;
    assert_in_range(dead.count, 0, 7);
    snprintf(dead.reasons[dead.count++], sizeof dead.reasons[0], "%.*s", STR_ARG(reason));
    amqp_ack(dead_consumer, d->tag, d->epoch, false);
}

static void commands_that_cannot_be_sent_are_dead_letters_with_a_reason(void)
{
    BUF_AUTO struct buf err = {0};

    begin_live();
    commands_start();
    command("no JSON");
    command("{\"op\":2,\"d\":{}}");
    command("{\"op\":8,\"d\":{\"query\":\"\",\"limit\":0}}");
    command("{\"op\":3,\"d\":{\"status\":\"asleep\",\"activities\":[]}}");
    members_command(1);
    WAIT(fake.commands == 1);
    dead.count = 0;
    dead_consumer = amqp_consumer_new(services_env("AMQP_URL"), NULL, 0, 10, on_dead, NULL, &err);
    amqp_consumer_add(dead_consumer, "guildhall.4242.commands.dead");
    WAIT(dead.count >= 4);
    assert_int_equal(dead.count, 4);
    assert_string_equal(dead.reasons[0], "not JSON");
    assert_string_equal(dead.reasons[1], "op: 3, 4, 8, 31 or 43");
    assert_string_equal(dead.reasons[2], "guild_id: a snowflake is needed");
    assert_string_equal(dead.reasons[3], "status: online, dnd, idle, invisible or offline");
    assert_int_equal(fake.identifies, 1);
    amqp_consumer_free(dead_consumer);
    commands_stop();
    end();
}
ON_LOOP_LISTED(commands_that_cannot_be_sent_are_dead_letters_with_a_reason)

/* While the gateway says nothing a command's time passes: it must not be sent when there is a session again. */
static void a_command_that_waited_too_long_is_dropped(void)
{
    begin_live();
    commands_start();
    fake.mute = true;
    unsigned connects = fake.connects;
    fake_cut();
    WAIT(fake.connects > connects);
    command_send("4242.0", "{\"op\":8,\"d\":{\"guild_id\":\"20971520\",\"query\":\"\",\"limit\":0,\"nonce\":\"9\"}}",
                 1000, 0);
    members_command(1);
    co_sleep(1500); /* they are with the shard, or the first one is gone already */
    fake_speak();
    WAIT(fake.commands > 0);
    assert_int_equal(fake.nonces[0], 1);
    commands_stop();
    end();
}
ON_LOOP_LISTED(a_command_that_waited_too_long_is_dropped)

static struct {
    unsigned count;
    int64_t expiration_ms, timestamp_s;
} passed;
static struct amqp_consumer *passed_consumer;

static void on_passed(const struct amqp_delivery *d, void *arg)
{
    (void)arg;
    passed.count++;
    passed.expiration_ms = d->expiration_ms;
    passed.timestamp_s = d->timestamp_s;
    amqp_ack(passed_consumer, d->tag, d->epoch, false);
}

/* A command for shard 1, which nobody holds, comes to shard 0 with 30 of its 60 s left; it is passed on with no more,
 * and dated anew. One that is over is not passed on, and one without an end stays so. */
static void a_command_passed_on_keeps_the_time_that_it_has_left(void)
{
    static const char body[] = "{\"op\":8,\"d\":{\"guild_id\":\"4194304\",\"query\":\"\",\"limit\":0}}"; /* 1 << 22 */
    BUF_AUTO struct buf err = {0};
    int64_t now_s = clock_wall_ms() / 1000;

    begin();
    fake.shards = 2;
    shard_start(0);
    WAIT(fake_live(2) == 1);
    passed.count = 0;
    commands_start();
    passed_consumer = amqp_consumer_new(services_env("AMQP_URL"), NULL, 0, 10, on_passed, NULL, &err);
    amqp_consumer_add(passed_consumer, QUEUE_1);
    command_send("4242.0", body, 60000, now_s - 30);
    WAIT(passed.count == 1);
    assert_in_range(passed.expiration_ms, 1, 31000);
    assert_true(passed.timestamp_s >= now_s);
    command_send("4242.0", body, 60000, now_s - 120);
    command_send("4242.0", body, 0, 0);
    WAIT(passed.count == 2);
    assert_int_equal(passed.expiration_ms, 0);
    amqp_consumer_free(passed_consumer);
    commands_stop();
    end();
}
ON_LOOP_LISTED(a_command_passed_on_keeps_the_time_that_it_has_left)

/* A bot's presence is a session's: the next one must begin with it, also in the hands of another process. */
static void a_presence_outlives_session_and_process(void)
{
    static const char body[] = "{\"op\":3,\"d\":{\"since\":null,\"activities\":[],\"status\":\"dnd\",\"afk\":false}}";

    begin_live();
    assert_string_equal(fake.identify_presence, "");
    commands_start();
    command_send("4242.all", body, 0, 0);
    WAIT(fake.presences == 1);
    WAIT(redis_has("gh:4242:{shard:0/1}:presence:1") && redis_has("gh:4242:{shards}:presence"));
    fake.refuse_resume = true;
    shard_end(0, SIGKILL);
    shard_start(1);
    WAIT(fake.identifies == 2 && fake.live);
    assert_string_equal(fake.identify_presence, fake.presence);
    fake_emit(5);
    commands_stop();
    end();
}
ON_LOOP_LISTED(a_presence_outlives_session_and_process)
