/* The event loop: libuv's, with a queue of calls for the next turn and hooks for a turn's end. One thread owns it; only
 * loop_post_threadsafe comes from others. A turn ends in libuv's prepare phase: after timers, posted calls and the
 * callbacks of the last poll, before the next poll blocks. */
#include "platform/io/loop.h"

#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include <pthread.h>
#include <signal.h>
#include <uv.h>

#define LOOP_HOOKS_MAX 16

METRIC_DEFINE(metric_turns, METRIC_HISTOGRAM, "guildhall_loop_turn_seconds",
              "Time between two waits of the loop: how long one thing kept the others waiting");

struct posted {
    struct posted *next;
    loop_fn fn;
    void *arg;
};

struct post_queue {
    struct posted *head, **tail;
};

static struct {
    uv_loop_t uv;
    uv_prepare_t turn_end;
    uint64_t turn_ns, idle_ns; /* when the last turn ended; how long the loop had waited by then */
    uv_idle_t turn_begin;      /* runs while calls are posted: keeps the poll from blocking */
    uv_async_t wakeup;
    uv_signal_t signals[2], hangup;
    loop_fn on_signal, on_hangup;
    void *on_signal_arg, *on_hangup_arg;
    struct {
        loop_fn fn;
        void *arg;
    } hooks[LOOP_HOOKS_MAX];
    unsigned hook_count;
    struct post_queue posts;
    pthread_mutex_t foreign_lock;
    struct post_queue foreign; /* posted by other threads, under foreign_lock */
    bool ready, stopping;
} loop = {.foreign_lock = PTHREAD_MUTEX_INITIALIZER};

static void queue_init(struct post_queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
}

static void queue_put(struct post_queue *q, loop_fn fn, void *arg)
{
    struct posted *p = MEM_NEW(struct posted);

    p->fn = fn;
    p->arg = arg;
    *q->tail = p;
    q->tail = &p->next;
}

static struct posted *queue_take_all(struct post_queue *q)
{
    struct posted *all = q->head;

    queue_init(q);
    return all;
}

static void run_all(struct posted *p)
{
    while (p) {
        struct posted *next = p->next;
        p->fn(p->arg);
        mem_free(p);
        p = next;
    }
}

static void on_turn_begin(uv_idle_t *handle)
{
    struct posted *all = queue_take_all(&loop.posts);

    uv_idle_stop(handle); /* a call that posts starts it again, for the turn after this one */
    run_all(all);
}

/* A turn is what runs between two waits for the kernel. */
static void turn_measure(void)
{
    uint64_t now = clock_mono_ns(), idle = uv_metrics_idle_time(&loop.uv);
    uint64_t spent = now - loop.turn_ns - (idle - loop.idle_ns);

    if (loop.turn_ns)
        metric_observe_us(&metric_turns, (int64_t)(spent / 1000));
    loop.turn_ns = now;
    loop.idle_ns = idle;
}

static void on_turn_end(uv_prepare_t *handle)
{
    (void)handle;
    turn_measure();
    for (unsigned i = 0; i < loop.hook_count; i++)
        loop.hooks[i].fn(loop.hooks[i].arg);
}

static void on_wakeup(uv_async_t *handle)
{
    (void)handle;
    pthread_mutex_lock(&loop.foreign_lock);
    struct posted *all = queue_take_all(&loop.foreign);
    pthread_mutex_unlock(&loop.foreign_lock);
    run_all(all);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)handle;
    (void)number;
    for (unsigned i = 0; i < 2; i++)
        uv_signal_stop(&loop.signals[i]);
    loop.on_signal(loop.on_signal_arg);
}

void loop_init(void)
{
    CHECK(!loop.ready);
    loop.ready = true;
    loop.stopping = false;
    loop.hook_count = 0;
    queue_init(&loop.posts);
    queue_init(&loop.foreign);
    /* A closed socket and a file at its size limit are errors of the call, not the end of the process. */
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    CHECK(uv_loop_init(&loop.uv) == 0);
    CHECK(uv_loop_configure(&loop.uv, UV_METRICS_IDLE_TIME) == 0);
    loop.turn_ns = loop.idle_ns = 0;
    CHECK(uv_prepare_init(&loop.uv, &loop.turn_end) == 0);
    CHECK(uv_prepare_start(&loop.turn_end, on_turn_end) == 0);
    CHECK(uv_idle_init(&loop.uv, &loop.turn_begin) == 0);
    /* the async handle also keeps uv_run going while nothing else is open */
    CHECK(uv_async_init(&loop.uv, &loop.wakeup, on_wakeup) == 0);
    for (unsigned i = 0; i < 2; i++)
        CHECK(uv_signal_init(&loop.uv, &loop.signals[i]) == 0);
    CHECK(uv_signal_init(&loop.uv, &loop.hangup) == 0);
}

