/* Time, and the ISO 8601 texts of the API. Any thread; no time zone but UTC, no locale. */
#include "platform/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

int64_t clock_wall_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

uint64_t clock_mono_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int64_t clock_mono_ms(void)
{
    return (int64_t)(clock_mono_ns() / 1000000u);
}

static void put_digits(char *to, unsigned width, uint64_t v)
{
    while (width--) {
        to[width] = (char)('0' + v % 10);
        v /= 10;
    }
}

void clock_format_iso(int64_t unix_ms, char out[33])
{
    int64_t seconds = unix_ms / 1000, ms = unix_ms % 1000;
    struct tm tm = {0};

    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    gmtime_r(&(time_t){seconds}, &tm);
    memcpy(out, "0000-00-00T00:00:00.000000+00:00", 33);
    put_digits(out, 4, (uint64_t)(tm.tm_year + 1900) % 10000);
    put_digits(out + 5, 2, (uint64_t)tm.tm_mon + 1);
    put_digits(out + 8, 2, (uint64_t)tm.tm_mday);
    put_digits(out + 11, 2, (uint64_t)tm.tm_hour);
    put_digits(out + 14, 2, (uint64_t)tm.tm_min);
    put_digits(out + 17, 2, (uint64_t)tm.tm_sec);
    put_digits(out + 20, 3, (uint64_t)ms);
}

/* Takes `width` digits from the front of s. */
static bool take_digits(struct str *s, unsigned width, int *ret)
{
    int v = 0;

    if (s->n < width)
        return false;
    for (unsigned i = 0; i < width; i++) {
        unsigned digit = (unsigned)(s->p[i] - '0');
        if (digit > 9)
            return false;
        v = v * 10 + (int)digit;
    }
    s->p += width;
    s->n -= width;
    *ret = v;
    return true;
}

static bool take_char(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    s->p++;
    s->n--;
    return true;
}

/* `.123456` or nothing; digits beyond milliseconds are dropped. */
static bool take_fraction(struct str *s, int *ret_ms)
{
    int ms = 0, unit = 100, digit;

    if (take_char(s, '.')) {
        if (!take_digits(s, 1, &digit))
            return false;
        do {
            ms += digit * unit;
            unit /= 10;
        } while (take_digits(s, 1, &digit));
    }
    *ret_ms = ms;
    return true;
}

static bool take_offset(struct str *s, int *ret_minutes)
{
    int sign = 1, hours, minutes;

    *ret_minutes = 0;
    if (take_char(s, 'Z') || take_char(s, 'z'))
        return true;
    if (take_char(s, '-'))
        sign = -1;
    else if (!take_char(s, '+'))
        return false;
    if (!take_digits(s, 2, &hours))
        return false;
    take_char(s, ':');
    if (!take_digits(s, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_minutes = sign * (hours * 60 + minutes);
    return true;
}

int clock_parse_iso(struct str s, int64_t *ret_unix_ms)
{
    struct tm tm = {0};
    int ms, offset;

    if (!take_digits(&s, 4, &tm.tm_year) || !take_char(&s, '-') || !take_digits(&s, 2, &tm.tm_mon) ||
        !take_char(&s, '-') || !take_digits(&s, 2, &tm.tm_mday) ||
        !(take_char(&s, 'T') || take_char(&s, 't') || take_char(&s, ' ')) || !take_digits(&s, 2, &tm.tm_hour) ||
        !take_char(&s, ':') || !take_digits(&s, 2, &tm.tm_min) || !take_char(&s, ':') ||
        !take_digits(&s, 2, &tm.tm_sec) || !take_fraction(&s, &ms) || !take_offset(&s, &offset) || s.n)
        return -EINVAL;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return -EINVAL;
    struct tm norm = {.tm_year = tm.tm_year - 1900, .tm_mon = tm.tm_mon - 1, .tm_mday = tm.tm_mday};
    int64_t day = timegm(&norm);
    if (norm.tm_mday != tm.tm_mday) /* the 31st of a month that has none */
        return -EINVAL;
    *ret_unix_ms = (day + tm.tm_hour * 3600 + (tm.tm_min - offset) * 60 + tm.tm_sec) * 1000 + ms;
    return 0;
}
