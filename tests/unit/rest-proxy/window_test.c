/* window.c: single steps, and many simulated runs against a server that enforces a limit, with random latencies. */
#include "tests/support/cm.h"

#include "rest-proxy/window.h"
#include <stdlib.h>

static struct window_answer answer(int limit, int remaining, int64_t reset_ms, int64_t reset_after_ms)
{
    return (struct window_answer){true, limit, remaining, reset_ms, reset_after_ms, true};
}

static void probes_until_known(void **state)
{
    struct window w = {0};

    (void)state;
    assert_int_equal(window_take(&w, 1000), 0);
    assert_int_equal(window_take(&w, 1000), -1);
    struct window_answer a = answer(5, 4, 0, 900);
    window_answered(&w, 1100, &a);
    for (int i = 0; i < 4; i++)
        assert_int_equal(window_take(&w, 1100), 0);
    assert_int_equal(window_take(&w, 1100), 900);
    /* After the reset: the limit minus the four that are still in flight. */
    assert_int_equal(window_take(&w, 2000), 0);
    assert_int_equal(window_take(&w, 2000), -1);
}

static void without_headers_there_is_no_limit(void **state)
{
    struct window w = {0};
    struct window_answer none = {.success = true}, error = {0};

    (void)state;
    assert_int_equal(window_take(&w, 0), 0);
    window_answered(&w, 1, &error); /* a 502 without headers proves nothing */
    assert_int_equal(window_take(&w, 1), 0);
    assert_int_equal(window_take(&w, 1), -1);
    window_answered(&w, 2, &none);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(window_take(&w, 2), 0);
}

static void a_429_blocks(void **state)
{
    struct window w = {0};
    struct window_answer a = answer(5, 4, 0, 1000);

    (void)state;
    assert_int_equal(window_take(&w, 0), 0);
    window_answered(&w, 0, &a);
    window_exhausted(&w, 10, 5000);
    assert_int_equal(window_take(&w, 1500), 3510);
    assert_int_equal(window_take(&w, 5010), 0);
}

static void lost_answers_never_stop_it(void **state)
{
    struct window w = {0};
    struct window_answer a = answer(2, 1, 0, 1000);
    int64_t now = 0;

    (void)state;
    assert_int_equal(window_take(&w, now), 0);
    window_answered(&w, now, &a);
    for (int i = 0; i < 20; i++) {
        int64_t wait = window_take(&w, now);
        assert_true(wait >= 0 && wait <= 1000);
        now += wait;
        if (wait == 0)
            window_lost(&w, now);
    }
    assert_true(now > 5000);
}

/* --- the simulated upstream: a fixed window that opens with its first request --- */

struct sim_request {
    int64_t arrive, answer; /* times */
    bool arrived, done, lost;
    struct window_answer a;
};

struct sim {
    int limit;
    int64_t length, latency_max, now;
    bool send_reset;
    int64_t clock_skew;
    int used;
    int64_t window_end;
    int rejected, served;
    struct sim_request req[4096];
    unsigned sent;
};

static void sim_arrive(struct sim *s, struct sim_request *r)
{
    if (s->now >= s->window_end) {
        s->window_end = s->now + s->length;
        s->used = 0;
    }
    r->arrived = true;
    if (s->used >= s->limit)
        s->rejected++;
    else
        s->used++;
    int64_t skew = s->clock_skew && rand() % 2 ? s->clock_skew : 0;
    r->a = answer(s->limit, s->limit - s->used, s->send_reset ? s->window_end + 1000000 + skew : 0,
                  s->window_end - s->now);
    s->served++;
}

static void sim_step(struct sim *s, struct window *w)
{
    for (unsigned i = 0; i < s->sent; i++) {
        struct sim_request *r = &s->req[i];

        if (!r->arrived && r->arrive <= s->now)
            sim_arrive(s, r);
        if (r->done || r->answer > s->now)
            continue;
        r->done = true;
        if (r->lost)
            window_lost(w, s->now);
        else
            window_answered(w, s->now, &r->a);
    }
}

static void sim_run(struct sim *s, int64_t duration, int lost_percent)
{
    struct window w = {0};

    for (s->now = 10000; s->now < 10000 + duration; s->now++) {
        sim_step(s, &w);
        bool lull = s->now / 3000 % 3 == 2; /* traffic comes and goes */
        while (!lull && s->sent < 4096 && window_take(&w, s->now) == 0) {
            struct sim_request *r = &s->req[s->sent++];

            *r = (struct sim_request){.arrive = s->now + rand() % (s->latency_max + 1)};
            r->answer = r->arrive + 1 + rand() % (s->latency_max + 1);
            r->lost = rand() % 100 < lost_percent;
        }
    }
}

static void never_a_429(void **state)
{
    static struct sim s;

    (void)state;
    srand(1);
    for (int run = 0; run < 300; run++) {
        s = (struct sim){.limit = 1 + rand() % 20,
                         .length = run % 3 ? 1000 + rand() % 5000 : 250,
                         .latency_max = rand() % 200,
                         .send_reset = run % 2,
                         .clock_skew = run % 4 == 1 ? 90 : 0};
        sim_run(&s, 20000, run % 5 == 0 ? 3 : 0);
        assert_int_equal(s.rejected, 0);
        /* and it is not slow: at least half of what the limit allows while there is traffic */
        int64_t windows = 20000 * 2 / 3 / (s.length + 2 * s.latency_max);
        assert_true(s.served >= windows * s.limit / 2 || s.sent == 4096);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probes_until_known), cmocka_unit_test(without_headers_there_is_no_limit),
        cmocka_unit_test(a_429_blocks),       cmocka_unit_test(lost_answers_never_stop_it),
        cmocka_unit_test(never_a_429),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
