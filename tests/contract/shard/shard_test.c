/* `guildhall shard` processes between an upstream under the test's control, a real Redis and a real RabbitMQ: whatever
 * is dispatched reaches the workers' queues, in order, and twice only under the same message id, through lost sockets,
 * op 7 and op 9, a broker that is away, kill -9, a handover and a holder that slept through its lease. */
#include "tests/contract/shard/rig.h"
#include "tests/support/services.h"

#include "platform/protocol/gateway.h"

#include <signal.h>
#include <unistd.h>

/* --- what must hold --- */

static void what_is_dispatched_is_published_once_and_in_order(void)
{
    begin_live();
    fake_emit(3000);
    all_came();
    assert_int_equal(got.repeated, 0);
    assert_string_equal(got.ids[1], "fake1:2");
    end();
}
ON_LOOP(what_is_dispatched_is_published_once_and_in_order)

static void memory_max(const char *bytes)
{
    struct redis_reply *reply;

    assert_int_equal(
        redis_await(redis, 4, (struct str[]){STR("CONFIG"), STR("SET"), STR("maxmemory"), str_c(bytes)}, &reply), 0);
    redis_reply_free(reply);
}

/* The cache loses what changes, workers lose nothing, and leases and sessions are kept. */
static void a_full_redis_stops_no_event(void)
{
    begin_live();
    memory_max("1");
    fake_emit(500);
    all_came();
    WAIT(stored_seq() == fake_seq_of(fake.emitted));
    fake_cut();
    WAIT(fake.resumes == 1 && fake.live);
    fake_emit(10);
    memory_max("0");
    all_came();
    assert_int_equal(fake.identifies, 1);
    end();
}
ON_LOOP(a_full_redis_stops_no_event)

/* A cut socket, op 7, a resumable op 9 and a close that keeps the session: RESUME, from what was received. */
static void a_lost_connection_is_resumed(void)
{
    begin_live();
    for (unsigned i = 0; i < 4; i++) {
        fake_emit(10);
        if (i == 0)
            fake_cut();
        else if (i == 1)
            fake_op(GATEWAY_OP_RECONNECT, "null");
        else if (i == 2)
            fake_op(GATEWAY_OP_INVALID_SESSION, "true");
        else
            fake_close(4000);
        fake_emit(10);
        WAIT(fake.resumes == i + 1 && fake.live);
    }
    all_came();
    assert_int_equal(fake.identifies, 1);
    assert_int_equal(got.repeated, 0);
    end();
}
ON_LOOP(a_lost_connection_is_resumed)

static void a_gateway_that_does_not_answer_heartbeats_is_left(void)
{
    begin_live();
    fake.interval_ms = 300;
    fake_cut();
    WAIT(fake.resumes >= 1 && fake.live);
    unsigned before = fake.resumes; /* an ACK may have come too late on a busy machine */
    fake.no_ack = true;
    WAIT(fake.resumes > before);
    fake.no_ack = false;
    fake.interval_ms = 45000;
    fake_emit(10);
    end();
}
ON_LOOP(a_gateway_that_does_not_answer_heartbeats_is_left)

static void a_session_declared_over_is_begun_anew(void)
{
    begin_live();
    fake_op(GATEWAY_OP_INVALID_SESSION, "false");
    WAIT(fake.identifies == 2 && fake.live);
    fake_emit(10);
    fake_close(4009);
    WAIT(fake.identifies == 3 && fake.live);
    assert_int_equal(fake.resumes, 0);
    fake_emit(10);
    all_came();
    assert_int_equal(got.repeated, 0);
    end();
}
ON_LOOP(a_session_declared_over_is_begun_anew)

/* The node is gone, its address is told for a while more, and the next node does not know the session: the pause that
 * grew while nobody answered must not delay the IDENTIFY. */
static void after_a_dead_node_the_shard_is_back_soon(void)
{
    char alive[64];

    begin_live();
    snprintf(alive, sizeof alive, "%s", fake.gateway_url);
    snprintf(fake.resume_url, sizeof fake.resume_url, "ws://127.0.0.1:1"); /* nobody listens there */
    fake_op(GATEWAY_OP_INVALID_SESSION, "false");                          /* so that it learns the address */
    WAIT(fake.identifies == 2 && fake.live);
    fake_emit(1);
    all_came(); /* so that it has read READY */
    snprintf(fake.gateway_url, sizeof fake.gateway_url, "ws://127.0.0.1:1");
    fake.refuse_resume = true;
    fake_cut();
    co_sleep(2500);
    assert_int_equal(fake.resumes, 0); /* or it asked the gateway that it had asked before */
    co_sleep(3500);
    snprintf(fake.gateway_url, sizeof fake.gateway_url, "%s", alive);
    WAIT(fake.identifies == 3 && fake.live);
    assert_int_equal(fake.resumes, 1);
    assert_true(fake.identified_ms - fake.refused_ms < 10000);
    fake_emit(10);
    end();
}
ON_LOOP(after_a_dead_node_the_shard_is_back_soon)

/* What the broker has not confirmed is asked for again by the successor of a process that was killed. */
static void resume_begins_behind_what_was_confirmed(void)
{
    begin_live();
    services_do("kill", "rabbitmq");
    fake_emit(30);
    co_sleep(500);
    shard_end(0, SIGKILL);
    services_do("start", "rabbitmq");
    shard_start(1);
    WAIT(fake.resumes == 1 && fake.live);
    assert_true(fake.resume_seq >= 1 && fake.resume_seq <= fake_seq_of(20));
    all_came();
    assert_int_equal(fake.identifies, 1);
    end();
}
ON_LOOP(resume_begins_behind_what_was_confirmed)

