/* Mentions, timestamps, ids, cooldowns. */
#include "worker-sdk/src/sdk.h"

#include <guildhall/helpers.h>

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define EPOCH_MS 1420070400000 /* Discord's: the first second of 2015 */

const char *gh_mention_user(struct gh_context *c, uint64_t id)
{
    return gh_printf(c, "<@%llu>", (unsigned long long)id);
}

const char *gh_mention_channel(struct gh_context *c, uint64_t id)
{
    return gh_printf(c, "<#%llu>", (unsigned long long)id);
}

const char *gh_mention_role(struct gh_context *c, uint64_t id)
{
    return gh_printf(c, "<@&%llu>", (unsigned long long)id);
}

const char *gh_mention_command(struct gh_context *c, const char *path, uint64_t command_id)
{
    return gh_printf(c, "</%s:%llu>", path, (unsigned long long)command_id);
}

const char *gh_emoji_text(struct gh_context *c, const struct gh_emoji *emoji)
{
    const char *name = emoji->name ? emoji->name : "";
    return emoji->id ? gh_printf(c, "<%s:%s:%llu>", emoji->animated ? "a" : "", name, (unsigned long long)emoji->id)
                     : gh_printf(c, "%s", name);
}

const char *gh_emoji_reaction(struct gh_context *c, const struct gh_emoji *emoji)
{
    const char *name = emoji->name ? emoji->name : "";
    return emoji->id ? gh_printf(c, "%s:%llu", name, (unsigned long long)emoji->id) : gh_printf(c, "%s", name);
}

static uint64_t mentioned(const char *text, const char *begin, const char *begin_too)
{
    for (const char *p = text; (p = strchr(p, '<')); p++) {
        const char *with = begin_too && strncmp(p, begin_too, strlen(begin_too)) == 0 ? begin_too : begin;
        size_t n = strncmp(p, with, strlen(with)) == 0 ? strlen(with) : 0;
        char *end;
        if (n == 0 || p[n] < '0' || p[n] > '9')
            continue;
        uint64_t id = strtoull(p + n, &end, 10);
        if (*end == '>')
            return id;
    }
    return 0;
}

uint64_t gh_mentioned_user(const char *text)
{
    return mentioned(text, "<@", "<@!");
}

uint64_t gh_mentioned_channel(const char *text)
{
    return mentioned(text, "<#", NULL);
}

uint64_t gh_mentioned_role(const char *text)
{
    return mentioned(text, "<@&", NULL);
}

const char *gh_escape(struct gh_context *c, const char *text)
{
    BUF_AUTO struct buf b = {0};
    for (; *text; text++) {
        if (strchr("\\*_~`|>#-[]()<:", *text))
            buf_addc(&b, '\\');
        buf_addc(&b, *text);
        if (*text == '@')
            buf_adds(&b, "\xe2\x80\x8b"); /* a space of no width: nothing is mentioned */
    }
    return arena_strdup(&c->arena, buf_str(&b));
}

/* --- time --- */

const char *gh_timestamp(struct gh_context *c, int64_t unix_s, char style)
{
    return style ? gh_printf(c, "<t:%lld:%c>", (long long)unix_s, style) : gh_printf(c, "<t:%lld>", (long long)unix_s);
}

const char *gh_iso_time(struct gh_context *c, int64_t unix_ms)
{
    int64_t ms = ((unix_ms % 1000) + 1000) % 1000;
    time_t s = (time_t)((unix_ms - ms) / 1000);
    struct tm t;
    char text[40];
    gmtime_r(&s, &t);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &t);
    return gh_printf(c, "%s.%03d000+00:00", text, (int)ms);
}

/* ".936000" as ms; *end behind it. */
static int64_t fraction_read(const char *p, const char **end)
{
    int64_t ms = 0, unit = 100;
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
            ms += (*p - '0') * unit;
    *end = p;
    return ms;
}

int64_t gh_iso_read_ms(const char *text)
{
    struct tm t = {0};
    int used = 0, hours = 0, minutes = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec,
               &used) != 6)
        return -1;
    const char *p;
    int64_t ms = fraction_read(text + used, &p);
    if (*p != 'Z' && sscanf(p, "%3d:%2d", &hours, &minutes) != 2)
        return -1;
    t.tm_year -= 1900;
    t.tm_mon--;
    int64_t offset_s = hours * 3600 + (*p == '-' ? -minutes : minutes) * 60;
    return ((int64_t)timegm(&t) - offset_s) * 1000 + ms;
}

int64_t gh_id_time_ms(uint64_t id)
{
    return (int64_t)(id >> 22) + EPOCH_MS;
}

uint64_t gh_id_at(int64_t unix_ms)
{
    return unix_ms < EPOCH_MS ? 0 : (uint64_t)(unix_ms - EPOCH_MS) << 22;
}

/* --- cooldowns --- */

/* KEYS[1] gh:<application>:cooldown:<key>, a hash of who used it. ARGV: this use, uses, per_ms. How long to wait. */
static const char *const cooldown_script = "if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end\n"
                                           "if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[2]) then\n"
                                           "  return math.max(1, redis.call('PTTL', KEYS[1]))\n"
                                           "end\n"
                                           "redis.call('HSET', KEYS[1], ARGV[1], 1)\n"
                                           "if redis.call('HLEN', KEYS[1]) == 1 then\n"
                                           "  redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
                                           "end\n"
                                           "return 0\n";

static void use_name(const struct gh_context *c, char *out, size_t size)
{
    if (c->item)
        snprintf(out, size, "%.128s:%lld", c->item->event.session, (long long)c->item->event.seq);
    else
        snprintf(out, size, "task:%08x%08x", randombytes_random(), randombytes_random());
}

int gh_cooldown(struct gh_context *c, const char *key, unsigned uses, int64_t per_ms, int64_t *ret_wait_ms)
{
    BUF_AUTO struct buf full = {0};
    char use[160], count[16], ms[24];
    struct redis_reply *r;
    buf_addf(&full, "gh:%llu:cooldown:%s", (unsigned long long)c->bot->application_id, key);
    use_name(c, use, sizeof use);
    snprintf(count, sizeof count, "%u", uses);
    snprintf(ms, sizeof ms, "%lld", (long long)(per_ms > 0 ? per_ms : 1));
    struct str words[] = {buf_str(&full), str_c(use), str_c(count), str_c(ms)};
    if (redis_script_await(c->bot->redis, cooldown_script, 1, 4, words, &r) != 0)
        return -EHOSTDOWN;
    bool answered = redis_reply_type(r) == REDIS_INT;
    int64_t wait_ms = redis_reply_int(r);
    redis_reply_free(r);
    if (!answered)
        return -EHOSTDOWN;
    if (wait_ms > 0 && ret_wait_ms)
        *ret_wait_ms = wait_ms;
    return wait_ms > 0 ? -EAGAIN : 0;
}
