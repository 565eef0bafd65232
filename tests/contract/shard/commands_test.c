/* What workers have the shard send: in order, within the upstream's budget, through a change of owner; and what becomes
 * of what cannot be sent. */
#include "tests/contract/shard/rig.h"
#include "tests/support/services.h"

#include "cache/broker.h"
#include "gateway/shard/budget.h"
#include "platform/io/amqp.h"

#include <signal.h>

#define GUILD (UINT64_C(5) << 22)
#define QUEUE "guildhall.4242.commands.0"

static struct amqp_publisher *publisher;

/* The queue is declared as the shard does it, so that no command comes before it. */
static void publisher_start(void)
{
    static const struct amqp_declare declares[] = {
        {.what = AMQP_EXCHANGE, .name = BROKER_COMMANDS, .type = "topic", .durable = true},
        {.what = AMQP_QUEUE,
         .name = QUEUE,
         .durable = true,
         .max_length = LIMIT_BROKER_COMMANDS,
         .overflow = "reject-publish",
         .single_active_consumer = true},
        {.what = AMQP_BIND, .name = QUEUE, .exchange = BROKER_COMMANDS, .routing_key = "4242.0"},
    };
    BUF_AUTO struct buf err = {0};

    publisher = amqp_publisher_new(services_env("AMQP_URL"), declares, 3, &err);
    assert_non_null(publisher);
    WAIT(amqp_publisher_connected(publisher));
}

static void command(const char *body)
{
    struct amqp_message m = {
        .exchange = BROKER_COMMANDS, .routing_key = "4242.0", .body = str_c(body), .persistent = true};

    assert_int_equal(amqp_publish_await(publisher, &m), 0);
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
    publisher_start();
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
    amqp_publisher_free(publisher);
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
    publisher_start();
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
    amqp_publisher_free(publisher);
    end();
}
ON_LOOP_LISTED(commands_that_cannot_be_sent_are_dead_letters_with_a_reason)
