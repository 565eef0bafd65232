/* The replay ring. It starts with a few slots and doubles up to its limit, since most sessions see little. Loop thread.
 */
#include "gateway/server/replay.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"

#define FIRST_SLOTS    8
#define REDACTION_BITS 3u

static struct encoded *slot_event(uintptr_t slot)
{
    return (struct encoded *)(slot & ~(uintptr_t)REDACTION_BITS);
}

static void replay_drop(struct replay *r)
{
    struct encoded *e = slot_event(r->slots[r->first]);

    r->bytes -= (uint32_t)encoded_bytes(e);
    encoded_unref(e);
    r->first = (r->first + 1) & (r->cap - 1);
    r->count--;
}

void replay_done(struct replay *r)
{
    while (r->count)
        replay_drop(r);
    mem_free(r->slots);
    *r = (struct replay){0};
}

static void replay_resize(struct replay *r, unsigned cap)
{
    uintptr_t *slots = mem_alloc(sizeof *slots * cap);

    for (unsigned i = 0; i < r->count; i++)
        slots[i] = r->slots[(r->first + i) & (r->cap - 1)];
    mem_free(r->slots);
    r->slots = slots;
    r->cap = cap;
    r->first = 0;
}

bool replay_is_full(const struct replay *r, const struct encoded *e)
{
    return r->count && (r->count == LIMIT_REPLAY_EVENTS || r->bytes + encoded_bytes(e) > LIMIT_REPLAY_BYTES);
}

void replay_push(struct replay *r, struct encoded *e, enum redaction redaction)
{
    while (replay_is_full(r, e))
        replay_drop(r);
    if (r->count == r->cap)
        replay_resize(r, r->cap ? r->cap * 2 : FIRST_SLOTS);
    r->slots[(r->first + r->count++) & (r->cap - 1)] = (uintptr_t)encoded_ref(e) | redaction;
    r->bytes += (uint32_t)encoded_bytes(e);
}

void replay_trim(struct replay *r, unsigned keep)
{
    while (r->count > keep)
        replay_drop(r);
    if (r->count == 0)
        replay_done(r);
    else if (r->cap > FIRST_SLOTS && r->count < r->cap / 4)
        replay_resize(r, r->cap / 2);
}

struct encoded *replay_at(const struct replay *r, unsigned i, enum redaction *ret_redaction)
{
    uintptr_t slot = r->slots[(r->first + i) & (r->cap - 1)];

    *ret_redaction = (enum redaction)(slot & REDACTION_BITS);
    return slot_event(slot);
}
