/* A ring of slots; see guard.h. Pure. */
#include "rest-proxy/guard.h"

#include <string.h>

static int *cell_of(struct guard *g, int64_t slot)
{
    return &g->cells[(slot % GUARD_SLOTS + GUARD_SLOTS) % GUARD_SLOTS];
}

static void guard_advance(struct guard *g, int64_t now_ms)
{
    int64_t slot = now_ms / GUARD_SLOT_MS;

    if (slot - g->slot > GUARD_SLOTS)
        guard_init(g, now_ms);
    while (g->slot < slot) {
        int *cell = cell_of(g, ++g->slot);

        g->sum -= *cell;
        *cell = 0;
    }
}

void guard_init(struct guard *g, int64_t now_ms)
{
    memset(g, 0, sizeof(*g));
    g->slot = now_ms / GUARD_SLOT_MS;
}

void guard_add(struct guard *g, int64_t now_ms, int age, int n)
{
    guard_advance(g, now_ms);
    if (age < 0 || age >= GUARD_SLOTS)
        return;
    *cell_of(g, g->slot - age) += n;
    g->sum += n;
}

int guard_sum(struct guard *g, int64_t now_ms)
{
    guard_advance(g, now_ms);
    return g->sum;
}

int64_t guard_wait_ms(struct guard *g, int64_t now_ms)
{
    guard_advance(g, now_ms);
    for (int64_t slot = g->slot - GUARD_SLOTS + 1; slot <= g->slot; slot++)
        if (*cell_of(g, slot) > 0)
            return (slot + GUARD_SLOTS) * GUARD_SLOT_MS - now_ms;
    return GUARD_SLOT_MS;
}
