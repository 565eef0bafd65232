/* A session's last dispatches, for RESUME: a ring of references to encoded events, bounded by LIMIT_REPLAY_EVENTS and
 * LIMIT_REPLAY_BYTES; the oldest go first. Sequence numbers have no holes, so they are not stored. Loop thread. */
#pragma once

#include "gateway/server/encoded.h"

struct replay {
    uintptr_t *slots;           /* event pointer with its redaction in the lowest bits */
    unsigned cap, first, count; /* cap: 0 or a power of two */
    uint32_t bytes;
};

void replay_done(struct replay *r);
/* Takes a reference of its own. */
void replay_push(struct replay *r, struct encoded *e, enum redaction redaction);
/* Would pushing this one drop the oldest? */
bool replay_is_full(const struct replay *r, const struct encoded *e);
/* Drops all but the latest `keep`; gives memory back. */
void replay_trim(struct replay *r, unsigned keep);
/* Asks the processor for the latest slots. */
static inline void replay_warm(const struct replay *r)
{
    if (r->count)
        __builtin_prefetch(&r->slots[(r->first + r->count - 1) & (r->cap - 1)]);
}
/* i = 0: the oldest kept. Borrowed. */
struct encoded *replay_at(const struct replay *r, unsigned i, enum redaction *ret_redaction);
