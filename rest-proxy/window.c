/* A bucket's window; see window.h for the rule. Pure. */
#include "rest-proxy/window.h"

#include "platform/base/check.h"

/* Upstream nodes round, and their clocks differ: Resets closer than this, or than half a window, tell of one window. */
#define SAME_WINDOW_MIN_MS 60
/* A lost request may have opened a window whose length nobody told us yet. */
#define LENGTH_UNKNOWN_MS 1000

static void window_roll(struct window *w, int64_t now_ms)
{
    if (w->open && now_ms >= w->reset_at_ms) {
        w->open = false;
        w->remaining = w->limit;
        w->used = w->in_flight;
    }
    if (w->ghosts > 0 && now_ms >= w->ghosts_until_ms)
        w->ghosts = 0;
}

int64_t window_take(struct window *w, int64_t now_ms)
{
    return window_take_share(w, now_ms, (struct window_share){1, 0});
}

void window_charge(struct window *w, int64_t now_ms, int n)
{
    window_roll(w, now_ms);
    w->in_flight += n;
    w->used += n;
}

/* Until when who takes one of `count` parts of the limit has to wait for it, though there is budget; 0: it need not. */
static int64_t share_wait(const struct window *w, int64_t now_ms, struct window_share share)
{
    if (share.count <= 1 || !w->known || w->limit <= 0)
        return 0;
    int part = w->limit / share.count + (share.number < w->limit % share.count);
    if (part == 0)
        return w->share_until_ms > now_ms ? w->share_until_ms - now_ms : 0;
    if (w->used < part)
        return 0;
    return w->open ? w->reset_at_ms - now_ms : -1;
}

int64_t window_take_share(struct window *w, int64_t now_ms, struct window_share share)
{
    int64_t wait;

    window_roll(w, now_ms);
    if (w->blocked_until_ms > now_ms)
        return w->blocked_until_ms - now_ms;
    if (!w->known && !w->unlimited && w->in_flight > 0)
        return -1;
    if (w->known && w->remaining - w->in_flight - w->ghosts <= 0) {
        if (w->open)
            return w->reset_at_ms - now_ms;
        if (w->ghosts > 0)
            return w->ghosts_until_ms - now_ms;
        if (w->in_flight > 0)
            return -1;
        /* A limit of 0: one at a time, the upstream decides. */
    }
    if ((wait = share_wait(w, now_ms, share)) != 0)
        return wait;
    w->share_until_ms = now_ms + share.count * (w->length_ms ? w->length_ms : LENGTH_UNKNOWN_MS);
    w->in_flight++;
    w->used++;
    return 0;
}

static void window_open(struct window *w, int64_t now_ms, int64_t id_ms, const struct window_answer *a)
{
    if (w->open)
        w->used = w->in_flight;
    w->open = true;
    w->id_ms = id_ms;
    w->remaining = a->remaining;
    w->reset_at_ms = now_ms + a->reset_after_ms;
    if (a->reset_after_ms > w->length_ms)
        w->length_ms = a->reset_after_ms;
}

/* The same window told again: the lowest Remaining and the latest end count. */
static void window_narrow(struct window *w, int64_t now_ms, const struct window_answer *a)
{
    if (a->remaining < w->remaining)
        w->remaining = a->remaining;
    if (now_ms + a->reset_after_ms > w->reset_at_ms)
        w->reset_at_ms = now_ms + a->reset_after_ms;
}

/* Without X-RateLimit-Reset the latency of answers is part of what is compared: then only a whole window tells. */
static int64_t same_window_ms(const struct window *w, const struct window_answer *a)
{
    int64_t same = a->reset_ms ? w->length_ms / 2 : w->length_ms;

    return same > SAME_WINDOW_MIN_MS ? same : SAME_WINDOW_MIN_MS;
}

void window_learn(struct window *w, int64_t now_ms, const struct window_answer *a)
{
    if (!a->has_limit) {
        if (a->success && !w->known)
            w->unlimited = true;
        return;
    }
    window_roll(w, now_ms);
    int64_t id = a->reset_ms ? a->reset_ms : now_ms + a->reset_after_ms;
    int64_t same = same_window_ms(w, a);

    w->known = true;
    w->unlimited = false;
    w->limit = a->limit;
    /* A late answer of the window that is over may open it again: that costs a wait of at most its latency. */
    if (!w->open || id > w->id_ms + same)
        window_open(w, now_ms, id, a);
    else if (id >= w->id_ms - same)
        window_narrow(w, now_ms, a);
}

void window_answered(struct window *w, int64_t now_ms, const struct window_answer *a)
{
    window_returned(w);
    window_learn(w, now_ms, a);
}

void window_lost(struct window *w, int64_t now_ms)
{
    window_returned(w);
    w->ghosts++;
    w->ghosts_until_ms = now_ms + (w->length_ms ? w->length_ms : LENGTH_UNKNOWN_MS);
}

void window_returned(struct window *w)
{
    CHECK(w->in_flight > 0);
    w->in_flight--;
}

void window_exhausted(struct window *w, int64_t now_ms, int64_t retry_after_ms)
{
    window_block(w, now_ms + retry_after_ms);
    if (w->known && w->open && w->reset_at_ms < w->blocked_until_ms)
        w->reset_at_ms = w->blocked_until_ms;
}

void window_unused(struct window *w)
{
    window_returned(w);
    w->used -= w->used > 0;
}

void window_block(struct window *w, int64_t until_ms)
{
    if (until_ms > w->blocked_until_ms)
        w->blocked_until_ms = until_ms;
}

bool window_idle(const struct window *w, int64_t now_ms)
{
    return w->in_flight == 0 && w->ghosts_until_ms <= now_ms && w->blocked_until_ms <= now_ms &&
           (!w->open || w->reset_at_ms <= now_ms);
}

int64_t window_wait_estimate(const struct window *w, int64_t now_ms, unsigned n)
{
    int64_t blocked = w->blocked_until_ms > now_ms ? w->blocked_until_ms - now_ms : 0;

    if (!w->known || w->limit <= 0 || !w->open || w->reset_at_ms <= now_ms)
        return blocked;
    int64_t left = w->remaining - w->in_flight - w->ghosts;
    if ((int64_t)n <= left)
        return blocked;
    int64_t windows = ((int64_t)n - (left > 0 ? left : 0) - 1) / w->limit;
    int64_t wait = w->reset_at_ms - now_ms + windows * w->length_ms;
    return wait > blocked ? wait : blocked;
}