void loop_done(void)
{
    CHECK(loop.ready);
    /* what was posted last (mostly frees) still runs */
    for (int turn = 0; turn < 8 && (loop.posts.head || turn < 2); turn++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    on_wakeup(&loop.wakeup);
    uv_close((uv_handle_t *)&loop.turn_end, NULL);
    uv_close((uv_handle_t *)&loop.turn_begin, NULL);
    uv_close((uv_handle_t *)&loop.wakeup, NULL);
    for (unsigned i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&loop.signals[i], NULL);
    uv_close((uv_handle_t *)&loop.hangup, NULL);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    /* fails while somebody's handle is open: at a process's end that is no reason to stop it harder */
    (void)uv_loop_close(&loop.uv);
    run_all(queue_take_all(&loop.posts));
    loop.ready = false;
}

void loop_run(void)
{
    while (!loop.stopping)
        uv_run(&loop.uv, UV_RUN_DEFAULT);
    loop.stopping = false;
}

void loop_stop(void)
{
    loop.stopping = true;
    uv_stop(&loop.uv);
}

void loop_on_signal(loop_fn fn, void *arg)
{
    static const int numbers[] = {SIGTERM, SIGINT};

    loop.on_signal = fn;
    loop.on_signal_arg = arg;
    for (unsigned i = 0; i < 2; i++)
        CHECK(uv_signal_start(&loop.signals[i], on_signal, numbers[i]) == 0);
}

static void on_hangup(uv_signal_t *handle, int number)
{
    (void)handle;
    (void)number;
    loop.on_hangup(loop.on_hangup_arg);
}

void loop_on_hangup(loop_fn fn, void *arg)
{
    loop.on_hangup = fn;
    loop.on_hangup_arg = arg;
    CHECK(uv_signal_start(&loop.hangup, on_hangup, SIGHUP) == 0);
}

struct uv_loop_s *loop_uv(void)
{
    CHECK(loop.ready);
    return &loop.uv;
}

struct loop_timer {
    uv_timer_t uv;
    loop_fn fn;
    void *arg;
};

static void on_timer(uv_timer_t *handle)
{
    struct loop_timer *t = (struct loop_timer *)handle;

    t->fn(t->arg);
}

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

struct loop_timer *loop_timer_new(loop_fn fn, void *arg)
{
    struct loop_timer *t = MEM_NEW(struct loop_timer);

    t->fn = fn;
    t->arg = arg;
    CHECK(uv_timer_init(loop_uv(), &t->uv) == 0);
    return t;
}

void loop_timer_start(struct loop_timer *t, int64_t after_ms, int64_t repeat_ms)
{
    CHECK(after_ms >= 0 && repeat_ms >= 0);
    /* libuv's clock stands still within a turn: a long turn must not make the wait shorter */
    uv_update_time(&loop.uv);
    CHECK(uv_timer_start(&t->uv, on_timer, (uint64_t)after_ms, (uint64_t)repeat_ms) == 0);
}

void loop_timer_stop(struct loop_timer *t)
{
    uv_timer_stop(&t->uv);
}

void loop_timer_free(struct loop_timer *t)
{
    if (t)
        uv_close((uv_handle_t *)&t->uv, on_timer_closed);
}

void loop_post(loop_fn fn, void *arg)
{
    queue_put(&loop.posts, fn, arg);
    uv_idle_start(&loop.turn_begin, on_turn_begin);
}

void loop_post_threadsafe(loop_fn fn, void *arg)
{
    pthread_mutex_lock(&loop.foreign_lock);
    queue_put(&loop.foreign, fn, arg);
    pthread_mutex_unlock(&loop.foreign_lock);
    uv_async_send(&loop.wakeup);
}

struct job {
    uv_work_t uv;
    loop_fn work, done;
    void *arg;
};

static void on_job(uv_work_t *uv)
{
    struct job *j = (struct job *)uv;

    j->work(j->arg);
}

static void on_job_done(uv_work_t *uv, int status)
{
    struct job *j = (struct job *)uv;

    CHECK(status == 0); /* nobody cancels */
    if (j->done)
        j->done(j->arg);
    mem_free(j);
}

void loop_work(loop_fn work, loop_fn done, void *arg)
{
    struct job *j = MEM_NEW(struct job);

    j->work = work;
    j->done = done;
    j->arg = arg;
    CHECK(uv_queue_work(&loop.uv, &j->uv, on_job, on_job_done) == 0);
}

void loop_on_turn_end(loop_fn fn, void *arg)
{
    for (unsigned i = 0; i < loop.hook_count; i++)
        if (loop.hooks[i].fn == fn && loop.hooks[i].arg == arg)
            return;
    CHECK(loop.hook_count < LOOP_HOOKS_MAX);
    loop.hooks[loop.hook_count].fn = fn;
    loop.hooks[loop.hook_count].arg = arg;
    loop.hook_count++;
}
