/* The workers' queues: what they gave up, and what is left out while they are behind. */
#include "tests/contract/shard/rig.h"

#include <string.h>

/* The broker moves a dead letter in its own time. */
static void dead_letters_wait(const char *text)
{
    char out[4096] = "";
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;

    while (!strstr(out, text) && clock_mono_ms() < end_ms) {
        (void)CTL(out, "dlq", "list");
        co_sleep(50);
    }
    assert_non_null(strstr(out, text));
}

/* What an earlier look took is back in its place a moment after that has ended. */
static void dead_letters_do(const char *what, const char *which)
{
    char out[4096];
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;
    int status = -1;

    while (status != 0 && clock_mono_ms() < end_ms) {
        status = CTL(out, "dlq", what, which);
        co_sleep(50);
    }
    assert_int_equal(status, 0);
}

static void dead_letters_are_listed_replayed_and_dropped(void)
{
    char out[4096];

    begin_live();
    got.reject = 25;
    fake_emit(10);
    WAIT(got.count == 29);
    dead_letters_wait("fake1:26 event=MESSAGE_CREATE");
    got.reject = 0;
    assert_int_equal(CTL(out, "dlq", "replay", "nobody:1"), 1);
    dead_letters_do("replay", "fake1:26");
    WAIT(got.count == 30);
    assert_string_equal(got.ids[25], "fake1:26");
    got.disordered = 0; /* that one came late */
    dead_letters_wait("0 dead letters");
    got.reject = 31;
    fake_emit(5);
    WAIT(got.count == 34);
    dead_letters_wait("1 dead letters");
    dead_letters_do("drop", "all");
    dead_letters_wait("0 dead letters");
    fake.emitted--; /* nobody gets it */
    end();
}
ON_LOOP_LISTED(dead_letters_are_listed_replayed_and_dropped)

/* A group that nobody works for fills its queues: then a message comes without the typing and the presence that went
 * before it, while no message is left out. */
static void typing_is_left_out_while_workers_are_behind(void)
{
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;
    bool left_out = false;

    begin();
    shard_args.worker_groups = "workers,idle";
    shard_args.shed_depth = "20";
    shard_start(0);
    WAIT(fake.live);
    fake_fleeting();
    fake_emit(1);
    all_came();
    assert_int_equal(got.typings, 1);
    assert_int_equal(got.presences, 1);
    fake_emit(40 * 8);
    all_came();
    while (!left_out && clock_mono_ms() < end_ms) {
        unsigned typings = got.typings, presences = got.presences;
        fake_fleeting();
        fake_emit(1);
        all_came();
        left_out = got.typings == typings && got.presences == presences;
        co_sleep(100);
    }
    assert_true(left_out);
    end();
}
ON_LOOP_LISTED(typing_is_left_out_while_workers_are_behind)
