/* Another number of shards while numbered messages come: none is lost, each guild's order holds, and what comes twice
 * is what the documentation says: the seconds in which both sets publish, and up to 5 s before. */
#include "tests/contract/shard/rig.h"

#include <signal.h>

#define LAG 20 /* messages, one each 10 ms */

static bool emitting;

static void emit_main(void *arg)
{
    (void)arg;
    while (emitting && fake.emitted < FAKE_EVENTS_MAX) {
        fake_emit(1);
        co_sleep(10);
    }
}

/* The old set is behind, as it may be on its own gateway node; and gets messages of its own as its last. */
static void old_lags(unsigned shard_count)
{
    fake.lag_shards = shard_count;
    fake.lag = LAG;
}

static void once(unsigned from, unsigned to)
{
    for (unsigned n = from; n <= to; n++)
        assert_int_equal(got.copies[n], 1);
}

/* Messages of each guild that came twice; none came more often. */
static void twice(unsigned from, unsigned to)
{
    unsigned twice[8] = {0};

    for (unsigned n = from; n <= to; n++) {
        assert_in_range(got.copies[n], 1, 2);
        twice[n % 8] += got.copies[n] == 2;
    }
    for (int i = 0; i < 8; i++)
        assert_true(twice[i] > 0);
}

/* In Redis: all three silent shards have let go of what is this old. */
static bool let_go(const uint64_t *seqs)
{
    for (unsigned i = 0; i < 3; i++)
        if (stored_seq_of(i, 3, 2) < seqs[i])
            return false;
    return true;
}

static int to_three_status;

static void to_three_main(void *arg)
{
    char out[4096];

    (void)arg;
    to_three_status = CTL(out, "reshard", "3");
}

/* 1 to 3: the new set stands beside the old one for longer than it keeps what it does not publish. */
static void to_three(unsigned *ret_once, unsigned *ret_end)
{
    uint64_t seqs[3];

    old_lags(1);
    fake.at_beat = 8;
    fake.hold_guilds = true;
    to_three_status = -1;
    assert_int_equal(co_spawn(to_three_main, NULL), 0);
    WAIT(fake_live(3) == 3);
    unsigned before = fake.emitted;
    WAIT(fake.emitted >= before + 8);
    for (unsigned i = 0; i < 3; i++)
        seqs[i] = fake_last_seq(i, 3);
    *ret_once = fake.emitted;
    WAIT(let_go(seqs));
    assert_int_equal(got.renamed, 0);
    fake_guilds_come();
    WAIT(to_three_status == 0 && fake.ended == 1);
    *ret_end = fake.emitted;
}

static void a_reshard_loses_nothing_and_repeats_only_the_overlap(void)
{
    unsigned once_to, first_end, second_begin, second_end;
    char out[4096];

    begin();
    shard_args.shards_max = "16";
    shard_args.intents = "33281"; /* GUILDS: so that READY tells when all is there */
    fake.concurrency = 16;
    fake.interval_ms = 3600000; /* the only heartbeats are a set's last */
    shard_start(0);
    WAIT(fake_live(1) == 1);
    emitting = true;
    assert_int_equal(co_spawn(emit_main, NULL), 0);
    WAIT(got.count > 50);
    to_three(&once_to, &first_end);
    second_begin = first_end + 50;
    WAIT(fake.emitted > second_begin);
    assert_int_equal(CTL(out, "reshard", "3"), 1); /* it has them */
    old_lags(3);
    fake.at_beat = 0;
    assert_int_equal(CTL(out, "reshard", "1"), 0);
    WAIT(fake_live(1) == 1 && fake.ended == 4);
    second_end = fake.emitted;
    WAIT(fake.emitted > second_end + 50);
    emitting = false;
    co_sleep(50);
    WAIT(got.count == fake.emitted);
    once(1, once_to);
    twice(once_to + 1, first_end);
    once(first_end + 1, second_begin);
    twice(second_begin + 1, second_end);
    once(second_end + 1, fake.emitted);
    assert_int_equal(got.repeated, got.renamed);
    if (fake.lagged_most_ms < 4000) /* a machine that stands still for longer than a set keeps what it has */
        assert_int_equal(got.disordered, 0);
    assert_int_equal(fake.ended_bare, 0);
    assert_true(fake.beside_ms >= 5000);
    assert_int_equal(fake.identifies, 5);
    assert_int_equal(fake.resumes, 0);
    got.renamed = got.disordered = 0;
    end();
}
ON_LOOP_LISTED(a_reshard_loses_nothing_and_repeats_only_the_overlap)

/* Messages that the new set's sessions never had are still on their way to the old one when its process is killed,
 * right after the switch: the next process reads them, and ends the old session. */
static void a_process_killed_after_the_switch_loses_nothing(void)
{
    char out[4096];

    begin();
    shard_args.shards_max = "16";
    fake.concurrency = 16;
    fake.interval_ms = 3600000;
    shard_args.intents = "33281";
    shard_start(0);
    WAIT(fake_live(1) == 1);
    fake_emit(16);
    WAIT(got.count == 16 && stored_seq() == fake_seq_of(16));
    commands_start();
    command_send("4242.all", "{\"op\":3,\"d\":{\"since\":null,\"activities\":[],\"status\":\"idle\"}}", 0, 0);
    WAIT(redis_has("gh:4242:{shards}:presence"));
    commands_stop();
    fake.lag_shards = 1;
    fake.lag = FAKE_EVENTS_MAX;
    fake_emit_alone(1, 8);
    assert_int_equal(CTL(out, "reshard", "2"), 0);              /* ends with the switch */
    assert_string_equal(fake.identify_presence, fake.presence); /* the new set looks like the old one */
    shard_end(0, SIGKILL);
    bool in_time = got.count == 16 && fake.ended == 0; /* or this machine stood still for 5 s */
    shard_start(0);
    WAIT(fake.ended == 1 && fake_live(2) == 2 && got.count == 24);
    assert_int_equal(fake.identifies, 3);
    if (in_time)
        assert_int_equal(fake.resumes, 3);
    fake_emit(16);
    all_came();
    end();
}
ON_LOOP_LISTED(a_process_killed_after_the_switch_loses_nothing)
