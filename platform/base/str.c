/* Borrowed runs of bytes: comparison, numbers, UTF-8. Any thread; nothing is allocated. */
#include "platform/base/str.h"

#include <errno.h>

static char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

int str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    bool over = false;

    if (s.n == 0)
        return -EINVAL;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(s.p[i] - '0');
        if (digit > 9)
            return -EINVAL;
        over |= __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, digit, &v);
    }
    if (over)
        return -ERANGE;
    *ret = v;
    return 0;
}

int str_to_i64(struct str s, int64_t *ret)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    struct str digits = negative ? (struct str){s.p + 1, s.n - 1} : s;
    uint64_t v;
    int r = str_to_u64(digits, &v);

    if (r < 0)
        return r;
    if (v > (uint64_t)INT64_MAX + negative)
        return -ERANGE;
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return 0;
}

/* Bytes of the code point at p (n left), 0 when it is not valid. Source: RFC 3629, section 4. */
static size_t utf8_step(const unsigned char *p, size_t n)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t len;

    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        len = 2;
    } else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        len = 3;
        low = p[0] == 0xE0 ? 0xA0 : 0x80;
        high = p[0] == 0xED ? 0x9F : 0xBF;
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        len = 4;
        low = p[0] == 0xF0 ? 0x90 : 0x80;
        high = p[0] == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    if (n < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

int64_t utf8_count(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    int64_t count = 0;

    while (i < s.n) {
        uint64_t eight;
        /* most text is ASCII: eight bytes at a time */
        if (s.n - i >= 8 && (memcpy(&eight, p + i, 8), (eight & UINT64_C(0x8080808080808080)) == 0)) {
            i += 8;
            count += 8;
            continue;
        }
        size_t step = utf8_step(p + i, s.n - i);
        if (step == 0)
            return -EILSEQ;
        i += step;
        count++;
    }
    return count;
}

size_t utf8_next(struct str s)
{
    return s.n ? utf8_step((const unsigned char *)s.p, s.n) : 0;
}
