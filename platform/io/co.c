/* Stackful coroutines. Loop thread only. Stacks are mapped with a guard page below and kept in a pool;
 * the sanitizers are told of every switch. A coroutine returns to whoever started or resumed it. */
#include "platform/io/co.h"

#include "platform/base/check.h"
#include "platform/base/limits.h"
#include "platform/base/list.h"
#include "platform/base/mem.h"
#include "platform/io/co_context.h"
#include "platform/io/loop.h"
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef CO_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef CO_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Sanitized frames are several times as large; TSan keeps megabytes for each fiber. */
#if defined(CO_ASAN) || defined(CO_TSAN)
#define CO_STACK_BYTES ((size_t)4 * LIMIT_CO_STACK_BYTES)
#else
#define CO_STACK_BYTES ((size_t)LIMIT_CO_STACK_BYTES)
#endif
#ifdef CO_TSAN
#define CO_MAX 4000
#else
#define CO_MAX LIMIT_CO_MAX
#endif

#define CO_POOL_MAX 128
#define CO_MAGIC    0x636f726fu

/* Something that runs on a stack: a coroutine, or the loop itself. */
struct co {
    unsigned magic;
    struct co_context context;
    struct co *back; /* who runs when this one stops */
    co_fn fn;
    void *arg;
    bool suspended, woken, over;
    void *stack; /* lowest usable byte */
    size_t stack_bytes;
    void *fiber;      /* TSan's */
    void *fake_stack; /* ASan's, while it does not run */
    struct list link; /* in the pool */
};

/* Of each thread that has a loop. */
static _Thread_local struct co loop_side; /* the loop's own stack */
static _Thread_local struct co *current;  /* NULL: the loop runs */
static _Thread_local struct list pool;
static _Thread_local unsigned pool_count, running_count;

static struct co *here(void)
{
    return current ? current : &loop_side;
}

/* On the stack that was switched to: closes the switch that `from` began. */
static void switch_finish(struct co *self, struct co *from)
{
#ifdef CO_ASAN
    const void *bottom;
    size_t size;

    __sanitizer_finish_switch_fiber(self->fake_stack, &bottom, &size);
    if (from == &loop_side) {
        loop_side.stack = (void *)(uintptr_t)bottom;
        loop_side.stack_bytes = size;
    }
#else
    (void)self;
    (void)from;
#endif
}

static _Thread_local struct co *switched_from;

/* final: `from` never runs again. */
static void switch_to(struct co *from, struct co *to, bool final)
{
    (void) final;
#ifdef CO_ASAN
    __sanitizer_start_switch_fiber(final ? NULL : &from->fake_stack, to->stack, to->stack_bytes);
#endif
#ifdef CO_TSAN
    if (from == &loop_side)
        loop_side.fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    switched_from = from;
    current = to == &loop_side ? NULL : to;
    co_context_switch(&from->context, &to->context);
    switch_finish(from, switched_from);
}

static void co_main(void)
{
    struct co *self = current;

    switch_finish(self, switched_from);
    self->fn(self->arg);
    self->over = true;
    switch_to(self, self->back, true);
    CHECK_MSG(false, "a coroutine ran on after its end");
}

static struct co *co_map(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *base = mmap(NULL, page + CO_STACK_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

    if (base == MAP_FAILED)
        return NULL;
    if (mprotect(base, page, PROT_NONE) != 0) {
        munmap(base, page + CO_STACK_BYTES);
        return NULL;
    }
    struct co *co = MEM_NEW(struct co);
    co->magic = CO_MAGIC;
    co->stack = base + page;
    co->stack_bytes = CO_STACK_BYTES;
    list_init(&co->link);
    return co;
}

static void co_unmap(struct co *co)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    munmap((char *)co->stack - page, page + CO_STACK_BYTES);
    co->magic = 0;
    mem_free(co);
}

static struct co *co_get(void)
{
    if (!pool.next)
        list_init(&pool); /* a thread's first */
    struct list *first = list_first(&pool);

    if (!first)
        return co_map();
    list_remove(first);
    pool_count--;
    return LIST_ENTRY(first, struct co, link);
}

static void co_put(struct co *co)
{
#ifdef CO_ASAN
    __asan_unpoison_memory_region(co->stack, co->stack_bytes);
#endif
#ifdef CO_TSAN
    __tsan_destroy_fiber(co->fiber);
#endif
    if (pool_count >= CO_POOL_MAX) {
        co_unmap(co);
        return;
    }
    /* the one used last goes first: its pages are warm */
    list_append(pool.next, &co->link);
    pool_count++;
}

