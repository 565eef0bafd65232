/* share.c on a real Redis: members come, share evenly, go and die. */
#include "cache/share.h"
#include "platform/base/clock.h"
#include "tests/support/on_loop.h"
#include "tests/support/services.h"

#define SLOTS 12

static struct redis *redis;

/* One process's share; `owned` by slot: the epoch. */
struct member {
    struct share *share;
    uint64_t owned[SLOTS];
    unsigned count, lost;
    bool stopped, slow; /* slow: does not release what it should leave */
    bool leaving[SLOTS];
};

static void on_gained(unsigned slot, uint64_t epoch, void *arg)
{
    struct member *m = arg;

    assert_int_equal(m->owned[slot], 0);
    m->owned[slot] = epoch;
    m->count++;
}

static void drop(struct member *m, unsigned slot)
{
    assert_true(m->owned[slot] != 0);
    m->owned[slot] = 0;
    m->count--;
}

static void on_leave(unsigned slot, void *arg)
{
    struct member *m = arg;

    m->leaving[slot] = true;
    if (m->slow)
        return;
    drop(m, slot);
    share_released(m->share, slot);
}

static void on_lost(unsigned slot, void *arg)
{
    struct member *m = arg;

    drop(m, slot);
    m->lost++;
}

static void on_stopped(void *arg)
{
    ((struct member *)arg)->stopped = true;
}

static void join(struct member *m, const char *group, const char *name, unsigned max)
{
    *m = (struct member){0};
    m->share = share_new(&(struct share_options){.redis = redis,
                                                 .name = group,
                                                 .member = name,
                                                 .slots = SLOTS,
                                                 .slots_max = max,
                                                 .ttl_ms = 600,
                                                 .tick_ms = 100,
                                                 .gained = on_gained,
                                                 .leave = on_leave,
                                                 .lost = on_lost,
                                                 .arg = m});
}

static void open_redis(void)
{
    BUF_AUTO struct buf err = BUF_INIT(256);

    redis = redis_new(services_env("REDIS_URL"), &err);
    assert_non_null(redis);
    UNTIL(redis_connected(redis));
}

static void close_redis(void)
{
    redis_free(redis);
    co_sleep(20);
}

/* Nobody holds what another holds. */
static void disjoint(const struct member *a, const struct member *b)
{
    for (int i = 0; i < SLOTS; i++)
        assert_false(a->owned[i] && b->owned[i]);
}

static void members_share_evenly(void)
{
    struct member a, b, c;

    open_redis();
    join(&a, "even", "a", SLOTS);
    UNTIL(a.count == 12);
    uint64_t epoch = a.owned[11];
    join(&b, "even", "b", SLOTS);
    UNTIL(a.count == 6 && b.count == 6);
    disjoint(&a, &b);
    assert_true(b.owned[11] > epoch);
    join(&c, "even", "c", SLOTS);
    UNTIL(a.count == 4 && b.count == 4 && c.count == 4);
    disjoint(&a, &b);
    disjoint(&b, &c);
    share_stop(b.share, on_stopped, &b);
    UNTIL(b.stopped && a.count == 6 && c.count == 6);
    assert_int_equal(a.lost + b.lost + c.lost, 0);
    share_free(a.share);
    share_free(c.share);
    close_redis();
}
ON_LOOP(members_share_evenly)

static void a_dead_members_slots_are_taken(void)
{
    struct member a, b;

    open_redis();
    join(&a, "dead", "a", SLOTS);
    join(&b, "dead", "b", SLOTS);
    UNTIL(a.count == 6 && b.count == 6);
    uint64_t before = a.owned[0] ? a.owned[0] : b.owned[0];
    int64_t start = clock_mono_ms();
    share_free(a.share); /* dies */
    UNTIL(b.count == 12);
    assert_true(clock_mono_ms() - start >= 300); /* its lease had to end */
    assert_true(b.owned[0] >= before);
    share_free(b.share);
    close_redis();
}
ON_LOOP(a_dead_members_slots_are_taken)

static void caps_leave_the_rest_to_others(void)
{
    struct member a, b;

    open_redis();
    join(&a, "caps", "a", 2);
    join(&b, "caps", "b", SLOTS);
    UNTIL(a.count == 2 && b.count == 10);
    share_free(a.share);
    share_free(b.share);
    close_redis();
}
ON_LOOP(caps_leave_the_rest_to_others)

