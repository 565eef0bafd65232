/* One event through its handlers: dropped when it is old or a repetition, tried again when a handler fails. Coroutine.
 */
#include "worker-sdk/src/interactions.h"

#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/protocol/json_read.h"
#include "platform/protocol/json_text.h"

#include <guildhall/helpers.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define TRIES          4
#define FIRST_PAUSE_MS 200
#define DAY_MS         86400000 /* older: an id of somebody's own making */

METRIC_DEFINE(handled, METRIC_COUNTER, "guildhall_worker_events_total", "Events handled");
METRIC_DEFINE_BY(handled_by_type, METRIC_COUNTER, "guildhall_worker_events_by_type_total", "event",
                 "Events handled, by their name");
METRIC_DEFINE(failed, METRIC_COUNTER, "guildhall_worker_handler_failures_total", "Handlers that returned an error");
METRIC_DEFINE(waited, METRIC_HISTOGRAM, "guildhall_worker_event_wait_seconds",
              "Between an event's delivery to this worker and its handling");
METRIC_DEFINE(aged, METRIC_HISTOGRAM, "guildhall_worker_message_lag_seconds",
              "Age of new messages when they are handled, by their id and this machine's clock");
METRIC_DEFINE(repeated, METRIC_COUNTER, "guildhall_worker_event_repeats_total",
              "Events that came again and were dropped");
METRIC_DEFINE(fenced, METRIC_COUNTER, "guildhall_worker_events_fenced_total",
              "Events of shards that had lost their lease");
METRIC_DEFINE(retried, METRIC_COUNTER, "guildhall_worker_retries_total", "Handlers called again after a failure");
METRIC_DEFINE(handling, METRIC_HISTOGRAM, "guildhall_worker_handler_seconds", "Time in handlers");

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

static int interaction_run(struct gh_context *c, json_t *d)
{
    return d ? router_run(c->bot->router, c, ENTITY_READ(c, interaction, d)) : 0;
}

static json_t *content_read(struct gh_context *c)
{
    json_t *d = NULL;
    return json_read(str_c(c->item->event.json), &d, NULL) == 0 ? context_keep(c, d) : NULL;
}

static int handlers_run(struct gh_bot *bot, struct item *item, unsigned attempt)
{
    struct gh_context c = {.bot = bot, .item = item, .attempt = attempt};
    bool interaction = strcmp(item->event.type, "INTERACTION_CREATE") == 0;
    json_t *d = interaction ? content_read(&c) : NULL;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < bot->handler_count; i++) {
        const struct handler *h = &bot->handlers[i];
        if (!fits(h, item->event.type))
            continue;
        if (h->typed && !d)
            d = content_read(&c);
        if (!h->typed || d)
            r = h->call(&c, h, d);
    }
    if (r == 0 && interaction)
        r = interaction_run(&c, d);
    context_done(&c);
    return r;
}

/* --- one event --- */

static void handled_note(const struct item *item)
{
    char label[80];
    snprintf(label, sizeof label, "event=\"%.60s\"", item->event.type);
    metric_add(&handled, 1);
    metric_add(metric_with(&handled_by_type, label), 1);
}

/* A message's id says when it was made. */
static void lag_note(const struct item *item)
{
    metric_observe_us(&waited, (int64_t)(clock_mono_ns() - item->came_ns) / 1000);
    uint64_t id =
        strcmp(item->event.type, "MESSAGE_CREATE") == 0 ? json_member_id(str_c(item->event.json), STR("id")) : 0;
    int64_t age_ms = clock_wall_ms() - gh_id_time_ms(id);
    if (id >> 22 && age_ms < DAY_MS)
        metric_observe_us(&aged, age_ms > 0 ? age_ms * 1000 : 0);
}

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
    lag_note(item);
    int r = -EIO;
    int64_t pause_ms = FIRST_PAUSE_MS;
    for (int i = 0; i < TRIES; i++, pause_ms *= 4) {
        uint64_t begun = clock_mono_ns();
        r = handlers_run(bot, item, (unsigned)i);
        metric_observe_us(&handling, (int64_t)(clock_mono_ns() - begun) / 1000);
        if (r == 0)
            break;
        metric_add(&failed, 1);
        LOG_WARN("handler failed", "type=%s session=%s seq=%lld try=%d error=%d", item->event.type, item->event.session,
                 (long long)item->event.seq, i + 1, r);
        if (i + 1 < TRIES) {
            metric_add(&retried, 1);
            co_sleep(pause_ms);
        }
    }
    /* A failed one is not noted: should its rejection be lost with the connection, it comes again. */
    if (r == 0)
        seen_add(bot->seen, item->partition, item->id_hash);
    if (r == 0)
        handled_note(item);
    return r == 0 ? 0 : -EIO;
}
