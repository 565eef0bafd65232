/* amqp.h against a real RabbitMQ: confirms in order, CC, headers, acks, lost broker, removed and deleted queues. */
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/io/amqp.h"
#include "tests/support/on_loop.h"
#include "tests/support/services.h"
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <unistd.h>

static const struct amqp_declare topology[] = {
    {.what = AMQP_EXCHANGE, .name = "t.direct", .type = "direct", .durable = true},
    {.what = AMQP_QUEUE, .name = "t.a", .durable = true, .expires_ms = 600000},
    {.what = AMQP_QUEUE, .name = "t.b", .durable = true, .expires_ms = 600000},
    {.what = AMQP_QUEUE, .name = "t.dead", .durable = true},
    {.what = AMQP_EXCHANGE, .name = "t.dlx", .type = "topic", .durable = true},
    {.what = AMQP_BIND, .name = "t.dead", .exchange = "t.dlx", .routing_key = "#"},
    {.what = AMQP_QUEUE,
     .name = "t.small",
     .durable = true,
     .max_length = 1,
     .overflow = "reject-publish",
     .dead_letter_exchange = "t.dlx",
     .single_active_consumer = true},
    {.what = AMQP_BIND, .name = "t.a", .exchange = "t.direct", .routing_key = "a"},
    {.what = AMQP_BIND, .name = "t.b", .exchange = "t.direct", .routing_key = "b"},
    {.what = AMQP_BIND, .name = "t.small", .exchange = "t.direct", .routing_key = "small"},
};
#define TOPOLOGY topology, (int)(sizeof(topology) / sizeof(*topology))

static struct amqp_publisher *publisher;
static struct amqp_consumer *consumer;

/* What the consumer saw: the body's number for each delivery. */
static struct {
    int count, redelivered, out_of_order;
    int64_t last;
    bool ack, reject;
    uint64_t last_tag, last_epoch;
    char queue[64], id[64], type[64], text[64], routing_key[64];
    int64_t number;
    bool has_number;
} seen;

static void keep(char *to, struct str s)
{
    snprintf(to, 64, "%.*s", STR_ARG(s));
}

static void on_delivery(const struct amqp_delivery *d, void *arg)
{
    int64_t n = 0;

    (void)arg;
    str_to_i64(d->body, &n);
    seen.count++;
    seen.redelivered += d->redelivered;
    seen.out_of_order += n != seen.last + 1;
    seen.last = n;
    seen.last_tag = d->tag;
    seen.last_epoch = d->epoch;
    keep(seen.queue, str_c(d->queue));
    keep(seen.id, d->message_id);
    keep(seen.type, d->type);
    keep(seen.routing_key, d->routing_key);
    keep(seen.text, amqp_delivery_header(d, "text"));
    seen.has_number = amqp_delivery_header_int(d, "number", &seen.number);
    if (seen.ack)
        amqp_ack(consumer, d->tag, d->epoch, false);
    if (seen.reject)
        amqp_reject(consumer, d->tag, d->epoch);
}

static void open_publisher(void)
{
    BUF_AUTO struct buf err = BUF_INIT(256);

    publisher = amqp_publisher_new(services_env("AMQP_URL"), TOPOLOGY, &err);
    assert_non_null(publisher);
    UNTIL(amqp_publisher_connected(publisher));
}

static void open_consumer(int prefetch, const char *queue)
{
    BUF_AUTO struct buf err = BUF_INIT(256);

    memset(&seen, 0, sizeof(seen));
    seen.ack = true;
    consumer = amqp_consumer_new(services_env("AMQP_URL"), TOPOLOGY, prefetch, on_delivery, NULL, &err);
    assert_non_null(consumer);
    amqp_consumer_add(consumer, queue);
    UNTIL(amqp_consumer_connected(consumer));
}

static void close_both(void)
{
    amqp_consumer_free(consumer);
    amqp_publisher_free(publisher);
    consumer = NULL;
    publisher = NULL;
    co_sleep(20);
}

static struct amqp_message message(const char *key, struct str body)
{
    return (struct amqp_message){.exchange = "t.direct", .routing_key = key, .body = body, .persistent = true};
}

static int publish(const char *key, const char *body)
{
    struct amqp_message m = message(key, str_c(body));

    return amqp_publish_await(publisher, &m);
}

