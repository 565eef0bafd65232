/* Tasks and timers beside the events, each run on a coroutine with a context of its own. Loop thread; TASKS_MAX run at
 * once. */
#include "worker-sdk/src/interactions.h"

#include "platform/base/limits.h"
#include "platform/base/list.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"

#include <errno.h>
#include <stdio.h>

#define TASKS_MAX    1000
#define EVERY_MIN_MS 10

METRIC_DEFINE(running_now, METRIC_GAUGE, "guildhall_worker_tasks", "Tasks that run");
METRIC_DEFINE(task_failures, METRIC_COUNTER, "guildhall_worker_task_failures_total", "Tasks that returned an error");

struct ticker;

struct task {
    struct list link; /* of those that wait for the start */
    struct tasks *all;
    gh_task_fn fn;
    void *arg;
    struct ticker *ticker; /* NULL: asked for once */
};

struct ticker {
    struct list link;
    struct tasks *all;
    char *name; /* NULL: in each worker */
    int64_t every_ms;
    gh_task_fn fn;
    void *arg;
    struct loop_timer *timer;
    bool running;
};

struct tasks {
    struct gh_bot *bot;
    struct list waiting, tickers;
    unsigned running;
    bool started, stopping;
    void (*done)(void *arg);
    void *done_arg;
};

struct tasks *tasks_new(struct gh_bot *bot)
{
    struct tasks *t = MEM_NEW(struct tasks);
    t->bot = bot;
    list_init(&t->waiting);
    list_init(&t->tickers);
    return t;
}

static void maybe_done(struct tasks *t)
{
    if (t->stopping && t->running == 0 && t->done) {
        void (*done)(void *arg) = t->done;
        t->done = NULL;
        done(t->done_arg);
    }
}

/* --- one run --- */

/* True where this worker is the group's first to come in this round. */
static bool round_won(const struct ticker *k)
{
    const struct gh_bot *bot = k->all->bot;
    BUF_AUTO struct buf key = {0};
    char ms[24];
    struct redis_reply *r;
    /* A little less than the round: the winner's own next tick must not find its key. */
    snprintf(ms, sizeof ms, "%lld", (long long)(k->every_ms - k->every_ms / 10));
    buf_addf(&key, "gh:%llu:timer:%s:%s", (unsigned long long)bot->application_id, bot->group, k->name);
    struct str words[] = {STR("SET"), buf_str(&key), STR("1"), STR("NX"), STR("PX"), str_c(ms)};
    if (redis_await(bot->redis, 6, words, &r) != 0)
        return false;
    bool won = redis_reply_type(r) == REDIS_STATUS_OK;
    redis_reply_free(r);
    return won;
}

static void task_call(struct task *t)
{
    struct gh_context c = {.bot = t->all->bot};
    int r = t->fn(&c, t->arg);
    if (r) {
        metric_add(&task_failures, 1);
        LOG_WARN("task failed", "name=%s error=%d", t->ticker && t->ticker->name ? t->ticker->name : "-", r);
    }
    context_done(&c);
}

static void task_run(void *arg)
{
    struct task *t = arg;
    struct tasks *all = t->all;
    if (!t->ticker || !t->ticker->name || round_won(t->ticker))
        task_call(t);
    if (t->ticker)
        t->ticker->running = false;
    mem_free(t);
    all->running--;
    metric_add(&running_now, -1);
    maybe_done(all);
}

static int task_start(struct task *t)
{
    t->all->running++;
    metric_add(&running_now, 1);
    int error = co_spawn(task_run, t);
    if (error) {
        t->all->running--;
        metric_add(&running_now, -1);
    }
    return error;
}

int gh_task(struct gh_bot *bot, gh_task_fn fn, void *arg)
{
    struct tasks *all = bot->tasks;
    if (all->stopping)
        return -ESHUTDOWN;
    if (all->running >= TASKS_MAX)
        return -EAGAIN;
    struct task *t = MEM_NEW(struct task);
    *t = (struct task){.all = all, .fn = fn, .arg = arg};
    list_init(&t->link);
    if (!all->started) {
        list_append(&all->waiting, &t->link);
        return 0;
    }
    if (task_start(t) == 0)
        return 0;
    mem_free(t);
    return -EAGAIN;
}

/* --- timers --- */

static void on_tick(void *arg)
{
    struct ticker *k = arg;
    if (k->running || k->all->running >= TASKS_MAX)
        return;
    struct task *t = MEM_NEW(struct task);
    *t = (struct task){.all = k->all, .fn = k->fn, .arg = k->arg, .ticker = k};
    k->running = true;
    if (task_start(t) != 0) {
        k->running = false;
        mem_free(t);
    }
}

static void ticker_start(struct ticker *k)
{
    k->timer = loop_timer_new(on_tick, k);
    loop_timer_start(k->timer, k->every_ms, k->every_ms);
}

void gh_every(struct gh_bot *bot, const char *name, int64_t every_ms, gh_task_fn fn, void *arg)
{
    struct ticker *k = MEM_NEW(struct ticker);
    *k = (struct ticker){.all = bot->tasks,
                         .name = name ? mem_strdup(name) : NULL,
                         .every_ms = every_ms < EVERY_MIN_MS ? EVERY_MIN_MS : every_ms,
                         .fn = fn,
                         .arg = arg};
    list_append(&bot->tasks->tickers, &k->link);
    if (bot->tasks->started && !bot->tasks->stopping)
        ticker_start(k);
}

/* --- life --- */

static int registration(struct gh_context *c, void *arg)
{
    (void)arg;
    commands_register(c->bot);
    return 0;
}

void tasks_start(struct tasks *all)
{
    all->started = true;
    if (all->bot == all->bot->root)
        (void)gh_task(all->bot, registration, NULL);
    LIST_FOREACH_SAFE(it, &all->waiting)
    {
        struct task *t = LIST_ENTRY(it, struct task, link);
        list_remove(it);
        if (task_start(t) != 0)
            mem_free(t);
    }
    LIST_FOREACH(it, &all->tickers)
    ticker_start(LIST_ENTRY(it, struct ticker, link));
}

static void tickers_stop(struct tasks *all)
{
    LIST_FOREACH(it, &all->tickers)
    {
        struct ticker *k = LIST_ENTRY(it, struct ticker, link);
        loop_timer_free(k->timer);
        k->timer = NULL;
    }
}

void tasks_stop(struct tasks *all, void (*done)(void *arg), void *arg)
{
    all->stopping = true;
    all->done = done;
    all->done_arg = arg;
    tickers_stop(all);
    maybe_done(all);
}

void tasks_free(struct tasks *all)
{
    tickers_stop(all);
    LIST_FOREACH_SAFE(it, &all->waiting)
    {
        list_remove(it);
        mem_free(LIST_ENTRY(it, struct task, link));
    }
    LIST_FOREACH_SAFE(it, &all->tickers)
    {
        struct ticker *k = LIST_ENTRY(it, struct ticker, link);
        list_remove(it);
        mem_free(k->name);
        mem_free(k);
    }
    mem_free(all);
}
