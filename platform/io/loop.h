/* The event loop, on libuv: one for a process, or one for each thread that calls loop_init. Its thread owns it and
 * everything made on it; only loop_post_threadsafe and loop_post_to may be called from another thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct uv_loop_s;
typedef void (*loop_fn)(void *arg);

/* Makes the calling thread's loop. loop_done closes what was made here and must come last. */
void loop_init(void);
void loop_done(void);
/* Runs until loop_stop. SIGTERM and SIGINT call `on_signal` once (then the default action is back); SIGPIPE is ignored.
 */
void loop_run(void);
void loop_stop(void);
void loop_on_signal(loop_fn on_signal, void *arg);
/* Each SIGHUP calls on_hangup: settings are to be read again. Without it the default action ends the process. */
void loop_on_hangup(loop_fn on_hangup, void *arg);
/* For the adapters in platform/io only. */
struct uv_loop_s *loop_uv(void);

/* Timers. A timer is freed by loop_timer_free (safe inside its own callback). repeat_ms 0 = once. */
struct loop_timer;
struct loop_timer *loop_timer_new(loop_fn fn, void *arg);
void loop_timer_start(struct loop_timer *t, int64_t after_ms, int64_t repeat_ms); /* restarts a running one */
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t); /* NULL is fine */

/* Calls fn(arg) in the next turn of the loop, in order of posting. Objects are freed this way, one turn later. */
void loop_post(loop_fn fn, void *arg);
/* The same from any thread: to the loop that the thread was given to, else to the process's first one. */
void loop_post_threadsafe(loop_fn fn, void *arg);
/* For processes with several loops. */
struct loop;
struct loop *loop_mine(void);
void loop_post_to(struct loop *to, loop_fn fn, void *arg); /* any thread, while that loop is there */
void loop_serve(struct loop *owner);                       /* a thread without a loop: whom it posts to from now on */

/* Runs work(arg) on the thread pool (4 threads), then done(arg) on the loop. */
void loop_work(loop_fn work, loop_fn done, void *arg);

/* Called once at the end of every loop turn in which anything ran, before the loop blocks: coalesced writes leave
 * here. Registering the same hook again changes nothing. */
void loop_on_turn_end(loop_fn fn, void *arg);