static void what_is_not_released_stays(void)
{
    struct member a, b;

    open_redis();
    join(&a, "slow", "a", SLOTS);
    UNTIL(a.count == 12);
    a.slow = true;
    join(&b, "slow", "b", SLOTS);
    co_sleep(500);
    assert_int_equal(b.count, 0);
    assert_int_equal(a.count, 12);
    for (unsigned i = 0; i < SLOTS; i++)
        if (a.leaving[i]) {
            assert_true(share_holds(a.share, i));
            drop(&a, i);
            share_released(a.share, i);
        }
    UNTIL(b.count == 6);
    disjoint(&a, &b);
    share_free(a.share);
    share_free(b.share);
    close_redis();
}
ON_LOOP(what_is_not_released_stays)

static void without_redis_nobody_holds(void)
{
    struct member a;

    open_redis();
    join(&a, "away", "a", SLOTS);
    UNTIL(a.count == 12);
    assert_true(share_holds(a.share, 3));
    services_do("kill", "redis");
    UNTIL(!share_holds(a.share, 3));
    services_do("start", "redis");
    UNTIL(share_holds(a.share, 3));
    share_stop(a.share, on_stopped, &a);
    UNTIL(a.stopped);
    close_redis();
}
ON_LOOP(without_redis_nobody_holds)

/* Redis forgets who held what; those who hold it have not, and whoever asks first takes nothing from the others. */
static void members_claim_what_redis_forgot(void)
{
    struct member a, b;
    struct redis_reply *reply = NULL;

    open_redis();
    join(&a, "forgot", "a", SLOTS);
    join(&b, "forgot", "b", SLOTS);
    UNTIL(a.count == 6 && b.count == 6);
    struct member a_before = a, b_before = b;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(redis_await(redis, 1, (struct str[]){STR("FLUSHALL")}, &reply), 0);
        redis_reply_free(reply);
        co_sleep(1500);
        assert_memory_equal(a.owned, a_before.owned, sizeof a.owned);
        assert_memory_equal(b.owned, b_before.owned, sizeof b.owned);
        assert_int_equal(a.lost + b.lost, 0);
    }
    share_free(a.share); /* what a dead member does not claim is taken all the same */
    assert_int_equal(redis_await(redis, 1, (struct str[]){STR("FLUSHALL")}, &reply), 0);
    redis_reply_free(reply);
    UNTIL(b.count == 12);
    share_free(b.share);
    close_redis();
}
ON_LOOP(members_claim_what_redis_forgot)

/* Leases lapse while Redis is away; whoever asks its next run first takes nothing from those who still work. */
static void members_keep_what_lapsed_with_redis_away(void)
{
    struct member a, b;

    open_redis();
    join(&a, "lapsed", "a", SLOTS);
    join(&b, "lapsed", "b", SLOTS);
    UNTIL(a.count == 6 && b.count == 6);
    struct member a_before = a, b_before = b;
    services_await("kill", "redis");
    co_sleep(700);
    services_await("start", "redis");
    UNTIL(share_known(a.share) && share_known(b.share));
    co_sleep(700);
    assert_memory_equal(a.owned, a_before.owned, sizeof a.owned);
    assert_memory_equal(b.owned, b_before.owned, sizeof b.owned);
    assert_int_equal(a.lost + b.lost, 0);
    services_await("kill", "redis");
    share_free(a.share); /* what a dead member does not claim is taken all the same */
    services_await("start", "redis");
    UNTIL(b.count == 12);
    share_free(b.share);
    close_redis();
}
ON_LOOP(members_keep_what_lapsed_with_redis_away)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_share_evenly_test),
        cmocka_unit_test(a_dead_members_slots_are_taken_test),
        cmocka_unit_test(caps_leave_the_rest_to_others_test),
        cmocka_unit_test(what_is_not_released_stays_test),
        cmocka_unit_test(without_redis_nobody_holds_test),
        cmocka_unit_test(members_claim_what_redis_forgot_test),
        cmocka_unit_test(members_keep_what_lapsed_with_redis_away_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
