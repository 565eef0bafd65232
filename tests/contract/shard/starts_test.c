/* What sessions cost the upstream: IDENTIFYs keep their distance and end before the day's are used up, whichever
 * process sends them; and what a killed process held goes on elsewhere without any. */
#include "tests/contract/shard/rig.h"

#include "platform/protocol/gateway.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAKEOVER_MS 10000

/* Of 100 starts a day 10 are kept: when they are left nobody identifies, and operators are told; but RESUME goes on;
 * until the upstream has more again. */
static void identifies_end_before_the_days_starts_do(void)
{
    BUF_AUTO struct buf b = BUF_INIT(4u << 20);

    begin();
    fake.starts_total = 100;
    fake.starts_remaining = 12;
    fake.starts_reset_ms = 3600000;
    shard_start(0);
    WAIT(fake.live);
    WAIT(shard_admin(0, "/readyz", &b) == 200);
    fake_op(GATEWAY_OP_INVALID_SESSION, "false");
    WAIT(fake.identifies == 2 && fake.live);
    fake_emit(10);
    all_came();
    fake_cut();
    WAIT(fake.resumes == 1 && fake.live);
    unsigned connects = fake.connects;
    fake_op(GATEWAY_OP_INVALID_SESSION, "false");
    WAIT(fake.connects > connects); /* there it stands, and may not say anything */
    WAIT(shard_admin(0, "/metrics", &b) == 200 && strstr(b.data, "guildhall_shard_starts_blocked 1\n"));
    assert_non_null(strstr(b.data, "guildhall_shard_starts_remaining 10\n"));
    assert_int_equal(shard_admin(0, "/readyz", &b), 503);
    assert_non_null(strstr(b.data, "\"session_starts\":false"));
    co_sleep(4000); /* past the permit's window */
    assert_int_equal(fake.identifies, 2);
    fake.starts_remaining = 100;
    WAIT(fake.identifies == 3 && fake.live);
    fake_emit(10);
    end();
}
ON_LOOP_LISTED(identifies_end_before_the_days_starts_do)

/* --- two processes --- */

static bool working, emitting;
static int64_t late_most_ms;

/* Messages go on; and how late this program notices things, at worst. */
static void emit_main(void *arg)
{
    (void)arg;
    while (working) {
        int64_t begun_ms = clock_mono_ms();
        if (emitting)
            fake_emit(1);
        co_sleep(10);
        if (clock_mono_ms() - begun_ms - 10 > late_most_ms)
            late_most_ms = clock_mono_ms() - begun_ms - 10;
    }
}

/* "epoch:expires_ms:host/pid/..." */
static long owner_of(const char *shard)
{
    struct redis_reply *reply = NULL;
    char text[160] = "";
    long pid = 0;

    if (redis_await(redis, 3, (struct str[]){STR("HGET"), STR("{gh:4242:shards:1/2}:slots"), str_c(shard)}, &reply) < 0)
        return 0;
    if (redis_reply_type(reply) == REDIS_STRING)
        snprintf(text, sizeof text, "%.*s", STR_ARG(redis_reply_str(reply)));
    redis_reply_free(reply);
    const char *slash = strchr(text, '/');
    if (slash)
        pid = strtol(slash + 1, NULL, 10);
    return pid;
}

/* Each process has one of the two shards, and Redis their sessions. */
static void shared_wait(void)
{
    WAIT(stored_seq_of(0, 2, 1) > 0 && stored_seq_of(1, 2, 1) > 0);
    WAIT(fake_live(2) == 2 && owner_of("0") != owner_of("1") &&
         (owner_of("0") == processes[0] || owner_of("0") == processes[1]) &&
         (owner_of("1") == processes[0] || owner_of("1") == processes[1]));
}

/* How long process 0's shard was away when it was killed. */
static int64_t takeover_ms(void)
{
    shared_wait();
    unsigned resumes = fake.resumes;
    int64_t begun_ms = clock_mono_ms();

    shard_end(0, SIGKILL);
    WAIT(fake.resumes > resumes && fake_live(2) == 2);
    return clock_mono_ms() - begun_ms;
}

static void identifies_keep_apart_and_a_killed_processes_shards_resume(void)
{
    int64_t took_ms = INT64_MAX;

    begin();
    fake.shards = 2;
    shard_args.shards_max = "2";
    shard_start(0);
    WAIT(stored_seq_of(0, 2, 1) + stored_seq_of(1, 2, 1) > 0); /* the first session; the other waits for its permit */
    late_most_ms = 0;
    working = true;
    emitting = false;
    assert_int_equal(co_spawn(emit_main, NULL), 0);
    assert_int_equal(shard_end(0, SIGTERM), 0);
    shard_start(1);
    shard_start(0);
    WAIT(fake.identifies == 2 && fake_live(2) == 2);
    assert_true(fake.identify_gap_ms + late_most_ms >= 4500);
    emitting = true;
    for (int tries = 0; tries < 3 && took_ms >= TAKEOVER_MS; tries++) {
        if (!processes[0])
            shard_start(0);
        took_ms = takeover_ms();
        print_message("a killed process's shard is resumed elsewhere after %lld ms\n", (long long)took_ms);
    }
    assert_in_range(took_ms, 0, TAKEOVER_MS - 1);
    working = false;
    co_sleep(50);
    all_came();
    assert_int_equal(fake.identifies, 2);
    end();
}
ON_LOOP_LISTED(identifies_keep_apart_and_a_killed_processes_shards_resume)
