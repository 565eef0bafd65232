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

struct loop {
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
};

static struct loop first = {.foreign_lock = PTHREAD_MUTEX_INITIALIZER};
static _Thread_local struct loop *mine;   /* the thread's own; NULL: none */
static _Thread_local struct loop *served; /* whom a thread without one posts to; NULL: the first */

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
    struct posted *all = queue_take_all(&mine->posts);

    uv_idle_stop(handle); /* a call that posts starts it again, for the turn after this one */
    run_all(all);
}

/* A turn is what runs between two waits for the kernel. */
static void turn_measure(void)
{
    uint64_t now = clock_mono_ns(), idle = uv_metrics_idle_time(&mine->uv);
    uint64_t spent = now - mine->turn_ns - (idle - mine->idle_ns);

    if (mine->turn_ns)
        metric_observe_us(&metric_turns, (int64_t)(spent / 1000));
    mine->turn_ns = now;
    mine->idle_ns = idle;
}

static void on_turn_end(uv_prepare_t *handle)
{
    (void)handle;
    turn_measure();
    for (unsigned i = 0; i < mine->hook_count; i++)
        mine->hooks[i].fn(mine->hooks[i].arg);
}

static void on_wakeup(uv_async_t *handle)
{
    (void)handle;
    pthread_mutex_lock(&mine->foreign_lock);
    struct posted *all = queue_take_all(&mine->foreign);
    pthread_mutex_unlock(&mine->foreign_lock);
    run_all(all);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)handle;
    (void)number;
    for (unsigned i = 0; i < 2; i++)
        uv_signal_stop(&mine->signals[i]);
    mine->on_signal(mine->on_signal_arg);
}

static struct loop *loop_take(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct loop *l = NULL;

    pthread_mutex_lock(&lock);
    if (!first.ready) {
        first.ready = true;
        l = &first;
    }
    pthread_mutex_unlock(&lock);
    if (l)
        return l;
    l = MEM_NEW(struct loop);
    CHECK(pthread_mutex_init(&l->foreign_lock, NULL) == 0);
    l->ready = true;
    return l;
}

void loop_init(void)
{
    CHECK(!mine);
    mine = loop_take();
    mine->stopping = false;
    mine->hook_count = 0;
    queue_init(&mine->posts);
    queue_init(&mine->foreign);
    /* A closed socket and a file at its size limit are errors of the call, not the end of the process. */
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    CHECK(uv_loop_init(&mine->uv) == 0);
    CHECK(uv_loop_configure(&mine->uv, UV_METRICS_IDLE_TIME) == 0);
    mine->turn_ns = mine->idle_ns = 0;
    CHECK(uv_prepare_init(&mine->uv, &mine->turn_end) == 0);
    CHECK(uv_prepare_start(&mine->turn_end, on_turn_end) == 0);
    CHECK(uv_idle_init(&mine->uv, &mine->turn_begin) == 0);
    /* the async handle also keeps uv_run going while nothing else is open */
    CHECK(uv_async_init(&mine->uv, &mine->wakeup, on_wakeup) == 0);
    for (unsigned i = 0; i < 2; i++)
        CHECK(uv_signal_init(&mine->uv, &mine->signals[i]) == 0);
    CHECK(uv_signal_init(&mine->uv, &mine->hangup) == 0);
}

void loop_done(void)
{
    CHECK(mine);
    /* what was posted last (mostly frees) still runs */
    for (int turn = 0; turn < 8 && (mine->posts.head || turn < 2); turn++)
        uv_run(&mine->uv, UV_RUN_NOWAIT);
    on_wakeup(&mine->wakeup);
    uv_close((uv_handle_t *)&mine->turn_end, NULL);
    uv_close((uv_handle_t *)&mine->turn_begin, NULL);
    uv_close((uv_handle_t *)&mine->wakeup, NULL);
    for (unsigned i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&mine->signals[i], NULL);
    uv_close((uv_handle_t *)&mine->hangup, NULL);
    uv_run(&mine->uv, UV_RUN_NOWAIT);
    /* fails while somebody's handle is open: at a process's end that is no reason to stop it harder */
    (void)uv_loop_close(&mine->uv);
    run_all(queue_take_all(&mine->posts));
    mine->ready = false;
    if (mine != &first)
        mem_free(mine);
    mine = NULL;
}

void loop_run(void)
{
    while (!mine->stopping)
        uv_run(&mine->uv, UV_RUN_DEFAULT);
    mine->stopping = false;
}

void loop_stop(void)
{
    mine->stopping = true;
    uv_stop(&mine->uv);
}

void loop_on_signal(loop_fn fn, void *arg)
{
    static const int numbers[] = {SIGTERM, SIGINT};

    mine->on_signal = fn;
    mine->on_signal_arg = arg;
    for (unsigned i = 0; i < 2; i++)
        CHECK(uv_signal_start(&mine->signals[i], on_signal, numbers[i]) == 0);
}

static void on_hangup(uv_signal_t *handle, int number)
{
    (void)handle;
    (void)number;
    mine->on_hangup(mine->on_hangup_arg);
}

void loop_on_hangup(loop_fn fn, void *arg)
{
    mine->on_hangup = fn;
    mine->on_hangup_arg = arg;
    CHECK(uv_signal_start(&mine->hangup, on_hangup, SIGHUP) == 0);
}

struct uv_loop_s *loop_uv(void)
{
    CHECK(mine);
    return &mine->uv;
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
    uv_update_time(&mine->uv);
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
    queue_put(&mine->posts, fn, arg);
    uv_idle_start(&mine->turn_begin, on_turn_begin);
}

struct loop *loop_mine(void)
{
    return mine;
}

void loop_post_to(struct loop *to, loop_fn fn, void *arg)
{
    pthread_mutex_lock(&to->foreign_lock);
    queue_put(&to->foreign, fn, arg);
    pthread_mutex_unlock(&to->foreign_lock);
    uv_async_send(&to->wakeup);
}

void loop_serve(struct loop *owner)
{
    served = owner;
}

void loop_post_threadsafe(loop_fn fn, void *arg)
{
    loop_post_to(mine ? mine : served ? served : &first, fn, arg);
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
    CHECK(uv_queue_work(&mine->uv, &j->uv, on_job, on_job_done) == 0);
}

void loop_on_turn_end(loop_fn fn, void *arg)
{
    for (unsigned i = 0; i < mine->hook_count; i++)
        if (mine->hooks[i].fn == fn && mine->hooks[i].arg == arg)
            return;
    CHECK(mine->hook_count < LOOP_HOOKS_MAX);
    mine->hooks[mine->hook_count].fn = fn;
    mine->hooks[mine->hook_count].arg = arg;
    mine->hook_count++;
}
