/* A borrowed run of bytes: pointer and length, not NUL-terminated, never owned. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})
#define STR_ARG(s)   (int)(s).n, (s).p /* for "%.*s" */

static inline struct str str_c(const char *s)
{
    return (struct str){s, s ? strlen(s) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII letters only. */
bool str_eq_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);

/* Decimal, no sign, no blanks, whole string. 0, -EINVAL (not a number), -ERANGE. */
int str_to_u64(struct str s, uint64_t *ret);
/* As above with an optional leading minus. */
int str_to_i64(struct str s, int64_t *ret);

/* Number of Unicode code points; -EILSEQ when the bytes are not valid UTF-8 (RFC 3629: no surrogates, no overlongs). */
int64_t utf8_count(struct str s);

/* Bytes of the first code point (1..4), 0 when it is not valid UTF-8 or s is empty. */
size_t utf8_next(struct str s);