static void a_broker_that_restarts_loses_nothing(void)
{
    begin_live();
    services_do("kill", "rabbitmq");
    fake_emit(500);
    services_do("start", "rabbitmq");
    fake_emit(500);
    all_came();
    assert_int_equal(fake.identifies, 1);
    end();
}
ON_LOOP(a_broker_that_restarts_loses_nothing)

static bool emitting;

static void emit_main(void *arg)
{
    (void)arg;
    while (emitting && fake.emitted < FAKE_EVENTS_MAX) {
        fake_emit(1);
        co_sleep(2);
    }
}

/* SIGTERM under load: the other process goes on where this one ended. */
static void a_process_that_stops_hands_its_shard_over(void)
{
    begin_live();
    emitting = true;
    assert_int_equal(co_spawn(emit_main, NULL), 0);
    shard_start(1);
    co_sleep(3000); /* it may be given the shard at once: that is a handover, too */
    WAIT(fake.live);
    assert_int_equal(shard_end(0, SIGTERM), 0);
    WAIT(fake.resumes >= 1 && fake.live);
    unsigned before = fake.emitted;
    WAIT(got.count > before);
    emitting = false;
    co_sleep(50);
    all_came();
    assert_int_equal(fake.identifies, 1);
    assert_int_equal(got.repeated, 0);
    end();
}
ON_LOOP(a_process_that_stops_hands_its_shard_over)

/* A holder that was stopped for longer than its lease wakes up beside its successor, on a socket that still brings
 * events: it may publish none of them. */
static void a_holder_that_slept_through_its_lease_is_fenced(void)
{
    begin_live();
    fake.keep_old = true;
    kill(processes[0], SIGSTOP);
    shard_start(1);
    WAIT(fake.resumes == 1 && fake.live);
    fake_emit(50);
    WAIT(got.count == 70);
    kill(processes[0], SIGCONT);
    for (int i = 0; i < 100; i++) {
        fake_emit(1);
        co_sleep(20);
    }
    all_came();
    assert_int_equal(got.outdated, 0);
    assert_int_equal(got.repeated, 0);
    assert_int_equal(fake.identifies, 1);
    end();
}
ON_LOOP(a_holder_that_slept_through_its_lease_is_fenced)

/* Leases and sessions are gone from Redis, not from the process that had them. */
static void a_redis_that_forgot_everything_loses_no_event(void)
{
    begin_live();
    emitting = true;
    assert_int_equal(co_spawn(emit_main, NULL), 0);
    redis_flush();
    co_sleep(4000);
    WAIT(fake.live);
    unsigned before = fake.emitted;
    WAIT(got.count > before);
    emitting = false;
    co_sleep(50);
    all_came();
    assert_int_equal(fake.identifies, 1);
    end();
}
ON_LOOP(a_redis_that_forgot_everything_loses_no_event)

/* A Redis that came back with nothing is told how far a shard is though no event comes; so its holder may die. */
static void a_quiet_shard_outlives_an_emptied_redis(void)
{
    begin_live();
    services_redis_empty();
    WAIT(stored_seq() == fake_seq_of(20));
    shard_end(0, SIGKILL);
    fake_emit(30);
    shard_start(1);
    all_came();
    assert_int_equal(fake.identifies, 1);
    end();
}
ON_LOOP(a_quiet_shard_outlives_an_emptied_redis)

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_dispatched_is_published_once_and_in_order_test),
        cmocka_unit_test(a_full_redis_stops_no_event_test),
        cmocka_unit_test(a_lost_connection_is_resumed_test),
        cmocka_unit_test(a_gateway_that_does_not_answer_heartbeats_is_left_test),
        cmocka_unit_test(a_session_declared_over_is_begun_anew_test),
        cmocka_unit_test(after_a_dead_node_the_shard_is_back_soon_test),
        cmocka_unit_test(resume_begins_behind_what_was_confirmed_test),
        cmocka_unit_test(a_broker_that_restarts_loses_nothing_test),
        cmocka_unit_test(a_process_that_stops_hands_its_shard_over_test),
        cmocka_unit_test(a_holder_that_slept_through_its_lease_is_fenced_test),
        cmocka_unit_test(a_redis_that_forgot_everything_loses_no_event_test),
        cmocka_unit_test(a_quiet_shard_outlives_an_emptied_redis_test),
        cmocka_unit_test(identifies_end_before_the_days_starts_do_test),
        cmocka_unit_test(identifies_keep_apart_and_a_killed_processes_shards_resume_test),
        cmocka_unit_test(dead_letters_are_listed_replayed_and_dropped_test),
        cmocka_unit_test(typing_is_left_out_while_workers_are_behind_test),
        cmocka_unit_test(a_reshard_loses_nothing_and_repeats_only_the_overlap_test),
        cmocka_unit_test(a_process_killed_after_the_switch_loses_nothing_test),
        cmocka_unit_test(commands_are_sent_in_order_within_the_budget_test),
        cmocka_unit_test(commands_that_cannot_be_sent_are_dead_letters_with_a_reason_test),
        cmocka_unit_test(a_command_that_waited_too_long_is_dropped_test),
        cmocka_unit_test(a_command_passed_on_keeps_the_time_that_it_has_left_test),
        cmocka_unit_test(a_presence_outlives_session_and_process_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
