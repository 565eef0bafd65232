/* The guarded script and the words it is called with. Loop thread. */
#include "cache/batch.h"

#include "cache/script.h"
#include "platform/base/mem.h"

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
    return b->keys.count;
}

void batch_begin(struct batch *b, uint64_t tag, uint64_t epoch, uint64_t generation, uint64_t seq)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    arena_done(&b->arena);
    b->tag = tag;
    b->keys.count = b->args.count = b->parts = b->run.key = 0;
    cache_key_head(&key, b->application, tag);
    b->head = arena_str(&b->arena, buf_str(&key));
    buf_clear(&key);
    cache_key_version(&key, b->application, tag);
    key_add(b, &key);
    words_add(&b->args, batch_id(b, epoch));
    words_add(&b->args, batch_id(b, generation));
    words_add(&b->args, batch_id(b, seq));
    words_add(&b->args, STR(""));
    words_add(&b->args, b->head);
}

bool batch_is_empty(const struct batch *b)
{
    return b->args.count <= GUARDED_ARGS;
}

void batch_version_keep(struct batch *b, int ttl_s)
{
    b->args.at[3] = batch_id(b, (uint64_t)ttl_s);
}

void batch_send(struct batch *b, struct redis *r, int timeout_ms, redis_fn fn, void *arg)
{
    int keys = b->keys.count;

    for (int i = 0; i < b->args.count; i++)
        words_add(&b->keys, b->args.at[i]);
    redis_script(r, cache_guarded_script, keys, b->keys.count, b->keys.at, timeout_ms, fn, arg);
}

int batch_key(struct batch *b, enum cache_entity e)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key(&key, b->application, b->tag, e);
    return key_add(b, &key);
}

int batch_key_part(struct batch *b, enum cache_entity e, uint64_t part)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key_part(&key, b->application, b->tag, e, part);
    return key_add(b, &key);
}

int batch_key_order(struct batch *b, uint64_t channel)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key_order(&key, b->application, b->tag, channel);
    return key_add(b, &key);
}

static int key_parts(struct batch *b)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    if (!b->parts) {
        cache_key_parts(&key, b->application, b->tag);
        b->parts = key_add(b, &key);
    }
    return b->parts;
}

static void number(struct batch *b, int n)
{
    words_add(&b->args, batch_id(b, (uint64_t)n));
}

static void op(struct batch *b, const char *name, int key)
{
    b->run.key = 0;
    words_add(&b->args, str_c(name));
    number(b, key);
}

void batch_set(struct batch *b, int key, struct str field, struct str value)
{
    if (b->run.key != key) {
        op(b, "S", key);
        b->run.key = key;
        b->run.count = 0;
        b->run.at = b->args.count;
        words_add(&b->args, STR("1"));
    }
    words_add(&b->args, field);
    words_add(&b->args, value);
    if (++b->run.count > 1)
        b->args.at[b->run.at] = batch_id(b, (uint64_t)b->run.count);
}

void batch_set_where(struct batch *b, int key, struct str where, struct str field, struct str value)
{
    op(b, "P", key);
    words_add(&b->args, where);
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

void batch_set_count(struct batch *b, int key, struct str field, struct str value, int hash, struct str counted, int by)
{
    op(b, "I", key);
    words_add(&b->args, field);
    words_add(&b->args, value);
    number(b, hash);
    words_add(&b->args, counted);
    words_add(&b->args, arena_printf(&b->arena, "%d", by));
}

void batch_patch(struct batch *b, int key, struct str field, struct str name, struct str value)
{
    op(b, "J", key);
    words_add(&b->args, field);
    words_add(&b->args, name);
    words_add(&b->args, value);
}

void batch_drop(struct batch *b, int key)
{
    op(b, "X", key);
}

void batch_ids(struct batch *b, int key)
{
    op(b, "C", key);
}

/* --- parts --- */

void batch_part_set(struct batch *b, uint64_t part, int key, struct str field, struct str value)
{
    int parts = key_parts(b);

    op(b, "F", key);
    words_add(&b->args, field);
    words_add(&b->args, value);
    number(b, parts);
    words_add(&b->args, batch_id(b, part));
}

void batch_part_drop(struct batch *b, uint64_t part)
{
    op(b, "K", key_parts(b));
    words_add(&b->args, batch_id(b, part));
}

void batch_parts_drop(struct batch *b)
{
    op(b, "L", key_parts(b));
}

void batch_threads_drop(struct batch *b, int threads, const struct str *parents, int count)
{
    int parts = key_parts(b);

    op(b, "Y", threads);
    number(b, parts);
    number(b, count);
    for (int i = 0; i < count; i++)
        words_add(&b->args, parents[i]);
}

/* --- messages --- */

void batch_message(struct batch *b, const struct batch_channel *c, struct str id, struct str value, int cap, int ttl_s)
{
    int parts = key_parts(b);

    op(b, "M", c->messages);
    number(b, c->order);
    number(b, c->reactions);
    number(b, parts);
    words_add(&b->args, batch_id(b, c->id));
    words_add(&b->args, id);
    words_add(&b->args, value);
    number(b, cap);
    number(b, ttl_s);
}

void batch_message_update(struct batch *b, const struct batch_channel *c, struct str id, struct str value,
                          struct str reactions)
{
    op(b, "U", c->messages);
    number(b, c->reactions);
    words_add(&b->args, id);
    words_add(&b->args, value);
    words_add(&b->args, reactions.n > 0 ? reactions : STR(""));
}

void batch_message_del(struct batch *b, const struct batch_channel *c, struct str id)
{
    op(b, "R", c->messages);
    number(b, c->order);
    number(b, c->reactions);
    words_add(&b->args, id);
}

void batch_reaction(struct batch *b, const struct batch_channel *c, struct str id, struct str emoji, int by, bool me,
                    bool burst, struct str colors)
{
    op(b, "A", c->messages);
    number(b, c->reactions);
    words_add(&b->args, id);
    words_add(&b->args, emoji);
    words_add(&b->args, by > 0 ? STR("1") : by < 0 ? STR("-1") : STR("0"));
    words_add(&b->args, me ? STR("1") : STR("0"));
    words_add(&b->args, burst ? STR("1") : STR("0"));
    words_add(&b->args, colors.n > 0 ? colors : STR(""));
}
