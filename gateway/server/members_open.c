/* Requests for members on their way to another node. Loop thread, coroutines. */
#include "gateway/server/members_open.h"

#include "gateway/server/server.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/ports/kv.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

static void key_of(char out[64], const char *session_id)
{
    snprintf(out, 64, "members:%s", session_id);
}

/* As op 8 has it, so that it is read the same way, and `at` beside it. */
static void write(struct buf *out, const struct members_request *r, const struct members_at *at)
{
    jw_obj(out);
    jw_kid(out, "guild_id", r->guild_id);
    if (r->by_query) {
        jw_kstr(out, "query", r->query);
        jw_ku64(out, "limit", r->limit);
    } else {
        jw_karr(out, "user_ids");
        for (unsigned i = 0; i < r->user_count; i++)
            jw_id(out, r->user_ids[i]);
        jw_arr_end(out);
    }
    jw_kbool(out, "presences", r->presences);
    if (r->nonce.p)
        jw_kstr(out, "nonce", r->nonce);
    jw_ku64(out, "after", at->after);
    jw_ku64(out, "index", at->index);
    jw_ku64(out, "count", at->count);
    jw_obj_end(out);
}

struct str members_open_texts(const struct session *s, struct arena *a, bool now)
{
    BUF_AUTO struct buf out = {0};

    if (list_empty(&s->members_open))
        return STR_NONE;
    jw_arr(&out);
    LIST_FOREACH(it, &s->members_open)
    {
        const struct members_open *o = LIST_ENTRY(it, struct members_open, item);
        write(&out, &o->r, now ? &o->at : &o->begun);
    }
    jw_arr_end(&out);
    return arena_str(a, buf_str(&out));
}

int members_open_read(const struct json_t *o, struct arena *a, struct members_open *ret)
{
    json_int_t after = json_integer_value(json_object_get(o, "after")),
               index = json_integer_value(json_object_get(o, "index")),
               count = json_integer_value(json_object_get(o, "count"));

    list_init(&ret->item);
    if (members_request_read(o, a, &ret->r) || after < 0 || index < 0 || count < 1 || count > INT32_MAX ||
        index >= count)
        return -EINVAL;
    ret->begun = ret->at = (struct members_at){(uint64_t)after, (unsigned)index, (unsigned)count};
    return 0;
}

int members_open_put(const struct session *s, struct str texts)
{
    char key[64];

    key_of(key, s->id);
    if (texts.n)
        return kv_put(s->g->ports->kv, key, texts, LIMIT_SESSION_RECORD_MS);
    return s->members_kept ? kv_del(s->g->ports->kv, key) : 0;
}

int members_open_get(struct kv *kv, struct arena *a, const char *session_id, struct str *ret)
{
    char key[64];

    key_of(key, session_id);
    int r = kv_get(kv, a, key, ret);
    if (r < 0)
        *ret = STR_NONE;
    return r == -ENOENT ? 0 : r;
}

/* What kv does not take now is not waited for: the answer matters more. */
static void save(struct session *s)
{
    struct arena a = {0};

    (void)members_open_put(s, members_open_texts(s, &a, false));
    arena_done(&a);
}

void members_open_keep(struct session *s, struct members_open *o)
{
    o->begun = o->at;
    if (!s->logged || s->handed || s->ended)
        return;
    s->members_kept = true;
    save(s);
}

void members_open_end(struct session *s, struct members_open *o)
{
    list_remove(&o->item);
    if (s->members_kept && !s->handed && !s->ended && !s->g->stopping)
        save(s);
}
