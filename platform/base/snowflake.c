/* Snowflakes from one atomic word: (milliseconds << 12 | sequence). Any thread. A clock that steps back, or more than
 * 4,096 ids in a millisecond, borrows from the milliseconds to come; ids stay strictly rising. */
#include "platform/base/snowflake.h"

#include "platform/base/check.h"
#include "platform/base/clock.h"
#include <errno.h>
#include <stdatomic.h>

static _Atomic uint64_t last_tick;
static _Atomic uint64_t worker_bits;

void snowflake_init(unsigned worker_id)
{
    CHECK(worker_id < 1024);
    worker_bits = (uint64_t)worker_id << 12;
}

uint64_t snowflake_next(void)
{
    uint64_t now = (uint64_t)(clock_wall_ms() - SNOWFLAKE_EPOCH_MS) << 12;
    uint64_t last = atomic_load_explicit(&last_tick, memory_order_relaxed), tick;

    do
        tick = now > last ? now : last + 1;
    while (!atomic_compare_exchange_weak(&last_tick, &last, tick));
    return (tick >> 12) << 22 | worker_bits | (tick & 0xFFF);
}

int snowflake_parse(struct str s, uint64_t *ret)
{
    uint64_t v;

    if (s.n > 20 || str_to_u64(s, &v) < 0 || v == 0 || v > INT64_MAX)
        return -EINVAL;
    *ret = v;
    return 0;
}
