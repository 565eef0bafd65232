/* Broken invariants stop the process, in release builds too. Bad input never comes here: it gets an error. */
#pragma once

#include <stdlib.h>

/* Writes file, line and message to standard error, then aborts. Any thread. */
_Noreturn void check_fail(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (__builtin_expect(!(cond), 0))                                                                              \
            check_fail(__FILE__, __LINE__, "%s", #cond);                                                               \
    } while (0)

#define CHECK_MSG(cond, ...)                                                                                           \
    do {                                                                                                               \
        if (__builtin_expect(!(cond), 0))                                                                              \
            check_fail(__FILE__, __LINE__, __VA_ARGS__);                                                               \
    } while (0)