void co_done(void)
{
    while (pool.next && !list_empty(&pool))
        co_unmap(co_get());
}

/* Runs co until it suspends or ends. */
static void co_enter(struct co *co)
{
    CHECK(co->magic == CO_MAGIC && co != current);
    co->back = here();
    switch_to(here(), co, false);
    if (co->over) {
        running_count--;
        co_put(co);
    }
}

int co_spawn(co_fn fn, void *arg)
{
    if (running_count >= CO_MAX)
        return -EBUSY;
    struct co *co = co_get();
    if (!co)
        return -ENOMEM;
    running_count++;
    co->fn = fn;
    co->arg = arg;
    co->suspended = co->woken = co->over = false;
    co->fake_stack = NULL;
#ifdef CO_TSAN
    co->fiber = __tsan_create_fiber(0);
#endif
    co_context_make(&co->context, co->stack, co->stack_bytes, co_main);
    co_enter(co);
    return 0;
}

struct co *co_self(void)
{
    return current;
}

void co_suspend(void)
{
    struct co *self = current;

    CHECK_MSG(self, "co_suspend on the loop itself");
    if (self->woken) {
        self->woken = false;
        return;
    }
    self->suspended = true;
    switch_to(self, self->back, false);
}

static void enter_posted(void *arg)
{
    co_enter(arg);
}

void co_resume(struct co *co)
{
    CHECK(co->magic == CO_MAGIC);
    if (!co->suspended) {
        CHECK_MSG(!co->woken, "a coroutine was resumed twice");
        co->woken = true;
        return;
    }
    co->suspended = false;
    if (current)
        loop_post(enter_posted, co);
    else
        co_enter(co);
}

static void resume_arg(void *arg)
{
    co_resume(arg);
}

void co_sleep(int64_t ms)
{
    struct loop_timer *t = loop_timer_new(resume_arg, current);

    loop_timer_start(t, ms, 0);
    co_suspend();
    loop_timer_free(t);
}

struct co_job {
    void (*fn)(void *arg);
    void *arg;
    struct co *co;
};

static void job_run(void *arg)
{
    struct co_job *j = arg;

    j->fn(j->arg);
}

static void job_done(void *arg)
{
    struct co_job *j = arg;

    co_resume(j->co);
}

void co_work(void (*fn)(void *arg), void *arg)
{
    struct co_job j = {fn, arg, current};

    loop_work(job_run, job_done, &j);
    co_suspend();
}

struct group_member {
    struct co_group *group;
    co_fn fn;
    void *arg;
};

static void group_main(void *arg)
{
    struct group_member m = *(struct group_member *)arg;

    mem_free(arg);
    m.fn(m.arg);
    if (--m.group->running == 0 && m.group->waiter) {
        struct co *waiter = m.group->waiter;
        m.group->waiter = NULL;
        co_resume(waiter);
    }
}

int co_group_spawn(struct co_group *g, co_fn fn, void *arg)
{
    struct group_member *m = MEM_NEW(struct group_member);

    *m = (struct group_member){g, fn, arg};
    g->running++;
    int r = co_spawn(group_main, m);
    if (r < 0) {
        g->running--;
        mem_free(m);
    }
    return r;
}

void co_group_wait(struct co_group *g)
{
    if (g->running == 0)
        return;
    CHECK(current && !g->waiter);
    g->waiter = current;
    co_suspend();
}

struct mutex_waiter {
    struct mutex_waiter *next;
    struct co *co;
};

void co_mutex_lock(struct co_mutex *m)
{
    struct mutex_waiter w = {.co = current};

    if (!m->held) {
        m->held = true;
        return;
    }
    CHECK(current);
    if (m->tail)
        ((struct mutex_waiter *)m->tail)->next = &w;
    else
        m->head = &w;
    m->tail = &w;
    co_suspend(); /* co_mutex_unlock took w off and left the lock held for us */
}

void co_mutex_unlock(struct co_mutex *m)
{
    struct mutex_waiter *first = m->head;

    CHECK(m->held);
    if (!first) {
        m->held = false;
        return;
    }
    m->head = first->next;
    if (!m->head)
        m->tail = NULL;
    co_resume(first->co);
}

unsigned co_running(void)
{
    return running_count;
}
