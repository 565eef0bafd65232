/* Structured logs: one write(2) a line, so that lines of several threads and processes never mix. Any thread; a line
 * is cut at 4 KB. Control bytes are escaped: a stranger's text cannot forge a line. */
#include "platform/base/log.h"

#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_FIELDS_BYTES 4096
#define LOG_LINE_BYTES   (8 * LOG_FIELDS_BYTES)

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *log_component = "guildhall";
static enum log_level log_lowest = LOG_LEVEL_INFO;
static bool log_json;

void log_init(const char *component, enum log_level level, bool json)
{
    log_component = component;
    log_lowest = level;
    log_json = json;
}

enum log_level log_level_of(const char *name)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(name, level_names[i]) == 0)
            return (enum log_level)i;
    return LOG_LEVEL_INFO;
}

bool log_enabled(enum log_level level)
{
    return level >= log_lowest;
}

/* Where a value begins at s and how far it goes: up to a blank, or for "..." up to a quote before a blank or the end.
 */
static size_t value_len(struct str s)
{
    size_t i = 0;

    if (s.n && s.p[0] == '"') {
        for (i = 1; i < s.n; i++)
            if (s.p[i] == '"' && (i + 1 == s.n || s.p[i + 1] == ' '))
                return i + 1;
        return s.n;
    }
    while (i < s.n && s.p[i] != ' ')
        i++;
    return i;
}

static void json_value(struct buf *b, struct str v)
{
    int64_t number;

    if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
        jw_str(b, (struct str){v.p + 1, v.n - 2});
    else if (str_to_i64(v, &number) == 0)
        jw_i64(b, number);
    else
        jw_str(b, v);
}

static void json_fields(struct buf *b, struct str s)
{
    while (s.n) {
        const char *eq = memchr(s.p, '=', s.n);
        size_t key_len = eq ? (size_t)(eq - s.p) : s.n;
        struct str key = {s.p, key_len};
        struct str rest = eq ? (struct str){eq + 1, s.n - key_len - 1} : (struct str){s.p + s.n, 0};
        struct str value = {rest.p, value_len(rest)};
        jw_str(b, key);
        buf_addc(b, ':');
        json_value(b, value);
        size_t used = (size_t)(value.p - s.p) + value.n;
        while (used < s.n && s.p[used] == ' ')
            used++;
        s.p += used;
        s.n -= used;
    }
}

static void text_fields(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7F)
            buf_addf(b, "\\x%02x", c);
        else
            buf_addc(b, (char)c);
    }
}

static void compose(struct buf *b, enum log_level level, const char *event, struct str fields)
{
    char time[33];

    clock_format_iso(clock_wall_ms(), time);
    time[23] = 0; /* to the millisecond, UTC */
    if (log_json) {
        buf_addf(b, "{\"time\":\"%sZ\",\"level\":\"%s\",\"component\":\"%s\",\"event\":\"%s\"", time,
                 level_names[level], log_component, event);
        json_fields(b, fields);
        jw_obj_end(b);
    } else {
        buf_addf(b, "%sZ %-5s %s %s", time, level_names[level], log_component, event);
        if (fields.n)
            buf_addc(b, ' ');
        text_fields(b, fields);
    }
    buf_addc(b, '\n');
}

void log_write(enum log_level level, const char *event, const char *fmt, ...)
{
    char fields[LOG_FIELDS_BYTES];
    BUF_AUTO struct buf b = BUF_INIT(LOG_LINE_BYTES);
    va_list ap;

    if (!log_enabled(level))
        return;
    va_start(ap, fmt);
    int n = vsnprintf(fields, sizeof(fields), fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    compose(&b, level, event, (struct str){fields, (size_t)n < sizeof(fields) ? (size_t)n : sizeof(fields) - 1});
    if (!buf_failed(&b) && write(STDERR_FILENO, b.data, b.len) < 0)
        return; /* nobody left to tell */
}
