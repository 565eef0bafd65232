/* cmocka with the headers it wants before it, and the few helpers every unit test uses. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "platform/base/buf.h"

/* The bytes of a str or buf against a C string, with both shown where they differ. */
#define assert_str(s, text)                                                                                            \
    do {                                                                                                               \
        struct str cm_s = (s);                                                                                         \
        char cm_copy[4096];                                                                                            \
        assert_true(cm_s.n < sizeof(cm_copy));                                                                         \
        memcpy(cm_copy, cm_s.p ? cm_s.p : "", cm_s.n);                                                                 \
        cm_copy[cm_s.n] = 0;                                                                                           \
        assert_string_equal(cm_copy, (text));                                                                          \
    } while (0)

#define assert_buf(b, text) assert_str(buf_str(b), text)
