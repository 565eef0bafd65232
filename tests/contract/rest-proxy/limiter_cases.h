/* The suite of limiter.h, whatever the implementation, and what tests of one implementation ask with. */
#pragma once

#include "rest-proxy/limiter.h"
#include "tests/support/on_loop.h"

extern int64_t cases_now;
int64_t cases_clock(void);

/* Given by the program: a limiter that goes by cases_clock and knows of nothing. Coroutine. */
struct limiter *cases_make(int global, int invalid_max);

/* Likewise: time passes for a limiter that is alive. */
void cases_pass(struct limiter *l, int64_t ms);

struct limiter_case {
    const char *name;
    void (*body)(void);
};
extern const struct limiter_case limiter_cases[];
extern const unsigned limiter_case_count;

struct limiter_key key(const char *token, const char *template, const char *major);
/* Asks for permits and waits for the answer; `id` gets the bucket's id. */
struct limiter_grant ask_many(struct limiter *l, const struct limiter_key *k, struct buf *id, unsigned want);
struct limiter_grant ask(struct limiter *l, const struct limiter_key *k, struct buf *id);
struct limiter_outcome ok(const char *bucket, int limit, int remaining); /* reset after 5 s */
struct limiter_outcome status(int code);
