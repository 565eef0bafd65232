/* What the shard's tests stand on: processes of `guildhall shard`, and a consumer in the workers' place. Loop thread;
 * one test at a time. */
#pragma once

#include "tests/contract/shard/fake_gateway.h"
#include "tests/support/on_loop.h"

#include "platform/base/clock.h"
#include "platform/io/redis.h"

#define APPLICATION 4242
#define PATIENCE_MS 120000 /* nothing here takes a fifth of it on a machine of its own */
#define PROCESSES   4

#define WAIT(condition)                                                                                                \
    do {                                                                                                               \
        int64_t wait_end_ms = clock_mono_ms() + PATIENCE_MS;                                                           \
        while (!(condition) && clock_mono_ms() < wait_end_ms)                                                          \
            co_sleep(10);                                                                                              \
        assert_true(condition);                                                                                        \
    } while (0)

/* What the workers got. */
struct got {
    unsigned copies[FAKE_EVENTS_MAX + 1];
    char ids[FAKE_EVENTS_MAX + 1][32]; /* the message id it came under */
    unsigned count, repeated, renamed, disordered, outdated;
    unsigned last[16]; /* of each guild */
    int64_t epoch;     /* the highest */
    unsigned typings, presences;
    uint64_t reject; /* this message is given up */
};
extern struct got got;

extern struct redis *redis;
extern int processes[PROCESSES];
/* Of processes to be started; begin() sets them. */
extern struct shard_args {
    const char *shards_max, *intents, *worker_groups, *shed_depth;
} shard_args;

void shard_start(int at);
int shard_end(int at, int sig); /* its exit status */
/* Coroutine: an answer of the process's admin port, which it tells once it has been ready. Its status. */
int shard_admin(int at, const char *path, struct buf *ret);
void redis_flush(void);
bool redis_has(const char *key);
void begin(void);
void begin_live(void); /* with process 0 and 20 messages handled */
/* Everything dispatched is there, in order; a second copy only under the first one's id. */
void all_came(void);
void end(void);
uint64_t stored_seq(void); /* what a successor would RESUME from */
/* The same of any shard, of so many, of the set of that generation. */
uint64_t stored_seq_of(unsigned shard, unsigned shard_count, unsigned generation);

/* `guildhall ctl WORDS...` (NULL-terminated, 8 at most); what it prints. Its exit status. */
int ctl_run(char *out, size_t size, const char *const *words);
#define CTL(out, ...) ctl_run(out, sizeof(out), (const char *const[]){__VA_ARGS__, NULL})

/* As ON_LOOP, for a test that stands in main's list in another file. */
#define ON_LOOP_LISTED(body)                                                                                           \
    void body##_test(void **state)                                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        on_loop_run(body);                                                                                             \
    }

/* What workers want sent, with the broker's confirm; key: "4242.<shard>" or "4242.all". The shards' queues up to 1 and
 * the exchange are declared. */
void commands_start(void);
void command_send(const char *key, const char *body, int64_t expiration_ms, int64_t timestamp_s);
void commands_stop(void);

/* Tests of other files, for main's list. */
void a_reshard_loses_nothing_and_repeats_only_the_overlap_test(void **state);
void a_process_killed_after_the_switch_loses_nothing_test(void **state);
void dead_letters_are_listed_replayed_and_dropped_test(void **state);
void typing_is_left_out_while_workers_are_behind_test(void **state);
void commands_are_sent_in_order_within_the_budget_test(void **state);
void commands_that_cannot_be_sent_are_dead_letters_with_a_reason_test(void **state);
void a_command_that_waited_too_long_is_dropped_test(void **state);
void a_command_passed_on_keeps_the_time_that_it_has_left_test(void **state);
void identifies_keep_apart_and_a_killed_processes_shards_resume_test(void **state);
void identifies_end_before_the_days_starts_do_test(void **state);
void a_presence_outlives_session_and_process_test(void **state);
