/* The contract of `bus`, on both implementations, with two nodes; and what RabbitMQ adds: it can go away, and a node
 * that comes back under its name finds what it had not acknowledged. */
#include "tests/support/co_test.h"
#include "tests/support/services.h"

#include "platform/base/snowflake.h"
#include "platform/ports/bus.h"

#include <errno.h>
#include <sodium.h>

static const char *url;      /* NULL: in process */
static struct bus *embedded; /* both nodes' bus, in process */

struct node {
    struct bus *bus;
    char id[32];
    uint64_t numbers[256];
    int count, broadcasts, redelivered;
    bool ack;
    bool content_ok;
};

static void on_event(const struct bus_delivery *d, void *arg)
{
    struct node *n = arg;
    if (d->event->type == EVENT_CONTROL_TOKEN_REVOKED) {
        n->broadcasts++;
        return;
    }
    n->content_ok = str_eq(d->event->data, STR("{\"id\":\"7\"}")) && d->event->channel_id == 70 &&
                    d->event->mention_count == 1 && d->event->mentions[0] == 99;
    n->redelivered += d->redelivered;
    if (n->count < 256)
        n->numbers[n->count++] = d->event->number;
    if (n->ack)
        bus_ack(n->bus, d->tag, d->epoch);
}

static struct bus *bus_new(void)
{
    struct buf err = {0};
    if (!url && embedded)
        return embedded;
    struct bus *b = bus_open(url, &err);
    expect_true(b != NULL);
    if (!url)
        embedded = b;
    return b;
}

static void node_start(struct node *n, const char *name)
{
    *n = (struct node){.bus = bus_new(), .ack = true};
    snprintf(n->id, sizeof n->id, "%s-%08x", name, randombytes_random());
    expect_int(bus_subscribe(n->bus, n->id, on_event, n), 0);
    for (int i = 0; !bus_ready(n->bus) && i < 400; i++)
        co_sleep(25);
    expect_true(bus_ready(n->bus));
}

static void bus_end(struct bus *b)
{
    if (url)
        bus_close(b);
}

static void all_end(void)
{
    if (!url)
        bus_close(embedded);
    embedded = NULL;
}

static struct event event_numbered(uint64_t number)
{
    static const uint64_t mentions[] = {99};
    return (struct event){.id = snowflake_next(),
                          .topic = 7,
                          .number = number,
                          .type = EVENT_MESSAGE_CREATE,
                          .channel_id = 70,
                          .mentions = mentions,
                          .mention_count = 1,
                          .data = STR("{\"id\":\"7\"}")};
}

static void wait_for(const int *count, int wanted)
{
    for (int i = 0; *count < wanted && i < 400; i++)
        co_sleep(25);
    expect_int(*count, wanted);
}

static void each_node_gets_what_is_for_it_in_order(void)
{
    struct node a, b;
    node_start(&a, "a");
    node_start(&b, "b");
    struct bus *publisher = bus_new();
    const char *both[] = {a.id, b.id}, *one[] = {b.id};
    for (uint64_t i = 1; i <= 100; i++) {
        struct event e = event_numbered(i);
        int r = -EAGAIN;
        for (int tries = 0; r < 0 && tries < 100; tries++) {
            r = i % 2 ? bus_publish(publisher, &e, both, 2) : bus_publish(publisher, &e, one, 1);
            if (r < 0)
                co_sleep(50);
        }
        expect_int(r, 0);
    }
    wait_for(&b.count, 100);
    wait_for(&a.count, 50);
    for (int i = 0; i < 100; i++)
        expect_int(b.numbers[i], i + 1);
    for (int i = 0; i < 50; i++)
        expect_int(a.numbers[i], 2 * i + 1);
    expect_true(a.content_ok && b.content_ok);
    bus_end(a.bus);
    bus_end(b.bus);
    bus_end(publisher);
    all_end();
}

