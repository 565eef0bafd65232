/* scheduler.c on the real loop: callers wait on coroutines, an upstream is played by timers. */
#include "tests/support/cm.h"

#include "platform/base/clock.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include "rest-proxy/limiter_local.h"
#include "rest-proxy/scheduler.h"
#include <stdio.h>

#define CALLERS 64

static struct scheduler *scheduler;

struct caller {
    const char *template, *major;
    enum job_priority priority;
    int64_t latency_ms, deadline_ms;
    bool gone;
    enum job_result result;
    int64_t sent_at, wait_ms;
    int order;
};
static struct caller callers[CALLERS];
static unsigned started, ended, expected;
static int order;

/* The upstream: 5 a window of 300 ms for each major; the window opens with its first request. */
static struct {
    int used, rejected, in_flight, in_flight_max;
    int64_t end;
} upstream;

static void upstream_take(struct limiter_outcome *o)
{
    int64_t now = clock_mono_ms();

    if (now >= upstream.end) {
        upstream.end = now + 300;
        upstream.used = 0;
    }
    if (++upstream.used > 5)
        upstream.rejected++;
    *o = (struct limiter_outcome){.kind = LIMITER_ANSWERED, .status = 200, .bucket = STR("hash")};
    o->answer = (struct window_answer){true, 5, 5 - upstream.used, upstream.end, upstream.end - now + 1, true};
}

static bool is_gone(void *arg)
{
    return ((struct caller *)arg)->gone;
}

static void call(void *arg)
{
    struct caller *c = arg;
    struct job j = {.key = {.token = STR("t"), .route = {.template = str_c(c->template), .major = str_c(c->major)}},
                    .priority = c->priority,
                    .gone = is_gone,
                    .gone_arg = c,
                    .deadline_ms = c->deadline_ms};
    struct limiter_outcome o;

    c->result = scheduler_wait(scheduler, &j, false, &c->wait_ms);
    if (c->result == JOB_GO) {
        c->order = ++order;
        c->sent_at = clock_mono_ms();
        if (++upstream.in_flight > upstream.in_flight_max)
            upstream.in_flight_max = upstream.in_flight;
        if (strcmp(c->template, "GET /free") == 0)
            o = (struct limiter_outcome){.kind = LIMITER_ANSWERED, .status = 200, .answer.success = true};
        else
            upstream_take(&o);
        co_sleep(c->latency_ms);
        upstream.in_flight--;
        scheduler_report(scheduler, &j, &o);
    }
    if (++ended == expected)
        loop_stop();
}

static void start_all(void *arg)
{
    (void)arg;
    for (; started < expected; started++)
        assert_int_equal(co_spawn(call, &callers[started]), 0);
}

static void run(unsigned count, int global)
{
    struct limiter_local_options o = {global, 0, clock_mono_ms};
    struct limiter *l = limiter_local_new(&o);

    scheduler = scheduler_new(l);
    memset(&upstream, 0, sizeof(upstream));
    started = ended = 0;
    order = 0;
    expected = count;
    loop_post(start_all, NULL);
    loop_run();
    assert_int_equal(scheduler_queued(scheduler), 0);
    scheduler_free(scheduler);
    l->ops->free(l);
}

static void keeps_the_order_and_the_limit(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        callers[i] = (struct caller){
            .template = "POST /x", .major = "1", .priority = PRIORITY_NORMAL, .latency_ms = 10 + i % 3 * 7};
    run(20, 0);
    assert_int_equal(upstream.rejected, 0);
    assert_true(upstream.in_flight_max >= 4); /* up to `remaining` at once */
    for (int i = 0; i < 20; i++) {
        assert_int_equal(callers[i].result, JOB_GO);
        assert_int_equal(callers[i].order, i + 1);
    }
    assert_true(callers[19].sent_at - callers[0].sent_at < 1500);
}

