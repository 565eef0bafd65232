/* Tests on coroutines: a test's body runs on one, and its expectations must not jump off it (cmocka's asserts do), so
 * they are counted here and asserted by the loop's side at the end. Header only; one per test program. */
#pragma once

#include "tests/support/cm.h"

#include "platform/io/co.h"
#include "platform/io/loop.h"
#include <stdio.h>
#include <stdlib.h>

static int co_test_failures;

#define expect_true(cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: expected: %s\n", __FILE__, __LINE__, #cond);                                       \
            co_test_failures++;                                                                                        \
        }                                                                                                              \
    } while (0)

#define expect_int(actual, wanted)                                                                                     \
    do {                                                                                                               \
        long long co_test_a = (long long)(actual), co_test_w = (long long)(wanted);                                    \
        if (co_test_a != co_test_w) {                                                                                  \
            fprintf(stderr, "%s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #actual, co_test_a, co_test_w);  \
            co_test_failures++;                                                                                        \
        }                                                                                                              \
    } while (0)

#define expect_text(actual, wanted)                                                                                    \
    do {                                                                                                               \
        struct str co_test_s = (actual);                                                                               \
        if (!str_eq(co_test_s, str_c(wanted))) {                                                                       \
            fprintf(stderr, "%s:%d: %s is '%.*s', expected '%s'\n", __FILE__, __LINE__, #actual, STR_ARG(co_test_s),   \
                    (wanted));                                                                                         \
            co_test_failures++;                                                                                        \
        }                                                                                                              \
    } while (0)

static void co_test_main(void *body)
{
    (*(void (**)(void))body)();
    loop_stop();
}

/* Runs body on a coroutine in a loop of its own and fails the test when an expectation did not hold. */
static inline void co_test_run(void (*body)(void))
{
    co_test_failures = 0;
    loop_init();
    assert_int_equal(co_spawn(co_test_main, &body), 0);
    loop_run();
    loop_done();
    assert_int_equal(co_test_failures, 0);
}

/* cmocka entry for a body: static void x(void) {...}  CO_TEST(x) in the list. */
static inline void co_test_entry(void **state)
{
    co_test_run((void (*)(void))(uintptr_t)*state);
}
#define CO_TEST(body)                                                                                                  \
    {                                                                                                                  \
#body, co_test_entry, NULL, NULL, (void *)(uintptr_t)(body)                                                    \
    }
