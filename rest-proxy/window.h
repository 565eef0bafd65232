/* One rate limit bucket as seen from outside: what may be sent now so that the upstream never has to answer 429, from
 * the headers of its answers alone. Pure: the caller passes the time. Any thread, one owner.
 *
 * The rule: budget = (lowest Remaining told in this window) - (requests still in flight) - (ghosts). An answer that is
 * under way may be counted in Remaining already; then the budget is too small for a moment and is right again when that
 * answer arrives. After the reset it is Limit minus what is in flight, because that may arrive in the new window.
 * Source: Discord API documentation, "Rate Limits: Header Format". */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct window {
    bool known;     /* an answer told the limit */
    bool unlimited; /* an answer came without any limit */
    bool open;      /* reset_at_ms is that of the window `id_ms`; else it has passed and the next one is not seen yet */
    int limit, remaining;
    int in_flight;
    int used;               /* permits taken in this window, those in flight at its start included */
    int64_t share_until_ms; /* who has less than one permit of each window waits until then */
    int64_t id_ms;          /* the upstream's X-RateLimit-Reset: the same for all answers of a window */
    int64_t reset_at_ms;    /* by our clock, never earlier than the upstream's */
    int64_t length_ms;      /* the longest Reset-After seen */
    int ghosts; /* requests whose answers were lost: they may have been counted in a window as young as that */
    int64_t ghosts_until_ms;
    int64_t blocked_until_ms;
};

struct window_answer {
    bool has_limit; /* the rate limit headers were there */
    int limit, remaining;
    int64_t reset_ms;       /* X-RateLimit-Reset by the upstream's clock; 0: absent */
    int64_t reset_after_ms; /* X-RateLimit-Reset-After, rounded up */
    bool success;           /* 2xx: no headers then means no limit */
};

/* Takes one permit. Returns 0; or the milliseconds after which to ask again (also ask after the next answer); or -1:
 * only the next answer can help. */
int64_t window_take(struct window *w, int64_t now_ms);
/* The same for one of `count` (numbered from 0) who send side by side without knowing of each other: each takes its
 * part of the limit, and where that is less than one request, one in `count` windows. */
struct window_share {
    int count, number;
};
int64_t window_take_share(struct window *w, int64_t now_ms, struct window_share share);
/* Others decided that n permits may be taken: only counts them. */
void window_charge(struct window *w, int64_t now_ms, int n);
/* An answer came (also one with an error status). */
void window_answered(struct window *w, int64_t now_ms, const struct window_answer *a);
/* The two halves of window_answered, for an answer whose permit was taken from another window (its route moved). */
void window_returned(struct window *w);
void window_learn(struct window *w, int64_t now_ms, const struct window_answer *a);
/* No answer will come, but the upstream may have counted it. */
void window_lost(struct window *w, int64_t now_ms);
/* The permit was not used. */
void window_unused(struct window *w);
/* 429 of the bucket itself: nothing until then. */
void window_exhausted(struct window *w, int64_t now_ms, int64_t retry_after_ms);
/* 429 of the resource (scope shared): nothing until then, the bucket's own count is untouched. */
void window_block(struct window *w, int64_t until_ms);
/* Nothing in flight and nothing to remember. */
bool window_idle(const struct window *w, int64_t now_ms);
/* The least time until the n-th request from now (n >= 1) can leave; 0 when unknown or at once. */
int64_t window_wait_estimate(const struct window *w, int64_t now_ms, unsigned n);
