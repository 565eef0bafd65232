/* One event through its handlers: dropped when it is old or a repetition, tried again when a handler fails. Coroutine.
 */
#include "worker-sdk/src/sdk.h"

#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/protocol/json_read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define TRIES          4
#define FIRST_PAUSE_MS 200

METRIC_DEFINE(handled, METRIC_COUNTER, "guildhall_worker_events_total", "Events handled");
METRIC_DEFINE(repeated, METRIC_COUNTER, "guildhall_worker_event_repeats_total",
              "Events that came again and were dropped");
METRIC_DEFINE(fenced, METRIC_COUNTER, "guildhall_worker_events_fenced_total",
              "Events of shards that had lost their lease");
METRIC_DEFINE(retried, METRIC_COUNTER, "guildhall_worker_retries_total", "Handlers called again after a failure");
METRIC_DEFINE(handling, METRIC_HISTOGRAM, "guildhall_worker_handler_seconds", "Time in handlers");

/* --- contexts --- */

json_t *context_keep(struct gh_context *c, json_t *o)
{
    if (!c->roots)
        c->roots = json_array();
    json_array_append_new(c->roots, o);
    return o;
}

void context_done(struct gh_context *c)
{
    json_decref(c->roots);
    arena_done(&c->arena);
}

struct gh_bot *gh_context_bot(const struct gh_context *c)
{
    return c->bot;
}

const struct gh_event *gh_context_event(const struct gh_context *c)
{
    return &c->item->event;
}

void gh_sleep_ms(struct gh_context *c, int64_t ms)
{
    (void)c;
    co_sleep(ms);
}

char *gh_printf(struct gh_context *c, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    char *kept = arena_strdup(&c->arena, n < 0 ? STR("") : str_c(text));
    free(n < 0 ? NULL : text);
    return kept;
}

/* --- handlers --- */

static int call_raw(struct gh_context *c, const struct handler *h, json_t *d)
{
    (void)d;
    return h->raw(c, &c->item->event, h->arg);
}

static void handler_set(struct gh_bot *bot, struct handler h)
{
    for (unsigned i = 0; i < bot->handler_count; i++) {
        struct handler *old = &bot->handlers[i];
        bool same = h.type && old->type ? strcmp(h.type, old->type) == 0 : h.type == old->type;
        if (same && (h.raw != NULL) == (old->raw != NULL)) {
            *old = h;
            return;
        }
    }
    if (bot->handler_count == HANDLERS_MAX) {
        LOG_ERROR("handler refused", "type=%s why=\"too many\"", h.type ? h.type : "*");
        return;
    }
    bot->handlers[bot->handler_count++] = h;
}

void gh_on_event(struct gh_bot *bot, const char *type, gh_event_fn fn, void *arg)
{
    handler_set(bot, (struct handler){.type = type, .raw = fn, .call = call_raw, .arg = arg});
}

#define GH_EVENT(suffix, name, entity)                                                                                 \
    static int call_##suffix(struct gh_context *c, const struct handler *h, json_t *d)                                 \
    {                                                                                                                  \
        return ((gh_##suffix##_fn)h->typed)(c, ENTITY_READ(c, entity, d), h->arg);                                     \
    }                                                                                                                  \
    void gh_on_##suffix(struct gh_bot *bot, gh_##suffix##_fn fn, void *arg)                                            \
    {                                                                                                                  \
        handler_set(bot,                                                                                               \
                    (struct handler){.type = name, .typed = (void (*)(void))fn, .call = call_##suffix, .arg = arg});   \
    }
#include <guildhall/events.def>

static bool fits(const struct handler *h, const char *type)
{
    return !h->type || strcmp(h->type, type) == 0;
}

static int handlers_run(struct gh_bot *bot, struct item *item)
{
    struct gh_context c = {.bot = bot, .item = item};
    json_t *d = NULL;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < bot->handler_count; i++) {
        const struct handler *h = &bot->handlers[i];
        if (!fits(h, item->event.type))
            continue;
        if (h->typed && !d && json_read(str_c(item->event.json), &d, NULL) == 0)
            context_keep(&c, d);
        if (!h->typed || d)
            r = h->call(&c, h, d);
    }
    context_done(&c);
    return r;
}

/* --- one event --- */

int item_handle(struct gh_bot *bot, struct item *item)
{
    if (seen_later_owner(bot->seen, item->partition, item)) {
        metric_add(&fenced, 1);
        return 0;
    }
    if (seen_before(bot->seen, item->id_hash)) {
        metric_add(&repeated, 1);
        return 0;
    }
    int r = -EIO;
    int64_t pause_ms = FIRST_PAUSE_MS;
    for (int i = 0; i < TRIES; i++, pause_ms *= 4) {
        uint64_t begun = clock_mono_ns();
        r = handlers_run(bot, item);
        metric_observe_us(&handling, (int64_t)(clock_mono_ns() - begun) / 1000);
        if (r == 0)
            break;
        LOG_WARN("handler failed", "event=%s session=%s seq=%lld try=%d error=%d", item->event.type,
                 item->event.session, (long long)item->event.seq, i + 1, r);
        if (i + 1 < TRIES) {
            metric_add(&retried, 1);
            co_sleep(pause_ms);
        }
    }
    /* A failed one is not noted: should its rejection be lost with the connection, it comes again. */
    if (r == 0)
        seen_add(bot->seen, item->partition, item->id_hash);
    metric_add(&handled, r == 0);
    return r == 0 ? 0 : -EIO;
}