static void carries_a_message_whole(void)
{
    static const char *const copies[] = {"b", NULL};
    const struct amqp_header headers[] = {{.name = "text", .value = STR("\xc3\xa4 b")},
                                          {.name = "CC", .list = copies},
                                          {.name = "number", .is_int = true, .number = -5000000000}};
    struct amqp_message m = message("a", STR("1"));

    open_publisher();
    open_consumer(10, "t.a");
    m.message_id = "id-1";
    m.type = "KIND";
    m.headers = headers;
    m.header_count = 3;
    assert_int_equal(amqp_publish_await(publisher, &m), 0);
    UNTIL(seen.count == 1);
    assert_string_equal(seen.queue, "t.a");
    assert_string_equal(seen.routing_key, "a");
    assert_string_equal(seen.id, "id-1");
    assert_string_equal(seen.type, "KIND");
    assert_string_equal(seen.text, "\xc3\xa4 b");
    assert_true(seen.has_number);
    assert_int_equal(seen.number, -5000000000);
    amqp_consumer_add(consumer, "t.b");
    UNTIL(seen.count == 2);
    assert_string_equal(seen.queue, "t.b");
    close_both();
}
ON_LOOP(carries_a_message_whole)

struct outcomes {
    int count, errors, out_of_order, next, last_error;
};
struct numbered {
    struct outcomes *all;
    int n;
};
#define MANY 20000
#define SOME 6000 /* more than LIMIT_AMQP_UNCONFIRMED; a busy machine confirms them within LIMIT_BUS_CONFIRM_MS */
static struct numbered many[MANY];

static void on_outcome(int error, void *arg)
{
    struct numbered *n = arg;

    n->all->count++;
    n->all->errors += error != 0;
    n->all->last_error = error != 0 ? error : n->all->last_error;
    n->all->out_of_order += n->n != n->all->next++;
}

static void publish_many(struct outcomes *all, int from, int to, const char *key)
{
    for (int i = from; i < to; i++) {
        char body[16];
        snprintf(body, sizeof(body), "%d", i + 1);
        many[i] = (struct numbered){all, i};
        struct amqp_message m = message(key, str_c(body));
        amqp_publish(publisher, &m, on_outcome, &many[i]);
    }
}

static void confirms_and_delivers_in_order(void)
{
    struct outcomes all = {0};
    int64_t began;

    open_publisher();
    open_consumer(500, "t.a");
    began = clock_mono_ms();
    publish_many(&all, 0, SOME, "a");
    assert_int_equal(all.count, 0);
    UNTIL(all.count == SOME);
    print_message("%d persistent messages confirmed in %lld ms\n", SOME, (long long)(clock_mono_ms() - began));
    UNTIL(seen.count == SOME);
    assert_int_equal(all.errors, 0);
    assert_int_equal(all.out_of_order, 0);
    assert_int_equal(seen.out_of_order, 0);
    assert_int_equal(seen.redelivered, 0);
    close_both();
}
ON_LOOP(confirms_and_delivers_in_order)

static void sends_large_bodies(void)
{
    struct buf body = BUF_INIT(0);
    struct amqp_message m;

    open_publisher();
    open_consumer(10, "t.a");
    memset(buf_reserve(&body, 3 << 20), '7', 3 << 20);
    body.len = 3 << 20;
    m = message("a", buf_str(&body));
    assert_int_equal(amqp_publish_await(publisher, &m), 0);
    UNTIL(seen.count == 1);
    buf_done(&body);
    close_both();
}
ON_LOOP(sends_large_bodies)

static void tells_a_refused_message(void)
{
    open_publisher();
    assert_int_equal(publish("small", "1"), 0);
    assert_int_equal(publish("small", "2"), -EIO); /* reject-publish: the broker nacks */
    open_consumer(10, "t.small");
    UNTIL(seen.count == 1);
    assert_int_equal(seen.last, 1);
    close_both();
}
ON_LOOP(tells_a_refused_message)

static void rejects_to_the_dead_letter_exchange(void)
{
    open_publisher();
    open_consumer(10, "t.small");
    seen.ack = false;
    seen.reject = true;
    assert_int_equal(publish("small", "1"), 0);
    UNTIL(seen.count == 1);
    seen.reject = false;
    seen.ack = true;
    amqp_consumer_add(consumer, "t.dead");
    UNTIL(seen.count == 2);
    assert_string_equal(seen.queue, "t.dead");
    close_both();
}
ON_LOOP(rejects_to_the_dead_letter_exchange)

static void keeps_to_the_prefetch_and_redelivers(void)
{
    struct outcomes all = {0};

    open_publisher();
    open_consumer(5, "t.a");
    seen.ack = false;
    publish_many(&all, 0, 12, "a");
    UNTIL(all.count == 12 && seen.count == 5);
    co_sleep(200);
    assert_int_equal(seen.count, 5);
    amqp_ack(consumer, seen.last_tag, seen.last_epoch, true);
    UNTIL(seen.count == 10);
    /* five are not acknowledged: they come again, first, and marked */
    amqp_consumer_free(consumer);
    open_consumer(100, "t.a");
    UNTIL(seen.count == 7);
    assert_int_equal(seen.redelivered, 5);
    assert_int_equal(seen.out_of_order, 1); /* the first one is number 6 */
    assert_int_equal(seen.last, 12);
    close_both();
}
ON_LOOP(keeps_to_the_prefetch_and_redelivers)

