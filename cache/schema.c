/* The layout's number: checked at the start, and what to do about keys of another type. Limits: LIMIT_CACHE_SLICE. */
#include "cache/schema.h"

#include "cache/apply.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* One slice. Writers tell a Redis that began anew the schema before anything else (apply_schema_tell), so keys without
 * one are of another layout. KEYS[1] the schema; ARGV: ours, who we are, cursor, "gh:<application>:", keys a slice, 1
 * where keys go; the shards' sessions go with them. Answers the next cursor, "" where another process is at it, and how
 * many keys of the cache there were. */
static const char purge_script[] =
    "local have, mine = redis.call('GET', KEYS[1]), 'purge ' .. ARGV[2]\n"
    "if have == ARGV[1] then return {'0', 0} end\n"
    "if have and string.sub(have, 1, 6) == 'purge ' and have ~= mine then return {'', 0} end\n"
    "if ARGV[6] == '1' then\n"
    "  redis.call('UNLINK', KEYS[1])\n"
    "  redis.call('SET', KEYS[1], mine, 'PX', 10000)\n"
    "end\n"
    "local r, found = redis.call('SCAN', ARGV[3], 'MATCH', ARGV[4] .. '*', 'COUNT', ARGV[5]), 0\n"
    "for _, key in ipairs(r[2]) do\n"
    "  local rest = string.sub(key, #ARGV[4] + 1)\n"
    "  local cached = rest == 'guilds' or string.find(rest, '^{%d+}:')\n"
    "  if cached then found = found + 1 end\n"
    "  if ARGV[6] == '1' and (cached or string.find(rest, '^{shard:%d+/%d+}:marker$') or\n"
    "     string.find(rest, '^{shard:%d+/%d+}:session:')) then redis.call('UNLINK', key) end\n"
    "end\n"
    "return {r[1], found}\n";

struct purge {
    const struct cache *c;
    struct buf key, head;
    char who[64], cursor[24];
    bool drop;
    int64_t found;
};

/* One slice; 0, or why there is no next one. */
static int purge_slice(struct purge *p)
{
    char slice[16];
    struct redis_reply *r;

    snprintf(slice, sizeof(slice), "%d", LIMIT_CACHE_SLICE);
    struct str words[] = {buf_str(&p->key),
                          STR(CACHE_SCHEMA),
                          str_c(p->who),
                          str_c(p->cursor),
                          buf_str(&p->head),
                          str_c(slice),
                          p->drop ? STR("1") : STR("0")};
    if (redis_script_await(p->c->redis, purge_script, 1, 7, words, &r) != 0)
        return -EHOSTDOWN;
    bool good = redis_reply_count(r) == 2;
    struct str cursor = good ? redis_reply_str(redis_reply_at(r, 0)) : STR("");
    snprintf(p->cursor, sizeof(p->cursor), "%.*s", STR_ARG(cursor));
    p->found += good ? redis_reply_int(redis_reply_at(r, 1)) : 0;
    redis_reply_free(r);
    return !good ? -EHOSTDOWN : !*p->cursor ? -EAGAIN : 0;
}

static int purge_pass(struct purge *p, bool drop)
{
    int error;

    p->drop = drop;
    snprintf(p->cursor, sizeof(p->cursor), "0");
    do {
        error = purge_slice(p);
    } while (!error && strcmp(p->cursor, "0") != 0 && (drop || p->found == 0));
    return error;
}

static int schema_write(const struct purge *p)
{
    static const char script[] =
        "local have = redis.call('GET', KEYS[1])\n"
        "if have == ARGV[1] then return 1 end\n"
        "if have and string.sub(have, 1, 6) == 'purge ' and have ~= 'purge ' .. ARGV[2] then return 0 end\n"
        "redis.call('UNLINK', KEYS[1])\n"
        "redis.call('SET', KEYS[1], ARGV[1])\n"
        "return 1\n";
    struct redis_reply *r;

    if (redis_script_await(p->c->redis, script, 1, 3,
                           (struct str[]){buf_str(&p->key), STR(CACHE_SCHEMA), str_c(p->who)}, &r) != 0)
        return -EHOSTDOWN;
    bool written = redis_reply_int(r) == 1;
    redis_reply_free(r);
    return written ? 0 : -EAGAIN;
}

int cache_schema_open(const struct cache *c)
{
    struct purge p = {.c = c, .key = BUF_INIT(256), .head = BUF_INIT(256)};
    char host[32] = "";

    cache_key_schema(&p.key, c->application);
    buf_addf(&p.head, "gh:%llu:", (unsigned long long)c->application);
    gethostname(host, sizeof(host) - 1);
    snprintf(p.who, sizeof(p.who), "%s/%d", host, (int)getpid());
    int error = purge_pass(&p, false);
    if (!error && p.found > 0) {
        LOG_WARN("cache_schema", "schema=%s what=\"keys of another layout go\"", CACHE_SCHEMA);
        error = purge_pass(&p, true);
    }
    error = error ? error : schema_write(&p);
    buf_done(&p.key);
    buf_done(&p.head);
    return error;
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
