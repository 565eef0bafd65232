/* A shard's events on their way to a broker that the test is: what is on its way at once, and what a refusal does. */
#include "gateway/shard/pipeline.h"
#include "tests/support/on_loop.h"

#include <errno.h>
#include <stdio.h>

#define SENDS_MAX 64

static struct {
    struct {
        char id[16];
        void (*done)(int error, void *arg);
        void *arg;
    } sends[SENDS_MAX];
    unsigned sent, answered;
} broker;

static struct crowd crowds[BROKER_PARTITIONS];
static struct pipeline *pipeline;

/* --- in the place of RabbitMQ and Redis --- */

void amqp_publish(struct amqp_publisher *p, const struct amqp_message *m, void (*done)(int error, void *arg), void *arg)
{
    (void)p;
    assert_in_range(broker.sent, 0, SENDS_MAX - 1);
    snprintf(broker.sends[broker.sent].id, sizeof broker.sends[0].id, "%s", m->message_id);
    broker.sends[broker.sent].done = done;
    broker.sends[broker.sent++].arg = arg;
}

bool cache_write(struct cache_writer *w, struct str type, struct str data, const struct cache_place *at,
                 void (*done)(enum cache_result r, void *arg), void *arg)
{
    (void)w, (void)type, (void)data, (void)at, (void)done, (void)arg;
    return false;
}

bool cache_writer_busy(const struct cache_writer *w)
{
    (void)w;
    return false;
}

void cache_mark(struct cache_writer *w, struct str session, const struct cache_place *at, bool resumed)
{
    (void)w, (void)session, (void)at, (void)resumed;
}

static void answer(int error)
{
    unsigned n = broker.answered++;

    assert_in_range(n, 0, broker.sent - 1);
    broker.sends[n].done(error, broker.sends[n].arg);
}

/* --- the shard --- */

static bool may_publish(void *arg)
{
    (void)arg;
    return true;
}

static void nothing(void *arg)
{
    (void)arg;
}

static void no_pause(bool paused, void *arg)
{
    (void)paused, (void)arg;
}

static void begin(void)
{
    struct pipeline_options o = {.application = 1,
                                 .shard_count = 1,
                                 .crowds = crowds,
                                 .may_publish = may_publish,
                                 .confirmed = nothing,
                                 .pause = no_pause,
                                 .fenced = nothing};

    memset(&broker, 0, sizeof broker);
    memset(crowds, 0, sizeof crowds);
    pipeline = pipeline_new(&o);
    pipeline_session(pipeline, STR("s"), 1, 1, 0);
}

static void message(uint64_t seq, unsigned guild)
{
    char data[64];
    int n = snprintf(data, sizeof data, "{\"guild_id\":\"%u\"}", guild << 22);

    pipeline_push(pipeline, seq, STR("MESSAGE_CREATE"), (struct str){data, (size_t)n});
}

static void end(unsigned confirmed)
{
    assert_int_equal(pipeline_confirmed(pipeline), confirmed);
    assert_true(pipeline_is_empty(pipeline));
    pipeline_free(pipeline);
}

/* --- */

static void many_are_under_way_and_a_failure_begins_with_the_first(void)
{
    begin();
    for (unsigned n = 1; n <= 3; n++)
        message(n, 5);
    assert_int_equal(broker.sent, 3);
    answer(0);
    answer(-EIO);
    answer(0);
    UNTIL(broker.sent == 4);
    assert_string_equal(broker.sends[3].id, "s:2");
    assert_int_equal(pipeline_confirmed(pipeline), 1);
    answer(0);
    end(3);
}
ON_LOOP(many_are_under_way_and_a_failure_begins_with_the_first)

/* Else the third could be taken by a queue that refused the second. */
static void in_a_queue_that_fills_none_overtakes_a_refused_one(void)
{
    begin();
    crowds[5].filling = true;
    message(1, 5);
    message(2, 5);
    message(3, 5);
    message(4, 6);
    assert_int_equal(broker.sent, 1);
    answer(0);
    assert_int_equal(broker.sent, 2);
    answer(-EIO);
    assert_int_equal(broker.sent, 2);
    UNTIL(broker.sent == 3);
    assert_string_equal(broker.sends[2].id, "s:2");
    answer(0);
    assert_string_equal(broker.sends[3].id, "s:3");
    assert_string_equal(broker.sends[4].id, "s:4"); /* another queue's */
    assert_int_equal(broker.sent, 5);
    answer(0);
    answer(0);
    end(4);
}
ON_LOOP(in_a_queue_that_fills_none_overtakes_a_refused_one)

static void typing_is_not_for_a_crowded_queue(void)
{
    struct str typing = STR("{\"guild_id\":\"20971520\"}"); /* 5 << 22 */

    begin();
    pipeline_push(pipeline, 1, STR("TYPING_START"), typing);
    crowds[5].crowded = true;
    pipeline_push(pipeline, 2, STR("TYPING_START"), typing);
    message(3, 5);
    assert_int_equal(broker.sent, 2);
    assert_string_equal(broker.sends[1].id, "s:3");
    answer(0);
    answer(0);
    end(3);
}
ON_LOOP(typing_is_not_for_a_crowded_queue)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_are_under_way_and_a_failure_begins_with_the_first_test),
        cmocka_unit_test(in_a_queue_that_fills_none_overtakes_a_refused_one_test),
        cmocka_unit_test(typing_is_not_for_a_crowded_queue_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
