/* A handler's or task's context: what it keeps, and what is asked of it. Loop thread, but for logs and counters. */
#include "worker-sdk/src/sdk.h"

#include "platform/base/log.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

METRIC_DEFINE_BY(counted, METRIC_COUNTER, "guildhall_worker_bot_total", "name", "What the bot itself counts");

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
    return c->item ? &c->item->event : NULL;
}

unsigned gh_context_attempt(const struct gh_context *c)
{
    return c->attempt;
}

void gh_sleep_ms(struct gh_context *c, int64_t ms)
{
    (void)c;
    co_sleep(ms);
}

void gh_work(struct gh_context *c, void (*fn)(void *arg), void *arg)
{
    (void)c;
    co_work(fn, arg);
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

void gh_log(enum gh_level level, const char *event, const char *fmt, ...)
{
    static const enum log_level levels[] = {LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR};
    char *text = NULL;
    va_list args;
    if (level > GH_LOG_ERROR || !log_enabled(levels[level]))
        return;
    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    log_write(levels[level], event, "%s", text);
    free(text);
}

static bool plain(const char *name)
{
    return *name && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

void gh_count(const char *name, int64_t by)
{
    char label[96];
    if (!plain(name) || by < 0)
        return;
    snprintf(label, sizeof label, "name=\"%.80s\"", name);
    metric_add(metric_with(&counted, label), by);
}
