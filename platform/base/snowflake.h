/* Snowflakes: 42 bits of milliseconds since 2015-01-01, 5 bits worker, 5 bits process, 12 bits sequence.
 * Source: Discord API documentation, "Reference: Snowflakes". */
#pragma once

#include "platform/base/str.h"

#define SNOWFLAKE_EPOCH_MS INT64_C(1420070400000)

/* worker_id: 0..1023, unique among the processes that make ids at one time. Once, before any thread makes an id. */
void snowflake_init(unsigned worker_id);
/* Strictly rising within the process, also when the wall clock steps back. Any thread. */
uint64_t snowflake_next(void);

static inline int64_t snowflake_ms(uint64_t id)
{
    return (int64_t)(id >> 22) + SNOWFLAKE_EPOCH_MS;
}

/* 0, -EINVAL: not 1..20 digits, zero, or above 2^63-1. */
int snowflake_parse(struct str s, uint64_t *ret);