static void sends_acks_given_before_the_end(void)
{
    struct outcomes all = {0};

    open_publisher();
    open_consumer(60000, "t.a");
    seen.ack = false;
    publish_many(&all, 0, SOME, "a");
    UNTIL(all.count == SOME && seen.count == SOME);
    for (uint64_t tag = 1; tag <= SOME; tag++) {
        if (tag == SOME - 10)
            usleep(5000); /* the thread is busy with those before */
        amqp_ack(consumer, tag, seen.last_epoch, false);
    }
    amqp_consumer_free(consumer);
    open_consumer(60000, "t.a");
    co_sleep(300);
    assert_int_equal(seen.count, 0);
    close_both();
}
ON_LOOP(sends_acks_given_before_the_end)

static void on_removed(void *arg)
{
    *(int *)arg = seen.count + 1;
}

static void delivers_nothing_after_a_remove(void)
{
    struct outcomes all = {0};
    int at = 0;

    open_publisher();
    open_consumer(60000, "t.a");
    publish_many(&all, 0, 5000, "a");
    UNTIL(seen.count > 0);
    amqp_consumer_remove(consumer, "t.a", on_removed, &at);
    UNTIL(at != 0);
    UNTIL(all.count == 5000);
    co_sleep(200);
    assert_int_equal(seen.count, at - 1);
    amqp_consumer_add(consumer, "t.a");
    UNTIL(seen.count == 5000);
    assert_int_equal(seen.out_of_order, 0);
    close_both();
}
ON_LOOP(delivers_nothing_after_a_remove)

static void survives_a_killed_broker(void)
{
    struct outcomes all = {0};
    int delivered;

    open_publisher();
    open_consumer(500, "t.a");
    publish_many(&all, 0, 10, "a");
    UNTIL(all.count == 10 && seen.count == 10);
    uint64_t old_epoch = seen.last_epoch;
    publish_many(&all, 10, MANY, "a");
    services_do("kill", "rabbitmq"); /* the loop stands still meanwhile, the threads go on */
    UNTIL(all.count == MANY);        /* those without a confirm ended */
    assert_int_equal(all.out_of_order, 0);
    print_message("%d of %d were not confirmed\n", all.errors, MANY);
    assert_true(all.errors > 0);
    /* the last ones never left: nothing can have come of them */
    assert_true(all.last_error == -ENOTCONN || all.errors <= LIMIT_AMQP_UNCONFIRMED);
    assert_false(amqp_publisher_connected(publisher));
    assert_int_equal(publish("a", "0"), -ENOTCONN);
    delivered = seen.count;
    services_do("start", "rabbitmq");
    UNTIL(amqp_publisher_connected(publisher) && amqp_consumer_connected(consumer));
    UNTIL(publish("a", "30001") == 0);
    UNTIL(seen.last == 30001);
    assert_true(seen.last_epoch > old_epoch);
    assert_true(seen.count > delivered);
    /* an ack of the old connection is dropped: tag 1 would otherwise acknowledge something else, or close the channel
     */
    amqp_ack(consumer, 1000000, old_epoch, true);
    assert_int_equal(publish("a", "30002"), 0);
    UNTIL(seen.last == 30002);
    close_both();
}
ON_LOOP(survives_a_killed_broker)

static void delete_queue(const char *url, const char *queue)
{
    struct amqp_connection_info at;
    char copy[256];

    snprintf(copy, sizeof(copy), "%s", url);
    assert_int_equal(amqp_parse_url(copy, &at), AMQP_STATUS_OK);
    amqp_connection_state_t conn = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(conn);
    assert_int_equal(amqp_socket_open(socket, at.host, at.port), AMQP_STATUS_OK);
    amqp_login(conn, at.vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, at.user, at.password);
    amqp_channel_open(conn, 1);
    assert_non_null(amqp_queue_delete(conn, 1, amqp_cstring_bytes(queue), 0, 0));
    amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(conn);
}

static void declares_a_deleted_queue_again(void)
{
    open_publisher();
    open_consumer(10, "t.a");
    delete_queue(services_env("AMQP_URL"), "t.a");
    UNTIL(publish("a", "1") == 0 && (co_sleep(100), seen.count > 0));
    close_both();
}
ON_LOOP(declares_a_deleted_queue_again)

