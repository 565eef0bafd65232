/* Another number of shards while messages come: all of them reach the workers, in order, and those that come from both
 * sets are the same messages. */
#include "tests/contract/shard/rig.h"

static bool emitting;

static void emit_main(void *arg)
{
    (void)arg;
    while (emitting && fake.emitted < FAKE_EVENTS_MAX) {
        fake_emit(1);
        co_sleep(10);
    }
}

static void from_two_shards_to_three_and_back_no_message_is_lost(void)
{
    char out[4096];

    begin();
    shard_args.shards_max = "16";
    shard_args.intents = "33281"; /* GUILDS: so that READY tells when all is there */
    fake.shards = 2;
    fake.concurrency = 16;
    shard_start(0);
    WAIT(fake_live(2) == 2);
    emitting = true;
    assert_int_equal(co_spawn(emit_main, NULL), 0);
    WAIT(got.count > 50);
    assert_int_equal(CTL(out, "reshard", "3"), 0);
    WAIT(fake_live(3) == 3 && fake.ended == 2);
    unsigned before = fake.emitted;
    WAIT(got.count > before);
    assert_int_equal(fake.identifies, 5);
    assert_int_equal(fake.resumes, 0);
    assert_int_equal(CTL(out, "reshard", "3"), 1); /* it has them */
    assert_int_equal(CTL(out, "reshard", "2"), 0);
    WAIT(fake_live(2) == 2 && fake.ended == 5);
    before = fake.emitted;
    WAIT(got.count > before);
    emitting = false;
    co_sleep(50);
    WAIT(got.count == fake.emitted);
    assert_int_equal(got.disordered, 0);
    assert_true(got.renamed > 0); /* both sets published for a while */
    got.renamed = 0;
    end();
}
ON_LOOP_LISTED(from_two_shards_to_three_and_back_no_message_is_lost)
