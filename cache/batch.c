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
    mem_free(b->args.at);
    b->args = (struct words){0};
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

#define PLACE_DIGITS 16

static void place_write(char *out, uint64_t n)
{
    for (int i = PLACE_DIGITS; i-- > 0; n /= 10)
        out[i] = (char)('0' + n % 10);
}

struct str batch_place_word(struct batch *b, uint64_t n)
{
    char *text = arena_alloc(&b->arena, PLACE_DIGITS);

    place_write(text, n);
    return (struct str){text, PLACE_DIGITS};
}

void batch_begin(struct batch *b, uint64_t tag, uint64_t epoch, uint64_t generation, uint64_t seq)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    arena_done(&b->arena);
    b->tag = tag;
    b->args.count = 0;
    b->run.key = STR_NONE;
    cache_key_version(&key, b->application, tag);
    struct str version = arena_str(&b->arena, buf_str(&key));
    char *place = arena_alloc(&b->arena, 2 * (size_t)PLACE_DIGITS);
    place_write(place, generation);
    place_write(place + PLACE_DIGITS, seq);
    words_add(&b->args, version);
    words_add(&b->args, batch_place_word(b, epoch));
    words_add(&b->args, (struct str){place, 2 * (size_t)PLACE_DIGITS});
    words_add(&b->args, STR(""));
    words_add(&b->args, (struct str){version.p, version.n - strlen("version")});
}

bool batch_is_empty(const struct batch *b)
{
    return b->args.count <= 1 + GUARDED_ARGS;
}

void batch_version_keep(struct batch *b, int ttl_s)
{
    b->args.at[3] = batch_id(b, (uint64_t)ttl_s);
}

void batch_send(struct batch *b, struct redis *r, int timeout_ms, redis_fn fn, void *arg)
{
    redis_script(r, cache_guarded_script, 1, b->args.count, b->args.at, timeout_ms, fn, arg);
}

struct str batch_key(struct batch *b, enum cache_entity e)
{
    (void)b;
    return str_c(cache_entity_suffix(e));
}

struct str batch_key_part(struct batch *b, enum cache_entity e, uint64_t part)
{
    struct str id = batch_id(b, part), suffix = str_c(cache_entity_suffix(e));
    char *text = arena_alloc(&b->arena, suffix.n + 1 + id.n);

    memcpy(text, suffix.p, suffix.n);
    text[suffix.n] = ':';
    memcpy(text + suffix.n + 1, id.p, id.n);
    return (struct str){text, suffix.n + 1 + id.n};
}

static void number(struct batch *b, int n)
{
    words_add(&b->args, batch_id(b, (uint64_t)n));
}

static void op(struct batch *b, const char *name, struct str key)
{
    b->run.key = STR_NONE;
    words_add(&b->args, str_c(name));
    words_add(&b->args, key);
}

void batch_set(struct batch *b, struct str key, struct str field, struct str value)
{
    if (!str_eq(b->run.key, key)) {
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

void batch_set_where(struct batch *b, struct str key, struct str where, struct str field, struct str value)
{
    op(b, "P", key);
    words_add(&b->args, where);
    words_add(&b->args, field);
    words_add(&b->args, value);
}

void batch_del(struct batch *b, struct str key, struct str field)
{
    op(b, "D", key);
    words_add(&b->args, field);
}

void batch_add(struct batch *b, struct str key, struct str field, int by)
{
    op(b, "N", key);
    words_add(&b->args, field);
    words_add(&b->args, arena_printf(&b->arena, "%d", by));
}

void batch_set_count(struct batch *b, struct str key, struct str field, struct str value, struct str hash,
                     struct str counted, int by)
{
    op(b, "I", key);
    words_add(&b->args, field);
    words_add(&b->args, value);
    words_add(&b->args, hash);
    words_add(&b->args, counted);
    words_add(&b->args, arena_printf(&b->arena, "%d", by));
}

void batch_patch(struct batch *b, struct str key, struct str field, struct str name, struct str value)
{
    op(b, "J", key);
    words_add(&b->args, field);
    words_add(&b->args, name);
    words_add(&b->args, value);
}

void batch_drop(struct batch *b, struct str key)
{
    op(b, "X", key);
}

void batch_drop_missed(struct batch *b, struct str key)
{
    op(b, "Z", key);
}

void batch_ids(struct batch *b, struct str key)
{
    op(b, "C", key);
}

/* --- parts --- */

#define PARTS STR("parts")

void batch_part_set(struct batch *b, uint64_t part, struct str key, struct str field, struct str value)
{
    op(b, "F", key);
    words_add(&b->args, field);
    words_add(&b->args, value);
    words_add(&b->args, batch_id(b, part));
}

void batch_part_drop(struct batch *b, uint64_t part)
{
    op(b, "K", PARTS);
    words_add(&b->args, batch_id(b, part));
}

void batch_parts_drop(struct batch *b)
{
    op(b, "L", PARTS);
}

static void ids_add(struct batch *b, const struct str *ids, int count)
{
    number(b, count);
    for (int i = 0; i < count; i++)
        words_add(&b->args, ids[i]);
}

void batch_threads_drop(struct batch *b, struct str threads, const struct str *parents, int count)
{
    op(b, "Y", threads);
    ids_add(b, parents, count);
}

void batch_channels_replace(struct batch *b, const struct str *channels, int channel_count, const struct str *threads,
                            int thread_count)
{
    op(b, "G", batch_key(b, CACHE_CHANNELS));
    ids_add(b, channels, channel_count);
    ids_add(b, threads, thread_count);
}

/* --- messages --- */

void batch_message(struct batch *b, uint64_t channel, struct str id, struct str value, int cap, int ttl_s, bool renew)
{
    op(b, renew ? "M" : "m", batch_id(b, channel));
    words_add(&b->args, id);
    words_add(&b->args, value);
    number(b, cap);
    number(b, ttl_s);
}

void batch_message_update(struct batch *b, uint64_t channel, struct str id, struct str value, struct str reactions)
{
    op(b, "U", batch_id(b, channel));
    words_add(&b->args, id);
    words_add(&b->args, value);
    words_add(&b->args, reactions.n > 0 ? reactions : STR(""));
}

void batch_message_del(struct batch *b, uint64_t channel, struct str id)
{
    op(b, "R", batch_id(b, channel));
    words_add(&b->args, id);
}

void batch_reaction(struct batch *b, uint64_t channel, struct str id, struct str emoji, int by, bool me, bool burst,
                    struct str colors)
{
    op(b, "A", batch_id(b, channel));
    words_add(&b->args, id);
    words_add(&b->args, emoji);
    words_add(&b->args, by > 0 ? STR("1") : by < 0 ? STR("-1") : STR("0"));
    words_add(&b->args, me ? STR("1") : STR("0"));
    words_add(&b->args, burst ? STR("1") : STR("0"));
    words_add(&b->args, colors.n > 0 ? colors : STR(""));
}
