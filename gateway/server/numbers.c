/* Numbers of a topic. Loop thread. */
#include "gateway/server/numbers.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/base/snowflake.h"

#include <errno.h>

#define SEEN_FIRST 8 /* and the ring is a multiple of it */

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
    unsigned found = 0, i = 0;

    for (; i + SEEN_FIRST <= n->seen_cap && !found; i += SEEN_FIRST)
        for (unsigned k = 0; k < SEEN_FIRST; k++) /* without a branch: the compiler makes vectors of it */
            found |= n->seen[i + k] == id;
    return found;
}

static void seen_resize(struct numbers *n, unsigned cap)
{
    n->seen = mem_realloc(n->seen, sizeof *n->seen * cap);
    if (cap > n->seen_cap)
        memset(n->seen + n->seen_cap, 0, sizeof *n->seen * (cap - n->seen_cap));
    n->seen_cap = cap;
}

/* The ring is full up to its end and in order: it doubles while what would be overwritten is young, halves when half of
 * it is old. */
static void seen_fit(struct numbers *n, uint64_t id)
{
    unsigned cap = n->seen_cap, half = cap / 2;
    int64_t old_ms = snowflake_ms(id) - NUMBERS_SEEN_MS;

    if (cap < NUMBERS_SEEN_MIN || (cap < NUMBERS_SEEN_MAX && snowflake_ms(n->seen[0]) > old_ms)) {
        seen_resize(n, cap ? cap * 2 : SEEN_FIRST);
    } else if (cap > NUMBERS_SEEN_MIN && snowflake_ms(n->seen[half]) < old_ms) {
        memmove(n->seen, n->seen + half, sizeof *n->seen * half);
        seen_resize(n, half);
        n->seen_at = 0;
    } else {
        n->seen_at = 0;
    }
}

void numbers_remember(struct numbers *n, uint64_t id)
{
    if (n->seen_at == n->seen_cap)
        seen_fit(n, id);
    n->seen[n->seen_at++] = id;
    n->seen_count++;
}

void numbers_seen_since(const struct numbers *n, uint64_t count, void (*fn)(uint64_t id, void *arg), void *arg)
{
    for (unsigned i = 1; i <= n->seen_cap && count + i <= n->seen_count; i++) {
        uint64_t id = n->seen[(n->seen_at + n->seen_cap - i) % n->seen_cap];
        if (id)
            fn(id, arg);
    }
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
