/* The layout's number: checked at the start, and what to do about keys of another type. Limits: LIMIT_CACHE_SLICE. */
#include "cache/schema.h"

#include "cache/apply.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* One slice. KEYS[1] the schema; ARGV: ours, who we are, cursor or "" for the first slice, "gh:<application>:", keys a
 * slice. Answers the next cursor; "0": it is ours; "" another is at it. */
static const char purge_script[] =
    "local have, mine = redis.call('GET', KEYS[1]), 'purge ' .. ARGV[2]\n"
    "if have == ARGV[1] then return '0' end\n"
    "if ARGV[3] == '' and have and string.sub(have, 1, 6) == 'purge ' and have ~= mine then return '' end\n"
    "if ARGV[3] ~= '' and have ~= mine then return '' end\n"
    "redis.call('UNLINK', KEYS[1])\n"
    "redis.call('SET', KEYS[1], mine, 'PX', 10000)\n"
    "local r = redis.call('SCAN', ARGV[3] == '' and '0' or ARGV[3], 'MATCH', ARGV[4] .. '*', 'COUNT', ARGV[5])\n"
    "for _, key in ipairs(r[2]) do\n"
    "  local rest = string.sub(key, #ARGV[4] + 1)\n"
    "  if rest == 'guilds' or string.find(rest, '^{%d+}:') or string.find(rest, '^{shard:%d+/%d+}:marker$') or\n"
    "     string.find(rest, '^{shard:%d+/%d+}:session:') then\n"
    "    redis.call('UNLINK', key)\n"
    "  end\n"
    "end\n"
    "if r[1] == '0' then redis.call('SET', KEYS[1], ARGV[1]) end\n"
    "return r[1]\n";

int cache_schema_open(const struct cache *c)
{
    struct buf BUF_AUTO key = BUF_INIT(256), head = BUF_INIT(256);
    char cursor[24] = "", who[64], host[32] = "", slice[16];
    struct redis_reply *r;

    cache_key_schema(&key, c->application);
    buf_addf(&head, "gh:%llu:", (unsigned long long)c->application);
    gethostname(host, sizeof(host) - 1);
    snprintf(who, sizeof(who), "%s/%d", host, (int)getpid());
    snprintf(slice, sizeof(slice), "%d", LIMIT_CACHE_SLICE);
    for (;;) {
        struct str words[] = {buf_str(&key), STR(CACHE_SCHEMA), str_c(who),
                              str_c(cursor), buf_str(&head),    str_c(slice)};
        if (redis_script_await(c->redis, purge_script, 1, 6, words, &r) != 0)
            return -EHOSTDOWN;
        bool good = redis_reply_type(r) == REDIS_STRING;
        bool first = !*cursor;
        snprintf(cursor, sizeof(cursor), "%.*s", STR_ARG(redis_reply_str(r)));
        redis_reply_free(r);
        if (!good)
            return -EHOSTDOWN;
        if (!*cursor)
            return -EAGAIN;
        if (strcmp(cursor, "0") == 0)
            return 0;
        if (first)
            LOG_INFO("cache_schema", "schema=%s what=\"keys of another layout go\"", CACHE_SCHEMA);
    }
}

/* A Redis that began anew has forgotten it; where it holds something else, that is for the next start. */
void apply_schema_tell(struct call *c)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key_schema(&key, c->w->o.application);
    apply_plain(c, 4, (struct str[]){STR("SET"), buf_str(&key), STR(CACHE_SCHEMA), STR("NX")});
}

/* KEYS[1] the list of parts; ARGV: head, how many parts, the parts, then the other suffixes. */
static const char heal_script[] =
    "local function drop(part)\n"
    "  for _, kind in ipairs({'messages:', 'order:', 'reactions:', 'thread_members:'}) do\n"
    "    redis.call('UNLINK', ARGV[1] .. kind .. part)\n"
    "  end\n"
    "end\n"
    "if redis.call('TYPE', KEYS[1]).ok == 'set' then\n"
    "  for _, part in ipairs(redis.call('SMEMBERS', KEYS[1])) do drop(part) end\n"
    "end\n"
    "for i = 3, 2 + ARGV[2] do drop(ARGV[i]) end\n"
    "for i = 3 + ARGV[2], #ARGV do redis.call('UNLINK', ARGV[1] .. ARGV[i]) end\n"
    "return 1\n";

static void on_healed(int error, const struct redis_reply *reply, void *arg)
{
    struct cache_writer *w = arg;

    (void)error, (void)reply; /* the event comes again, and with it this */
    w->pending--;
}

void apply_heal(struct cache_writer *w, uint64_t tag, const uint64_t *parts, int count)
{
    struct buf BUF_AUTO key = BUF_INIT(256);
    struct batch *b = &w->batch;
    struct str words[8 + CACHE_ENTITY_COUNT];
    int n = 0;

    batch_begin(b, tag, 0, 0, 0); /* for its arena and its head */
    cache_key_parts(&key, w->o.application, tag);
    words[n++] = buf_str(&key);
    words[n++] = b->args.at[4];
    words[n++] = batch_id(b, (uint64_t)count);
    for (int i = 0; i < count; i++)
        words[n++] = batch_id(b, parts[i]);
    for (unsigned e = 0; e < CACHE_ENTITY_COUNT; e++)
        if (!cache_entity_in_parts((enum cache_entity)e) && e != CACHE_USERS)
            words[n++] = batch_key(b, (enum cache_entity)e);
    words[n++] = STR("parts");
    words[n++] = STR("version");
    w->pending++;
    redis_script(w->o.redis, heal_script, 1, n, words, LIMIT_CACHE_TIMEOUT_MS, on_healed, w);
}
