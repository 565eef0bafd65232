/* The guarded script and the words it is called with. Loop thread. */
#include "cache/batch.h"

#include "platform/base/mem.h"

#define ARGS_FIXED 3

/* KEYS[1] is the version; ARGV: epoch, generation, seq, operations. Answers 1 applied, 0 older than what is there,
 * -1 the epoch is an old one. Numbers stay exact: epochs are milliseconds, generations below 2^53. */
static const char *const guarded_script =
    "local v = redis.call('HMGET', KEYS[1], 'e', 'g', 's')\n"
    "local e, g, s = tonumber(v[1] or 0), tonumber(v[2] or 0), tonumber(v[3] or 0)\n"
    "local E, G, S = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "if E < e then return -1 end\n"
    "if G < g or (G == g and S <= s) then\n"
    "  if E > e then redis.call('HSET', KEYS[1], 'e', ARGV[1]) end\n"
    "  return 0\n"
    "end\n"
    "local i, n = 4, #ARGV\n"
    "while i <= n do\n"
    "  local op, k = ARGV[i], KEYS[tonumber(ARGV[i + 1])]\n"
    "  if op == 'S' then\n"
    "    redis.call('HSET', k, ARGV[i + 2], ARGV[i + 3])\n"
    "    i = i + 4\n"
    "  elseif op == 'P' then\n"
    "    if redis.call('HEXISTS', k, ARGV[i + 2]) == 1 then redis.call('HSET', k, ARGV[i + 2], ARGV[i + 3]) end\n"
    "    i = i + 4\n"
    "  elseif op == 'D' then\n"
    "    redis.call('HDEL', k, ARGV[i + 2])\n"
    "    i = i + 3\n"
    "  elseif op == 'N' then\n"
    "    if redis.call('HEXISTS', k, ARGV[i + 2]) == 1 then redis.call('HINCRBY', k, ARGV[i + 2], ARGV[i + 3]) end\n"
    "    i = i + 4\n"
    "  elseif op == 'X' then\n"
    "    redis.call('UNLINK', k)\n"
    "    i = i + 2\n"
    "  elseif op == 'M' then\n"
    "    local o, id = KEYS[tonumber(ARGV[i + 2])], ARGV[i + 3]\n"
    "    redis.call('HSET', k, id, ARGV[i + 4])\n"
    "    redis.call('ZADD', o, id, id)\n"
    "    local over = redis.call('ZCARD', o) - tonumber(ARGV[i + 5])\n"
    "    if over > 0 then\n"
    "      local old = redis.call('ZPOPMIN', o, over)\n"
    "      for j = 1, #old, 2 do redis.call('HDEL', k, old[j]) end\n"
    "    end\n"
    "    redis.call('EXPIRE', k, ARGV[i + 6])\n"
    "    redis.call('EXPIRE', o, ARGV[i + 6])\n"
    "    i = i + 7\n"
    "  else\n"
    "    redis.call('HDEL', k, ARGV[i + 3])\n"
    "    redis.call('ZREM', KEYS[tonumber(ARGV[i + 2])], ARGV[i + 3])\n"
    "    i = i + 4\n"
    "  end\n"
    "end\n"
    "redis.call('HSET', KEYS[1], 'e', ARGV[1], 'g', ARGV[2], 's', ARGV[3])\n"
    "return 1\n";

static void words_add(struct words *w, struct str s)
{
    if (w->count == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 64;
        w->at = mem_realloc(w->at, sizeof(*w->at) * (size_t)w->cap);
    }
    w->at[w->count++] = s;
}

void batch_done(struct batch *b)
{
    arena_done(&b->arena);
    mem_free(b->keys.at);
    mem_free(b->args.at);
    b->keys = b->args = (struct words){0};
}

struct str batch_id(struct batch *b, uint64_t id)
{
    char *text = arena_alloc(&b->arena, 24), *p = text + 24;

    do {
        *--p = (char)('0' + id % 10);
        id /= 10;
    } while (id);
    return (struct str){p, (size_t)(text + 24 - p)};
}

static int key_add(struct batch *b, struct buf *key)
{
    words_add(&b->keys, arena_str(&b->arena, buf_str(key)));
    buf_done(key);
    return b->keys.count;
}

void batch_begin(struct batch *b, uint64_t tag, uint64_t epoch, uint64_t generation, uint64_t seq)
{
    struct buf key = BUF_INIT(256);

    arena_done(&b->arena);
    b->tag = tag;
    b->keys.count = b->args.count = 0;
    cache_key_version(&key, b->application, tag);
    key_add(b, &key);
    words_add(&b->args, batch_id(b, epoch));
    words_add(&b->args, batch_id(b, generation));
    words_add(&b->args, batch_id(b, seq));
}

bool batch_is_empty(const struct batch *b)
{
    return b->args.count <= ARGS_FIXED;
}

void batch_send(struct batch *b, struct redis *r, int timeout_ms, redis_fn fn, void *arg)
{
    int keys = b->keys.count;

    for (int i = 0; i < b->args.count; i++)
        words_add(&b->keys, b->args.at[i]);
    redis_script(r, guarded_script, keys, b->keys.count, b->keys.at, timeout_ms, fn, arg);
}

int batch_key(struct batch *b, enum cache_entity e)
{
    struct buf key = BUF_INIT(256);

    cache_key(&key, b->application, b->tag, e);
    return key_add(b, &key);
}

int batch_key_messages(struct batch *b, uint64_t channel)
{
    struct buf key = BUF_INIT(256);

    cache_key_messages(&key, b->application, b->tag, channel);
    return key_add(b, &key);
}

int batch_key_order(struct batch *b, uint64_t channel)
{
    struct buf key = BUF_INIT(256);

    cache_key_order(&key, b->application, b->tag, channel);
    return key_add(b, &key);
}

/* --- operations --- */

static void op(struct batch *b, const char *name, int key)
{
    words_add(&b->args, str_c(name));
    words_add(&b->args, batch_id(b, (uint64_t)key));
}

void batch_set(struct batch *b, int key, struct str field, struct str value)
{
    op(b, "S", key);
    words_add(&b->args, field);
    words_add(&b->args, value);
}

void batch_set_present(struct batch *b, int key, struct str field, struct str value)
{
    op(b, "P", key);
    words_add(&b->args, field);
    words_add(&b->args, value);
}

void batch_del(struct batch *b, int key, struct str field)
{
    op(b, "D", key);
    words_add(&b->args, field);
}

void batch_add(struct batch *b, int key, struct str field, int by)
{
    op(b, "N", key);
    words_add(&b->args, field);
    words_add(&b->args, arena_printf(&b->arena, "%d", by));
}

void batch_drop(struct batch *b, int key)
{
    op(b, "X", key);
}

void batch_message(struct batch *b, int messages, int order, struct str id, struct str value, int cap, int ttl_s)
{
    op(b, "M", messages);
    words_add(&b->args, batch_id(b, (uint64_t)order));
    words_add(&b->args, id);
    words_add(&b->args, value);
    words_add(&b->args, batch_id(b, (uint64_t)cap));
    words_add(&b->args, batch_id(b, (uint64_t)ttl_s));
}

void batch_message_del(struct batch *b, int messages, int order, struct str id)
{
    op(b, "R", messages);
    words_add(&b->args, batch_id(b, (uint64_t)order));
    words_add(&b->args, id);
}
