/* The growing byte buffer. One owner, one thread. Born with a limit: over it the failure is sticky, never a crash. */
#include "platform/base/buf.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include <stdarg.h>
#include <stdio.h>

#define BUF_FIRST_BYTES 256

void buf_init(struct buf *b, size_t max)
{
    *b = BUF_INIT(max);
}

void buf_done(struct buf *b)
{
    mem_free(b->data);
    *b = BUF_INIT(b->max);
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = 0;
}

/* cap does not count the NUL's byte. */
static bool buf_grow(struct buf *b, size_t need)
{
    size_t max = b->max ? b->max : LIMIT_BUF_DEFAULT_BYTES;
    size_t cap = b->cap ? b->cap * 2 : BUF_FIRST_BYTES;

    if (need > max)
        return false;
    if (cap < need)
        cap = need;
    if (cap > max)
        cap = max;
    char *data = mem_try_realloc(b->data, cap + 1);
    if (!data)
        return false;
    b->data = data;
    b->cap = cap;
    return true;
}

char *buf_reserve(struct buf *b, size_t n)
{
    size_t need;

    if (b->failed)
        return NULL;
    if (__builtin_add_overflow(b->len, n, &need) || ((need > b->cap || !b->data) && !buf_grow(b, need))) {
        b->failed = true;
        return NULL;
    }
    b->data[need] = 0;
    return b->data + b->len;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    char *to = n ? buf_reserve(b, n) : NULL;

    if (to) {
        memcpy(to, p, n);
        b->len += n;
    }
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_adds(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + v % 10);
    while (v /= 10);
    buf_add(b, digits + at, sizeof(digits) - at);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    char small[256];
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    if (n < 0) {
        b->failed = true;
    } else if ((size_t)n < sizeof(small)) {
        buf_add(b, small, (size_t)n);
    } else if (buf_reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
    } else {
        b->len -= n;
        memmove(b->data, b->data + n, b->len);
    }
    if (b->data)
        b->data[b->len] = 0;
}

char *buf_steal(struct buf *b, size_t *ret_len)
{
    char *data;

    if (!b->failed && !b->data)
        buf_reserve(b, 0);
    if (b->failed) {
        buf_done(b);
        return NULL;
    }
    data = b->data;
    if (ret_len)
        *ret_len = b->len;
    *b = BUF_INIT(b->max);
    return data;
}
