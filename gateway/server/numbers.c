/* Numbers of a topic. Loop thread. */
#include "gateway/server/numbers.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"

#include <errno.h>

#define SEEN_FIRST 8

void numbers_init(struct numbers *n)
{
    *n = (struct numbers){0};
    list_init(&n->held);
}

void held_free(struct held_event *h)
{
    list_remove(&h->item);
    arena_done(&h->arena);
    mem_free(h);
}

void numbers_done(struct numbers *n)
{
    for (struct held_event *h; (h = numbers_take(n, UINT64_MAX));)
        held_free(h);
    mem_free(n->seen);
    n->seen = NULL;
    n->seen_cap = n->seen_at = 0;
}

bool numbers_has_seen(const struct numbers *n, uint64_t id)
{
    for (unsigned i = 0; i < n->seen_cap; i++)
        if (n->seen[i] == id)
            return true;
    return false;
}

/* A quiet topic keeps few ids; the ring doubles while it fills. */
void numbers_remember(struct numbers *n, uint64_t id)
{
    if (n->seen_at == n->seen_cap && n->seen_cap < NUMBERS_SEEN_MAX) {
        unsigned cap = n->seen_cap ? n->seen_cap * 2 : SEEN_FIRST;
        n->seen = mem_realloc(n->seen, sizeof *n->seen * cap);
        memset(n->seen + n->seen_cap, 0, sizeof *n->seen * (cap - n->seen_cap));
        n->seen_cap = cap;
    }
    if (n->seen_at == n->seen_cap)
        n->seen_at = 0;
    n->seen[n->seen_at++] = id;
}

enum numbers_verdict numbers_judge(const struct numbers *n, uint64_t number, uint64_t id)
{
    if (number > n->last + 1)
        return NUMBERS_AHEAD;
    bool seen = numbers_has_seen(n, id);
    if (number == n->last + 1)
        return seen ? NUMBERS_REPEAT : NUMBERS_NEXT;
    return seen ? NUMBERS_SEEN : NUMBERS_OLD;
}

void numbers_advance(struct numbers *n, uint64_t number, uint64_t id)
{
    n->last = number;
    numbers_remember(n, id);
}

struct held_event *held_new(const struct event *e, uint64_t tag, uint64_t epoch)
{
    struct held_event *h = MEM_NEW(struct held_event);

    h->event = *e;
    h->event.data = arena_str(&h->arena, e->data);
    if (e->mention_count) {
        uint64_t *mentions = ARENA_ARRAY(&h->arena, uint64_t, e->mention_count);
        memcpy(mentions, e->mentions, sizeof *mentions * e->mention_count);
        h->event.mentions = mentions;
    }
    list_init(&h->item);
    h->tag = tag;
    h->epoch = epoch;
    return h;
}

int numbers_hold(struct numbers *n, const struct event *e, uint64_t tag, uint64_t epoch)
{
    struct list *after = n->held.prev;

    if (n->held_count >= LIMIT_TOPIC_HELD_EVENTS || n->held_bytes + e->data.n > LIMIT_TOPIC_HELD_BYTES)
        return -ENOBUFS;
    /* they come nearly in order: look for the place from the end */
    for (; after != &n->held; after = after->prev) {
        struct held_event *h = LIST_ENTRY(after, struct held_event, item);
        if (h->event.number == e->number && h->event.id == e->id)
            return -EEXIST;
        if (h->event.number <= e->number)
            break;
    }
    struct held_event *h = held_new(e, tag, epoch);
    h->item.prev = after;
    h->item.next = after->next;
    after->next->prev = &h->item;
    after->next = &h->item;
    n->held_count++;
    n->held_bytes += e->data.n;
    return 0;
}

void numbers_remove(struct numbers *n, struct held_event *h)
{
    list_remove(&h->item);
    n->held_count--;
    n->held_bytes -= h->event.data.n;
}

struct held_event *numbers_take(struct numbers *n, uint64_t number)
{
    struct list *first = list_first(&n->held);

    if (!first)
        return NULL;
    struct held_event *h = LIST_ENTRY(first, struct held_event, item);
    if (h->event.number > number)
        return NULL;
    numbers_remove(n, h);
    return h;
}

uint64_t numbers_first_held(const struct numbers *n)
{
    const struct list *first = list_first(&n->held);

    return first ? LIST_ENTRY(first, struct held_event, item)->event.number : 0;
}
