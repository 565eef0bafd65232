/* Counts what happened in the last ten minutes, by slots of ten seconds: invalid requests, of which the upstream allows
 * 10,000 before it bans the address. Pure; one owner.
 * Source: Discord API documentation, "Rate Limits: Invalid Request Limit". */
#pragma once

#include <stdint.h>

#define GUARD_SLOT_MS 10000
#define GUARD_SLOTS   60

struct guard {
    int cells[GUARD_SLOTS];
    int64_t slot; /* the newest slot's number since the clock's start */
    int sum;
};

void guard_init(struct guard *g, int64_t now_ms);
/* Counts n in the slot that is `age` slots old (0: now). */
void guard_add(struct guard *g, int64_t now_ms, int age, int n);
int guard_sum(struct guard *g, int64_t now_ms);
/* Until the oldest slot that counts slides out; a slot's length when none counts. */
int64_t guard_wait_ms(struct guard *g, int64_t now_ms);
