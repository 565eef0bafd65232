/* How many commands a gateway connection takes. Any thread. */
#include "gateway/shard/budget.h"

#define BEATS_ASKED_FOR 4 /* op 1 from the gateway, in a minute */

unsigned budget_most(int64_t heartbeat_interval_ms)
{
    int64_t beats = LIMIT_SHARD_SENDS_WINDOW_MS / (heartbeat_interval_ms > 0 ? heartbeat_interval_ms : 1) + 1;
    int64_t most = LIMIT_SHARD_SENDS - beats - BEATS_ASKED_FOR - 1;

    return most > 1 ? (unsigned)most : 1;
}

void budget_note(struct budget *b, int64_t now_ms)
{
    b->sent_ms[b->next++ % LIMIT_SHARD_SENDS] = now_ms;
}

int64_t budget_wait_ms(const struct budget *b, unsigned most, int64_t now_ms)
{
    int64_t first_ms = b->next < most ? 0 : b->sent_ms[(b->next - most) % LIMIT_SHARD_SENDS];

    if (first_ms == 0 || now_ms - first_ms >= LIMIT_SHARD_SENDS_WINDOW_MS)
        return 0;
    return first_ms + LIMIT_SHARD_SENDS_WINDOW_MS - now_ms;
}
