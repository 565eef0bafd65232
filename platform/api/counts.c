/* Counts that are not in the store. Coroutine. */
#include "platform/api/counts.h"

#include "platform/ports/kv.h"

void api_presence_count(struct api_ctx *x, struct guild *g)
{
    unsigned count = 0;

    (void)kv_entries_count(x->ports->kv, KV_PRESENCE, g->id, &count);
    g->presence_count = count < (uint64_t)g->member_count ? count : g->member_count;
}
