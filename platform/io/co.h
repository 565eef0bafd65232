/* Stackful coroutines: sequential code that awaits. A coroutine runs on the thread whose loop it was started on,
 * between two awaits nothing else runs. What must hold: whoever suspends has arranged for exactly one co_resume; stack
 * per LIMIT_CO_STACK_BYTES with a guard page, so no large arrays on it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct co;
typedef void (*co_fn)(void *arg);

/* Starts fn(arg) at once, until its first await. 0, -ENOMEM, -EBUSY (LIMIT_CO_MAX run already). */
int co_spawn(co_fn fn, void *arg);

/* Gives back the stacks kept for the thread's next coroutines: before a thread ends that is not the process's last. */
void co_done(void);

/* The running coroutine; NULL on the loop itself. */
struct co *co_self(void);

/* Parks the running coroutine until somebody calls co_resume(co) (from the loop or from another coroutine: then the
 * resumed one runs in the next loop turn, never nested). Resuming before the suspend is remembered (one). */
void co_suspend(void);
void co_resume(struct co *co);

void co_sleep(int64_t ms);
/* Runs fn(arg) on the thread pool and waits for its end. */
void co_work(void (*fn)(void *arg), void *arg);

/* Waiting for a set: join counters. `struct co_group g = {0}; co_group_spawn(&g, fn, arg)...; co_group_wait(&g);` */
struct co_group {
    struct co *waiter;
    unsigned running;
};
int co_group_spawn(struct co_group *g, co_fn fn, void *arg);
void co_group_wait(struct co_group *g);

/* A FIFO lock between coroutines. */
struct co_mutex {
    void *head, *tail;
    bool held;
};
void co_mutex_lock(struct co_mutex *m);
void co_mutex_unlock(struct co_mutex *m);

unsigned co_running(void);
