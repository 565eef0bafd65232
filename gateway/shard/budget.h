/* What a worker may still have sent on one gateway connection: at most `most` commands in any
 * LIMIT_SHARD_SENDS_WINDOW_MS. Zeroed: a new connection. Any thread. Source: Discord API documentation, "Gateway: Rate
 * Limiting" (120 in 60 s, heartbeats included). */
#pragma once

#include "platform/base/limits.h"
#include <stdint.h>

struct budget {
    int64_t sent_ms[LIMIT_SHARD_SENDS]; /* when the last ones left; 0: never */
    unsigned next;
};

/* Commands that may be sent beside heartbeats of this interval, IDENTIFY or RESUME, and the heartbeats that the gateway
 * asks for. At least 1. */
unsigned budget_most(int64_t heartbeat_interval_ms);
void budget_note(struct budget *b, int64_t now_ms);
/* Milliseconds until one more may leave; 0: now. */
int64_t budget_wait_ms(const struct budget *b, unsigned most, int64_t now_ms);
