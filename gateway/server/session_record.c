/* Records of sessions. Pure. */
#include "gateway/server/session_record.h"

#include "gateway/server/server.h"
#include "gateway/server/session_log.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/protocol/json_read.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

static void fill_topics(struct session_record *r, const struct session *s, struct arena *a)
{
    r->topics = ARENA_ARRAY(a, uint64_t, s->sub_count + 1);
    r->numbers = ARENA_ARRAY(a, uint64_t, s->sub_count + 1);
    LIST_FOREACH(it, &s->subs)
    {
        const struct topic *t = LIST_ENTRY(it, struct sub, item)->topic;
        r->topics[r->topic_count] = t->id;
        r->numbers[r->topic_count++] = t->numbers.last;
    }
}

static void fill_homes(struct session_record *r, const struct session *s)
{
    int64_t since_ms = clock_wall_ms() - LIMIT_PAST_MS;

    for (unsigned i = 0; i < s->home_count; i++) {
        const struct past_home *h = &s->homes[i];
        if (h->left_ms < since_ms)
            break;
        struct former_home *to = &r->homes[r->home_count++];
        *to = (struct former_home){.entry = h->entry, .left_ms = h->left_ms};
        snprintf(to->run, sizeof to->run, "%s", past_run(h->past));
    }
}

void session_record_fill(struct session_record *r, const struct session *s, uint64_t entry, struct arena *a)
{
    *r = (struct session_record){.index = s->log_index,
                                 .user_id = s->user_id,
                                 .seq = s->seq,
                                 .entry = entry,
                                 .intents = s->intents,
                                 .shard = s->shard,
                                 .shard_count = s->shard_count,
                                 .large_threshold = s->large_threshold,
                                 .is_bot = s->is_bot,
                                 .compress = s->compress,
                                 .presence = s->presence.value,
                                 .device = s->presence.device};
    snprintf(r->node, sizeof r->node, "%s", s->g->node_id);
    snprintf(r->run, sizeof r->run, "%s", session_log_run(s->g));
    fill_topics(r, s, a);
    fill_homes(r, s);
}

const char *session_record_owner(const struct session_record *r, struct arena *a)
{
    return arena_printf(a, "%s/%s", r->node, r->run).p;
}

static void write_numbers(const struct session_record *r, struct buf *out)
{
    jw_karr(out, "numbers");
    for (unsigned i = 0; i < r->topic_count; i++) {
        jw_u64(out, r->topics[i]);
        jw_u64(out, r->numbers[i]);
    }
    jw_arr_end(out);
}

static void write_homes(const struct session_record *r, struct buf *out)
{
    jw_karr(out, "homes");
    for (unsigned i = 0; i < r->home_count; i++) {
        jw_obj(out);
        jw_kcstr(out, "run", r->homes[i].run);
        jw_ku64(out, "entry", r->homes[i].entry);
        jw_ki64(out, "left_ms", r->homes[i].left_ms);
        jw_obj_end(out);
    }
    jw_arr_end(out);
}

void session_record_write(const struct session_record *r, struct buf *out)
{
    jw_obj(out);
    jw_kcstr(out, "node", r->node);
    jw_kcstr(out, "run", r->run);
    jw_ku64(out, "index", r->index);
    jw_ku64(out, "user", r->user_id);
    jw_ku64(out, "seq", r->seq);
    jw_ku64(out, "entry", r->entry);
    jw_ku64(out, "intents", r->intents);
    jw_ku64(out, "shard", r->shard);
    jw_ku64(out, "shard_count", r->shard_count);
    jw_ku64(out, "large_threshold", r->large_threshold);
    jw_kbool(out, "bot", r->is_bot);
    jw_kbool(out, "compress", r->compress);
    if (r->presence.p)
        jw_kstr(out, "presence", r->presence);
    jw_ku64(out, "device", r->device);
    jw_kbool(out, "released", r->released);
    write_numbers(r, out);
    write_homes(r, out);
    jw_obj_end(out);
}

static uint64_t number_of(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));

    return v > 0 ? (uint64_t)v : 0;
}

static bool text_of(const json_t *o, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text && *text && (size_t)snprintf(out, size, "%s", text) < size;
}

static void read_numbers(const json_t *list, struct arena *a, struct session_record *r)
{
    size_t count = json_array_size(list) / 2;

    r->topics = ARENA_ARRAY(a, uint64_t, count + 1);
    r->numbers = ARENA_ARRAY(a, uint64_t, count + 1);
    for (size_t i = 0; i < count; i++) {
        r->topics[i] = (uint64_t)json_integer_value(json_array_get(list, 2 * i));
        r->numbers[i] = (uint64_t)json_integer_value(json_array_get(list, 2 * i + 1));
    }
    r->topic_count = (unsigned)count;
}

static void read_homes(const json_t *list, struct session_record *r)
{
    size_t count = json_array_size(list);

    for (size_t i = 0; i < count && r->home_count < PAST_HOMES_MAX; i++) {
        const json_t *o = json_array_get(list, i);
        struct former_home *h = &r->homes[r->home_count];
        h->entry = number_of(o, "entry");
        h->left_ms = (int64_t)number_of(o, "left_ms");
        r->home_count += text_of(o, "run", h->run, sizeof h->run);
    }
}

int session_record_read(struct str json, struct arena *a, struct session_record *ret)
{
    json_t *o;
    struct session_record r = {0};

    if (json_read(json, &o, NULL) < 0)
        return -EINVAL;
    bool good = text_of(o, "node", r.node, sizeof r.node) && text_of(o, "run", r.run, sizeof r.run);
    r.index = (uint32_t)number_of(o, "index");
    r.user_id = number_of(o, "user");
    r.seq = number_of(o, "seq");
    r.entry = number_of(o, "entry");
    r.intents = (uint32_t)number_of(o, "intents");
    r.shard = (uint32_t)number_of(o, "shard");
    r.shard_count = (uint32_t)number_of(o, "shard_count");
    r.large_threshold = (unsigned)number_of(o, "large_threshold");
    r.is_bot = json_is_true(json_object_get(o, "bot"));
    r.compress = json_is_true(json_object_get(o, "compress"));
    r.presence = json_is_string(json_object_get(o, "presence"))
                     ? arena_str(a, str_c(json_string_value(json_object_get(o, "presence"))))
                     : STR_NONE;
    r.device = (unsigned)number_of(o, "device");
    r.released = json_is_true(json_object_get(o, "released"));
    read_numbers(json_object_get(o, "numbers"), a, &r);
    read_homes(json_object_get(o, "homes"), &r);
    json_decref(o);
    if (!good || !r.user_id || !r.shard_count || r.shard >= r.shard_count)
        return -EINVAL;
    *ret = r;
    return 0;
}