static void deadlines_and_hangups_leave_the_queue(void **state)
{
    (void)state;
    for (int i = 0; i < 14; i++)
        callers[i] = (struct caller){.template = "POST /x", .major = "1", .priority = PRIORITY_NORMAL, .latency_ms = 5};
    callers[8].gone = true;
    callers[9].deadline_ms = clock_mono_ms() + 100; /* would leave after 300 ms */
    run(14, 0);
    assert_int_equal(callers[8].result, JOB_GONE);
    assert_int_equal(callers[9].result, JOB_DEADLINE);
    assert_true(callers[9].wait_ms > 0);
    assert_int_equal(callers[13].result, JOB_GO);
    assert_int_equal(callers[13].order, 12);
}

static void queues_take_turns_at_the_global_limit(void **state)
{
    static char majors[8][16];

    (void)state;
    for (int i = 0; i < 32; i++) {
        snprintf(majors[i / 4], sizeof(majors[0]), "m%d", i / 4);
        callers[i] = (struct caller){
            .template = "GET /free", .major = majors[i / 4], .priority = PRIORITY_NORMAL, .latency_ms = 1};
    }
    run(32, 10);
    /* Four for each of eight queues, ten a second: nobody's first waits for somebody's fourth. */
    int first_max = 0, last_min = 99;
    for (int i = 0; i < 32; i++) {
        assert_int_equal(callers[i].result, JOB_GO);
        if (i % 4 == 0 && callers[i].order > first_max)
            first_max = callers[i].order;
        if (i % 4 == 3 && callers[i].order < last_min)
            last_min = callers[i].order;
    }
    assert_true(first_max <= 16);
    assert_true(last_min > first_max);
    int64_t times[32];
    for (int i = 0; i < 32; i++)
        times[callers[i].order - 1] = callers[i].sent_at;
    for (int i = 10; i < 32; i++)
        assert_true(times[i] - times[i - 10] >= 1000);
}

static void higher_priorities_overtake(void **state)
{
    static const enum job_priority priorities[] = {PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH};
    int sum[3] = {0};

    (void)state;
    for (int i = 0; i < 15; i++)
        callers[i] =
            (struct caller){.template = "POST /x", .major = "1", .priority = priorities[i / 5], .latency_ms = 5};
    run(15, 0);
    assert_int_equal(upstream.rejected, 0);
    for (int i = 1; i < 15; i++) /* the first one went before the others came */
        sum[i / 5] += callers[i].order;
    assert_int_equal(sum[2], 2 + 3 + 4 + 5 + 6);
    assert_int_equal(sum[1], 7 + 8 + 9 + 10 + 11);
    for (int i = 0; i < 15; i++)
        callers[i].major = i < 5 ? "a" : i < 10 ? "b" : "c", callers[i].template = "GET /free";
    run(15, 3); /* and so do their queues at the global limit, but for those that were there first */
    int last_high = 0, last_low = 0;
    for (int i = 0; i < 15; i++) {
        if (i >= 10 && callers[i].order > last_high)
            last_high = callers[i].order;
        if (i < 5 && callers[i].order > last_low)
            last_low = callers[i].order;
    }
    assert_true(last_high <= 10 && last_low == 15);
}

static void on_drain(void *arg)
{
    (void)arg;
    scheduler_drain(scheduler);
}

static void draining_ends_what_waits(void **state)
{
    struct loop_timer *t = loop_timer_new(on_drain, NULL);

    (void)state;
    for (int i = 0; i < 10; i++)
        callers[i] =
            (struct caller){.template = "POST /x", .major = "1", .priority = PRIORITY_NORMAL, .latency_ms = 50};
    loop_timer_start(t, 30, 0);
    run(10, 0);
    loop_timer_free(t);
    assert_int_equal(callers[0].result, JOB_GO);
    assert_int_equal(callers[9].result, JOB_DRAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order_and_the_limit),
        cmocka_unit_test(deadlines_and_hangups_leave_the_queue),
        cmocka_unit_test(queues_take_turns_at_the_global_limit),
        cmocka_unit_test(higher_priorities_overtake),
        cmocka_unit_test(draining_ends_what_waits),
    };
    loop_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_done();
    return failed;
}
