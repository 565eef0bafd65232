/* `guildhall shard` processes between an upstream under the test's control, a real Redis and a real RabbitMQ: whatever
 * is dispatched reaches the workers' queues, in order, and twice only under the same message id, through lost sockets,
 * op 7 and op 9, a broker that is away, kill -9, a handover and a holder that slept through its lease. */
#include "tests/contract/shard/fake_gateway.h"
#include "tests/support/on_loop.h"
#include "tests/support/services.h"

#include "cache/broker.h"
#include "platform/base/clock.h"
#include "platform/base/mem.h"
#include "platform/io/amqp.h"
#include "platform/io/redis.h"
#include "platform/protocol/gateway.h"
#include "platform/protocol/json_text.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define APPLICATION 4242
#define PATIENCE_MS 120000 /* nothing here takes a fifth of it on a machine of its own */
#define PROCESSES   4

/* --- what the workers get --- */

static struct amqp_consumer *consumer;
static struct broker_topology topology;
static struct redis *redis;

static struct {
    unsigned copies[FAKE_EVENTS_MAX + 1];
    char ids[FAKE_EVENTS_MAX + 1][32]; /* the message id it came under */
    unsigned count, repeated, renamed, disordered, outdated;
    unsigned last[8]; /* of each guild */
    int64_t epoch;    /* the highest */
} got;

static void on_delivery(const struct amqp_delivery *d, void *arg)
{
    uint64_t n = json_member_id(d->body, STR("id"));
    int64_t epoch = 0;

    (void)arg;
    amqp_ack(consumer, d->tag, d->epoch, false);
    if (!str_eq(d->type, STR("MESSAGE_CREATE")))
        return;
    assert_in_range(n, 1, FAKE_EVENTS_MAX);
    assert_true(amqp_delivery_header_int(d, BROKER_HEADER_EPOCH, &epoch));
    got.outdated += epoch < got.epoch;
    if (epoch > got.epoch)
        got.epoch = epoch;
    if (got.copies[n]++) {
        got.repeated++;
        got.renamed += !str_eq(d->message_id, str_c(got.ids[n]));
        return;
    }
    got.count++;
    snprintf(got.ids[n], sizeof got.ids[n], "%.*s", STR_ARG(d->message_id));
    got.disordered += n < got.last[n % 8];
    got.last[n % 8] = (unsigned)n;
}

/* --- shard processes --- */

static int processes[PROCESSES];

static void shard_start(int at)
{
    char upstream[64];

    snprintf(upstream, sizeof upstream, "http://127.0.0.1:%d/api", fake_port());
    const char *program = services_env("GUILDHALL_BIN");
    processes[at] = fork();
    if (processes[at] == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails ends at once */
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
        setenv("DISCORD_TOKEN", "NDI0Mg.x.y", 1);
        execl(program, "guildhall", "shard", "--upstream", upstream, "--redis-url", getenv("REDIS_URL"), "--amqp-url",
              getenv("AMQP_URL"), "--compress", "off", "--shards-max", "1", "--log-level",
              getenv("SHARD_LOG") ? "debug" : "warn", (char *)NULL);
        _exit(127);
    }
}

static int shard_end(int at, int sig)
{
    int status = 0, pid = processes[at];
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;

    if (!pid)
        return 0;
    processes[at] = 0;
    kill(pid, sig);
    kill(pid, SIGCONT);
    while (waitpid(pid, &status, WNOHANG) == 0 && clock_mono_ms() < end_ms)
        co_sleep(20);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* --- a test's beginning and end --- */

#define WAIT(condition)                                                                                                \
    do {                                                                                                               \
        int64_t wait_end_ms = clock_mono_ms() + PATIENCE_MS;                                                           \
        while (!(condition) && clock_mono_ms() < wait_end_ms)                                                          \
            co_sleep(10);                                                                                              \
        assert_true(condition);                                                                                        \
    } while (0)

static void redis_flush(void)
{
    struct redis_reply *reply = NULL;

    WAIT(redis_connected(redis));
    assert_int_equal(redis_await(redis, 1, (struct str[]){STR("FLUSHALL")}, &reply), 0);
    redis_reply_free(reply);
}

static void begin(void)
{
    static const char *groups[] = {BROKER_GROUP_DEFAULT};
    BUF_AUTO struct buf err = {0}, queue = {0};

    memset(&got, 0, sizeof got);
    fake_start();
    redis = redis_new(services_env("REDIS_URL"), &err);
    redis_flush();
    broker_topology_init(&topology, APPLICATION, groups, 1);
    consumer =
        amqp_consumer_new(services_env("AMQP_URL"), topology.declares, topology.count, 1000, on_delivery, NULL, &err);
    assert_non_null(consumer);
    for (unsigned p = 0; p < BROKER_PARTITIONS; p++) {
        buf_clear(&queue);
        broker_queue(&queue, APPLICATION, BROKER_GROUP_DEFAULT, p);
        amqp_consumer_add(consumer, queue.data);
    }
    WAIT(amqp_consumer_connected(consumer));
}

/* Everything dispatched is there, in order; a second copy only under the first one's id. */
static void all_came(void)
{
    WAIT(got.count == fake.emitted);
    assert_int_equal(got.disordered, 0);
    assert_int_equal(got.renamed, 0);
}

/* A process that is told to stop leaves what it has not read to its successor; here comes none. */
static void end(void)
{
    all_came();
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(shard_end(i, SIGTERM), 0);
    all_came();
    amqp_consumer_free(consumer);
    broker_topology_done(&topology);
    redis_free(redis);
    fake_stop();
    co_sleep(50); /* for what they post */
}

/* What a successor would RESUME from. */
static uint64_t stored_seq(void)
{
    struct redis_reply *reply = NULL;
    uint64_t seq = 0;

    if (redis_await(redis, 3, (struct str[]){STR("HGET"), STR("gh:4242:{shard:0/1}:session"), STR("seq")}, &reply) < 0)
        return 0;
    seq = (uint64_t)redis_reply_int(reply);
    redis_reply_free(reply);
    return seq;
}

static void begin_live(void)
{
    begin();
    shard_start(0);
    WAIT(fake.live);
    fake_emit(20);
    WAIT(got.count == 20 && stored_seq() == fake_seq_of(20));
}

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
    WAIT(fake.resumes == 1 && fake.live);
    fake.no_ack = true;
    WAIT(fake.resumes >= 2);
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

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_dispatched_is_published_once_and_in_order_test),
        cmocka_unit_test(a_lost_connection_is_resumed_test),
        cmocka_unit_test(a_gateway_that_does_not_answer_heartbeats_is_left_test),
        cmocka_unit_test(a_session_declared_over_is_begun_anew_test),
        cmocka_unit_test(after_a_dead_node_the_shard_is_back_soon_test),
        cmocka_unit_test(resume_begins_behind_what_was_confirmed_test),
        cmocka_unit_test(a_broker_that_restarts_loses_nothing_test),
        cmocka_unit_test(a_process_that_stops_hands_its_shard_over_test),
        cmocka_unit_test(a_holder_that_slept_through_its_lease_is_fenced_test),
        cmocka_unit_test(a_redis_that_forgot_everything_loses_no_event_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
