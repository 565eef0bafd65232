/* A cmocka test whose body runs on a coroutine, its asserts jumping off it: `static void body(void) {...}`,
 * ON_LOOP(body), and body_test in the list. The first that fails ends the program: the loop is left as it stood. */
#pragma once

#include "platform/io/co.h"
#include "platform/io/loop.h"
#include "tests/support/cm.h"

static inline void on_loop_main(void *arg)
{
    void (*body)(void) = *(void (**)(void))arg;

    body();
    loop_stop();
}

static inline void on_loop_run(void (*body)(void))
{
    loop_init();
    assert_int_equal(co_spawn(on_loop_main, &body), 0);
    loop_run();
    assert_int_equal(co_running(), 0);
    loop_done();
}

#define ON_LOOP(body)                                                                                                  \
    static void body##_test(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        on_loop_run(body);                                                                                             \
    }

/* Waits up to 20 s for a condition, letting the loop run. */
#define UNTIL(condition)                                                                                               \
    do {                                                                                                               \
        int co_left = 2000;                                                                                            \
        while (!(condition) && co_left-- > 0)                                                                          \
            co_sleep(10);                                                                                              \
        assert_true(condition);                                                                                        \
    } while (0)
