/* The ids of other nodes' logs. */
#include "gateway/server/past.h"

#include "gateway/server/server.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/base/snowflake.h"

#include <stdio.h>

#define CLOCKS_APART_MS 1000 /* of the processes that make ids, and this one */

struct past {
    struct list item; /* in gateway.pasts while it has ids */
    int refs;
    int64_t used_ms;
    char run[40];
    struct map entries; /* event id -> the first entry with it, as a pointer */
};

struct past *past_new(struct gateway *g, const char *run)
{
    struct past *p = MEM_NEW(struct past);

    *p = (struct past){.refs = 1, .used_ms = clock_mono_ms()};
    snprintf(p->run, sizeof p->run, "%s", run);
    list_init(&p->item);
    list_append(&g->pasts, &p->item);
    return p;
}

struct past *past_ref(struct past *p)
{
    p->refs++;
    p->used_ms = clock_mono_ms();
    return p;
}

void past_unref(struct past *p)
{
    if (!p || --p->refs > 0)
        return;
    list_remove(&p->item);
    map_done(&p->entries);
    mem_free(p);
}

const char *past_run(const struct past *p)
{
    return p->run;
}

void past_add(struct past *p, uint64_t id, uint64_t entry)
{
    if (id && !map_get(&p->entries, id))
        (void)map_put(&p->entries, id, (void *)(uintptr_t)entry); /* NOLINT(performance-no-int-to-ptr) */
}

/* Sessions may hold it for weeks: only the ids go. */
void past_tick(struct gateway *g, int64_t now_ms)
{
    LIST_FOREACH_SAFE(it, &g->pasts)
    {
        struct past *p = LIST_ENTRY(it, struct past, item);
        if (now_ms - p->used_ms < LIMIT_PAST_MS)
            continue;
        list_remove(it);
        map_done(&p->entries);
        p->entries = (struct map){0};
    }
}

void past_find(const struct gateway *g, uint64_t id, struct past_hits *ret)
{
    ret->count = 0;
    if (list_empty(&g->pasts) || clock_wall_ms() - snowflake_ms(id) < LIMIT_OUTBOX_PENDING_MS - CLOCKS_APART_MS)
        return;
    LIST_FOREACH(it, &g->pasts)
    {
        const struct past *p = LIST_ENTRY(it, struct past, item);
        uint64_t entry = (uintptr_t)map_get(&p->entries, id);
        if (!entry || ret->count == PAST_HITS_MAX)
            continue;
        ret->hits[ret->count].past = p;
        ret->hits[ret->count++].entry = entry;
    }
}

bool past_had(const struct past_hits *h, const struct past_home *homes, unsigned count)
{
    for (unsigned i = 0; i < h->count; i++)
        for (unsigned k = 0; k < count; k++)
            if (h->hits[i].past == homes[k].past && h->hits[i].entry <= homes[k].entry)
                return true;
    return false;
}
