/* The order of one topic's events: which is next, which was seen, which must wait. Pure; loop thread.
 * What is held back is bounded by LIMIT_TOPIC_HELD_*. */
#pragma once

#include "platform/base/arena.h"
#include "platform/base/list.h"
#include "platform/protocol/event.h"

/* Ids dispatched last are kept: of a quiet topic so many, of a busy one those of so long, up to the bound. An event
 * that is published again after a longer outage in which kv began anew, or behind more others, may be dispatched twice.
 */
#define NUMBERS_SEEN_MIN 128
#define NUMBERS_SEEN_MAX 4096
#define NUMBERS_SEEN_MS  300000

struct numbers {
    uint64_t last;    /* everything up to here was dispatched, or is in the snapshot */
    struct list held; /* of struct held_event, rising numbers */
    unsigned held_count;
    size_t held_bytes;
    /* Ids dispatched last: an event that was published twice has two numbers and one id. */
    uint64_t *seen; /* a ring; the oldest stands first whenever it is full up to its end */
    unsigned seen_cap, seen_at;
    uint64_t seen_count; /* so many were remembered in all */
};

/* An event kept for later: a copy, and what acknowledges its delivery. */
struct held_event {
    struct list item;
    struct arena arena;
    struct event event;
    uint64_t tag, epoch;
    bool asked; /* held when kv was asked for the last number */
};

enum numbers_verdict {
    NUMBERS_NEXT,   /* dispatch it, then numbers_advance */
    NUMBERS_REPEAT, /* the next number, an event seen before: numbers_advance only */
    NUMBERS_SEEN,   /* an old number, an event seen before: drop it */
    NUMBERS_OLD,    /* an old number, an event not seen: from before the snapshot, or of a new incarnation */
    NUMBERS_AHEAD,  /* something is missing before it: hold it */
};

void numbers_init(struct numbers *n);
void numbers_done(struct numbers *n); /* frees what is held, unacknowledged */

enum numbers_verdict numbers_judge(const struct numbers *n, uint64_t number, uint64_t id);
void numbers_advance(struct numbers *n, uint64_t number, uint64_t id);
bool numbers_has_seen(const struct numbers *n, uint64_t id);
void numbers_remember(struct numbers *n, uint64_t id);
/* What was remembered after seen_count was `count`, as far as it is kept; latest first. */
void numbers_seen_since(const struct numbers *n, uint64_t count, void (*fn)(uint64_t id, void *arg), void *arg);

/* A copy of an event that stands on no list. Free with held_free. */
struct held_event *held_new(const struct event *e, uint64_t tag, uint64_t epoch);
/* Keeps a copy. 0, -EEXIST (this number with this id is held already), -ENOBUFS (too much is held). */
int numbers_hold(struct numbers *n, const struct event *e, uint64_t tag, uint64_t epoch);
/* The first held event, taken out, when its number is at most `number`; NULL. Free with held_free. */
struct held_event *numbers_take(struct numbers *n, uint64_t number);
/* Takes a held event out. */
void numbers_remove(struct numbers *n, struct held_event *h);
/* The first held number; 0 when nothing is held. */
uint64_t numbers_first_held(const struct numbers *n);
void held_free(struct held_event *h); /* takes it off its list */