/* More than a message holds, to two sets of nodes, in one call. */
static void many_at_once_keep_their_order(void)
{
    enum { COUNT = 200 };
    struct node a, b;
    struct event events[COUNT];
    struct bus_publication p[COUNT];
    node_start(&a, "a");
    node_start(&b, "b");
    struct bus *publisher = bus_new();
    const char *both[] = {a.id, b.id}, *one[] = {b.id};
    for (int i = 0; !bus_ready(publisher) && i < 400; i++)
        co_sleep(25);
    for (unsigned i = 0; i < COUNT; i++) {
        events[i] = event_numbered(i + 1);
        p[i] = (struct bus_publication){&events[i], i % 2 ? one : both, i % 2 ? 1 : i % 10 ? 2 : 0, -1};
    }
    bus_publish_many(publisher, p, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        expect_int(p[i].error, 0);
    wait_for(&b.count, 180);
    wait_for(&a.count, 80);
    for (int i = 1, odd = 0, even = 0; i < 180; i++) {
        int *last = b.numbers[i] % 2 ? &even : &odd; /* messages of one set of nodes do not overtake each other */
        expect_true((int)b.numbers[i] > *last);
        *last = (int)b.numbers[i];
    }
    for (int i = 1; i < 80; i++)
        expect_true(a.numbers[i] > a.numbers[i - 1]);
    bus_end(a.bus);
    bus_end(b.bus);
    bus_end(publisher);
    all_end();
}

static void a_broadcast_reaches_everyone(void)
{
    struct node a, b;
    node_start(&a, "a");
    node_start(&b, "b");
    struct bus *listener = bus_new();
    struct node third = {.bus = listener};
    expect_int(bus_subscribe(listener, NULL, on_event, &third), 0);
    for (int i = 0; !bus_ready(listener) && i < 400; i++)
        co_sleep(25);
    co_sleep(url ? 500 : 0);
    struct event e = {
        .id = 1, .type = EVENT_CONTROL_TOKEN_REVOKED, .topic = 5, .topic_is_user = true, .data = STR("{}")};
    expect_int(bus_broadcast(a.bus, &e), 0);
    wait_for(&a.broadcasts, 1);
    wait_for(&b.broadcasts, 1);
    wait_for(&third.broadcasts, 1);
    bus_end(a.bus);
    bus_end(b.bus);
    bus_end(listener);
    all_end();
}

static void no_nodes_is_no_error(void)
{
    struct bus *b = bus_new();
    struct event e = event_numbered(1);
    expect_int(bus_publish(b, &e, NULL, 0), 0);
    bus_end(b);
    all_end();
}

/* --- RabbitMQ only --- */

static void what_was_not_acknowledged_comes_again(void)
{
    struct node a, again;
    node_start(&a, "keep");
    a.ack = false;
    struct bus *publisher = bus_new();
    const char *ids[] = {a.id};
    for (int i = 0; !bus_ready(publisher) && i < 400; i++)
        co_sleep(25);
    for (uint64_t i = 1; i <= 5; i++) {
        struct event e = event_numbered(i);
        expect_int(bus_publish(publisher, &e, ids, 1), 0);
    }
    wait_for(&a.count, 5);
    bus_end(a.bus);
    again = (struct node){.bus = bus_new(), .ack = true};
    expect_int(bus_subscribe(again.bus, a.id, on_event, &again), 0);
    wait_for(&again.count, 5);
    expect_int(again.redelivered, 5);
    for (int i = 0; i < 5; i++)
        expect_int(again.numbers[i], i + 1);
    bus_end(again.bus);
    bus_end(publisher);
}

static void on_all_but_one(const struct bus_delivery *d, void *arg)
{
    struct node *n = arg;
    if (n->count < 256)
        n->numbers[n->count++] = d->event->number;
    if (n->ack || d->event->number != 3)
        bus_ack(n->bus, d->tag, d->epoch);
}

/* Events that share a message are acknowledged with the last of them. */
static void a_message_comes_again_while_one_event_is_not_acknowledged(void)
{
    enum { COUNT = 5 };
    struct node n;
    struct event events[COUNT];
    struct bus_publication p[COUNT];
    node_start(&n, "partly");
    struct bus *publisher = bus_new();
    const char *ids[] = {n.id};
    for (int i = 0; !bus_ready(publisher) && i < 400; i++)
        co_sleep(25);
    n.ack = false;
    expect_int(bus_subscribe(n.bus, n.id, on_all_but_one, &n), 0);
    for (unsigned i = 0; i < COUNT; i++) {
        events[i] = event_numbered(i + 1);
        p[i] = (struct bus_publication){&events[i], ids, 1, -1};
    }
    bus_publish_many(publisher, p, COUNT);
    wait_for(&n.count, COUNT);
    n.ack = true; /* the queue, taken over by a subscription of the same name, has them again */
    expect_int(bus_subscribe(n.bus, n.id, on_all_but_one, &n), 0);
    wait_for(&n.count, 2 * COUNT);
    co_sleep(200);
    expect_int(bus_subscribe(n.bus, n.id, on_all_but_one, &n), 0);
    struct event last = event_numbered(9);
    expect_int(bus_publish(publisher, &last, ids, 1), 0);
    wait_for(&n.count, 2 * COUNT + 1);
    expect_int(n.numbers[2 * COUNT], 9);
    bus_end(n.bus);
    bus_end(publisher);
}

static void a_killed_broker_loses_nothing_that_was_confirmed(void)
{
    struct node a;
    node_start(&a, "crash");
    a.ack = false; /* nothing may be taken off the queue before the crash */
    struct bus *publisher = bus_new();
    const char *ids[] = {a.id};
    for (int i = 0; !bus_ready(publisher) && i < 400; i++)
        co_sleep(25);
    for (uint64_t i = 1; i <= 20; i++) {
        struct event e = event_numbered(i);
        expect_int(bus_publish(publisher, &e, ids, 1), 0);
    }
    wait_for(&a.count, 20);
    services_await("kill", "rabbitmq");
    struct event e = event_numbered(21);
    expect_true(bus_publish(publisher, &e, ids, 1) < 0);
    expect_true(!bus_ready(publisher));
    a.count = 0;
    a.ack = true;
    services_await("start", "rabbitmq");
    for (int i = 0; !bus_ready(publisher) && i < 1200; i++)
        co_sleep(50);
    wait_for(&a.count, 20);
    int r = -EAGAIN;
    for (int i = 0; r < 0 && i < 100; i++, co_sleep(r < 0 ? 50 : 0))
        r = bus_publish(publisher, &e, ids, 1);
    expect_int(r, 0);
    wait_for(&a.count, 21);
    bus_end(a.bus);
    bus_end(publisher);
}

int main(void)
{
    const struct CMUnitTest contract[] = {
        CO_TEST(each_node_gets_what_is_for_it_in_order),
        CO_TEST(many_at_once_keep_their_order),
        CO_TEST(a_broadcast_reaches_everyone),
        CO_TEST(no_nodes_is_no_error),
    };
    const struct CMUnitTest rabbit_only[] = {
        CO_TEST(what_was_not_acknowledged_comes_again),
        CO_TEST(a_message_comes_again_while_one_event_is_not_acknowledged),
        CO_TEST(a_killed_broker_loses_nothing_that_was_confirmed),
    };
    if (sodium_init() < 0)
        return 1;
    snowflake_init(1);
    int failed = cmocka_run_group_tests_name("bus in process", contract, NULL, NULL);
    url = services_env("AMQP_URL");
    failed += cmocka_run_group_tests_name("bus on RabbitMQ", contract, NULL, NULL);
    return failed + cmocka_run_group_tests_name("bus and a broker that fails", rabbit_only, NULL, NULL);
}