static void waits_for_a_broker_that_is_away(void)
{
    struct outcomes all = {0};
    BUF_AUTO struct buf err = BUF_INIT(256);

    assert_null(amqp_publisher_new("http://x", TOPOLOGY, &err));
    assert_null(amqp_consumer_new("amqp://u:p@host:bad/x", TOPOLOGY, 1, on_delivery, NULL, &err));
    assert_true(err.len > 0);
    publisher = amqp_publisher_new("amqp://u:p@127.0.0.1:1/x", TOPOLOGY, &err);
    consumer = amqp_consumer_new("amqp://u:p@127.0.0.1:1/x", TOPOLOGY, 1, on_delivery, NULL, &err);
    publish_many(&all, 0, 3, "a");
    assert_int_equal(all.count, 0);
    UNTIL(all.count == 3);
    assert_int_equal(all.last_error, -ENOTCONN);
    int removed = 0;
    seen.count = 41;
    amqp_consumer_add(consumer, "t.a");
    amqp_consumer_remove(consumer, "t.a", on_removed, &removed);
    UNTIL(removed == 42);
    int64_t began = clock_mono_ms();
    close_both();
    assert_true(clock_mono_ms() - began < 5000);
}
ON_LOOP(waits_for_a_broker_that_is_away)

#define BATCH 5000

/* What became of a batch of one turn. */
static struct {
    int told, refused, overtaken; /* overtaken: published though an earlier one was refused */
} batch;

static void on_batch(int error, void *arg)
{
    (void)arg;
    batch.told++;
    batch.refused += error == -ENOTCONN;
    batch.overtaken += error == 0 && batch.refused > 0;
}

/* The connection comes at any moment, also between two messages of a turn: whoever repeats the refused ones would
 * publish them behind the later ones. */
static void none_overtakes_a_refused_one(void)
{
    struct amqp_message m = message("nowhere", STR("1"));
    BUF_AUTO struct buf err = BUF_INIT(256);

    for (int i = 0; i < 10; i++) {
        publisher = amqp_publisher_new(services_env("AMQP_URL"), TOPOLOGY, &err);
        assert_non_null(publisher);
        do {
            memset(&batch, 0, sizeof(batch));
            for (int k = 0; k < BATCH; k++)
                amqp_publish(publisher, &m, on_batch, NULL);
            for (int k = 0; batch.told < BATCH && k < 60000; k++)
                co_sleep(1);
            assert_int_equal(batch.told, BATCH);
            assert_int_equal(batch.overtaken, 0);
        } while (batch.refused > 0);
        amqp_publisher_free(publisher);
        publisher = NULL;
    }
    co_sleep(20);
}
ON_LOOP(none_overtakes_a_refused_one)

static void ends_what_waits_when_freed(void)
{
    struct outcomes all = {0};

    open_publisher();
    consumer = NULL;
    publish_many(&all, 0, 10000, "b");
    amqp_publisher_free(publisher);
    publisher = NULL;
    assert_int_equal(all.count, 10000);
    assert_int_equal(all.out_of_order, 0);
    assert_true(all.errors > 0);
    assert_int_equal(all.last_error, -ECANCELED);
    co_sleep(20);
}
ON_LOOP(ends_what_waits_when_freed)

static void refuses_more_than_the_limit(void)
{
    struct outcomes all = {0};
    struct numbered n = {&all, 0};
    struct amqp_message m = message("nowhere", STR("x"));

    open_publisher();
    for (int i = 0; i < LIMIT_AMQP_QUEUE_MESSAGES + 7; i++)
        amqp_publish(publisher, &m, on_outcome, &n);
    UNTIL(all.count == LIMIT_AMQP_QUEUE_MESSAGES + 7);
    assert_int_equal(all.errors, 7);
    assert_int_equal(all.last_error, -EAGAIN);
    close_both();
}
ON_LOOP(refuses_more_than_the_limit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_a_message_whole_test),
        cmocka_unit_test(confirms_and_delivers_in_order_test),
        cmocka_unit_test(sends_large_bodies_test),
        cmocka_unit_test(tells_a_refused_message_test),
        cmocka_unit_test(rejects_to_the_dead_letter_exchange_test),
        cmocka_unit_test(keeps_to_the_prefetch_and_redelivers_test),
        cmocka_unit_test(sends_acks_given_before_the_end_test),
        cmocka_unit_test(delivers_nothing_after_a_remove_test),
        cmocka_unit_test(declares_a_deleted_queue_again_test),
        cmocka_unit_test(waits_for_a_broker_that_is_away_test),
        cmocka_unit_test(none_overtakes_a_refused_one_test),
        cmocka_unit_test(ends_what_waits_when_freed_test),
        cmocka_unit_test(refuses_more_than_the_limit_test),
        cmocka_unit_test(survives_a_killed_broker_test),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
