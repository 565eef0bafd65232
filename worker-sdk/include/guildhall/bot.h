/* A bot's worker: receives events from RabbitMQ, handles each on a coroutine, in order for each guild, many guilds at
 * once. One bot a process; everything runs on the thread that called gh_bot_run, or with WORKER_THREADS on as many, of
 * which each has guilds of its own (what handlers share they must guard then). A handler may call whatever of this
 * library takes its context; it waits there while other guilds' handlers go on. It must not block otherwise (gh_work).
 * Handlers, commands and timers are registered before gh_bot_run. */
#ifndef GUILDHALL_BOT_H
#define GUILDHALL_BOT_H

#include <guildhall/api.h>
#include <guildhall/entities.h>
#include <guildhall/json.h>

GH_BEGIN_DECLS

struct gh_bot;
struct gh_context; /* one event being handled: what is read or received in it lives until its handler returns */

/* NULL members are read from the environment. */
struct gh_options {
    const char *token;     /* DISCORD_TOKEN, without "Bot " */
    const char *amqp_url;  /* AMQP_URL: amqp://user:password@host:port/vhost */
    const char *redis_url; /* REDIS_URL: redis://[:password@]host:port[/db] */
    const char *proxy_url; /* PROXY_URL: the rest-proxy, up to and with /api */
    const char *group;     /* WORKER_GROUP; "workers". Each group gets every event once */
    bool no_events;        /* only for gh_bot_once: no broker is needed, nor a proxy unless something is called */
};

/* options NULL: all from the environment. NULL, and one line on standard error, when something is missing. */
GH_API struct gh_bot *gh_bot_new(const struct gh_options *options);
GH_API void gh_bot_free(struct gh_bot *bot);

/* Runs until SIGTERM or SIGINT, then takes no more events, finishes those it holds (for 15 s at most), and returns
 * the exit status. A second signal ends it at once; what was not finished is another worker's. */
GH_API int gh_bot_run(struct gh_bot *bot);
/* Runs fn(arg) alone and returns its result: for what reads the cache or calls the API and takes no events. -EHOSTDOWN:
 * Redis was not there for ten seconds. */
GH_API int gh_bot_once(struct gh_bot *bot, int (*fn)(struct gh_context *c, void *arg), void *arg);
/* The same as the first signal, from a handler. */
GH_API void gh_bot_stop(struct gh_bot *bot);

/* Handlers: 0: done. Anything else: the event is handled again after 0.2, 0.8 and 3.2 s, then put with the dead
 * letters. An event is handled once, after every earlier one of its guild, unless the worker is killed between the
 * handler's effect and the acknowledgement, milliseconds later: then it comes again, with `redelivered`, to whoever has
 * the guild next. Replies sent with this library are not sent twice for it, because they carry a nonce made from the
 * event; other effects should be keyed by the entity's id, or by session and seq. README.md, "Repetitions", has the
 * whole of it. */
struct gh_event {
    const char *type;  /* "MESSAGE_CREATE" */
    const char *json;  /* the dispatch's d */
    uint64_t guild_id; /* 0: outside guilds */
    const char *session;
    int64_t seq, shard, shard_count;
    bool redelivered;
};
typedef int (*gh_event_fn)(struct gh_context *c, const struct gh_event *event, void *arg);

/* type NULL: every event. One handler for each type and one for all; a later one takes the place of an earlier. */
GH_API void gh_on_event(struct gh_bot *bot, const char *type, gh_event_fn fn, void *arg);

/* gh_on_message_create(bot, fn, arg) and so on, one for each line of events.def:
 *   int fn(struct gh_context *c, const struct gh_message *m, void *arg) */
#define GH_EVENT(suffix, name, entity)                                                                                 \
    typedef int (*gh_##suffix##_fn)(struct gh_context * c, const struct gh_##entity *event, void *arg);                \
    GH_API void gh_on_##suffix(struct gh_bot *bot, gh_##suffix##_fn fn, void *arg);
#include <guildhall/events.def>

GH_API struct gh_bot *gh_context_bot(const struct gh_context *c);
/* NULL in tasks. */
GH_API const struct gh_event *gh_context_event(const struct gh_context *c);
/* How often the event's handler has failed before. */
GH_API unsigned gh_context_attempt(const struct gh_context *c);
/* The bot's own user id, and its application's. */
GH_API uint64_t gh_bot_user_id(const struct gh_bot *bot);
GH_API uint64_t gh_bot_application_id(const struct gh_bot *bot);
/* The worker has been asked to stop: long tasks should end. */
GH_API bool gh_bot_stopping(const struct gh_bot *bot);

/* Waits; other handlers go on. */
GH_API void gh_sleep_ms(struct gh_context *c, int64_t ms);
/* Runs fn(arg) on a thread of a small pool and waits for it: for what computes long or blocks. fn may call nothing of
 * this library. */
GH_API void gh_work(struct gh_context *c, void (*fn)(void *arg), void *arg);
/* A copy that lives as long as the handler's call. */
GH_API char *gh_printf(struct gh_context *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Tasks run beside the events, each in a context of its own; what they return is logged when it is not 0. A stop waits
 * for them, for 15 s at most. Asked for before gh_bot_run they begin with it. 0, -EAGAIN (1,000 run already),
 * -ESHUTDOWN (stopping). */
typedef int (*gh_task_fn)(struct gh_context *c, void *arg);
GH_API int gh_task(struct gh_bot *bot, gh_task_fn fn, void *arg);
/* Every `every_ms` (at least 10) from the start on; while a run lasts the next one waits. name NULL: in each worker.
 * Else once for the whole group, in whichever worker comes first (Redis: gh:<application>:timer:<group>:<name>). */
GH_API void gh_every(struct gh_bot *bot, const char *name, int64_t every_ms, gh_task_fn fn, void *arg);

/* Structured logs, one line each on standard error: event is a few plain words, fmt writes key=value pairs separated by
 * blanks (values with blanks as key=\"%s\"). GUILDHALL_LOG_FORMAT=json, GUILDHALL_LOG_LEVEL=debug|info|warn|error. */
enum gh_level { GH_LOG_DEBUG, GH_LOG_INFO, GH_LOG_WARN, GH_LOG_ERROR };
GH_API void gh_log(enum gh_level level, const char *event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A counter of the bot's own on /metrics: guildhall_worker_bot_total{name="..."}. Few names, of [a-z0-9_]. */
GH_API void gh_count(const char *name, int64_t by);

GH_END_DECLS
#endif
