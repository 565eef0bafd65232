/* Events: names, intents and scopes from events.def, and their form on the bus. Any thread; a decoded event points into
 * the bytes it came from. Bounds: EVENT_MENTIONS_MAX mentions. */
#include "platform/protocol/event.h"

#include "platform/base/check.h"
#include "platform/protocol/intents.h"
#include "platform/protocol/permissions.h"

#include <errno.h>

static const struct {
    struct str name;
    uint32_t intents, dm_intents;
    enum event_scope scope;
} table[EVENT_COUNT] = {
#define EVENT(name_, intents_, dm_intents_, scope_, permissions_)                                                      \
    [EVENT_##name_] = {{#name_, sizeof(#name_) - 1}, (intents_), (dm_intents_), EVENT_SCOPE_##scope_},
#include "platform/protocol/events.def"
#undef EVENT
};

const char *event_name(enum event_type t)
{
    CHECK(t < EVENT_COUNT);
    return table[t].name.p;
}

int event_type_find(struct str name, enum event_type *ret)
{
    for (unsigned i = 0; i < EVENT_COUNT; i++)
        if (str_eq(table[i].name, name)) {
            *ret = (enum event_type)i;
            return 0;
        }
    return -ENOENT;
}

uint32_t event_intents(enum event_type t, bool in_guild)
{
    CHECK(t < EVENT_COUNT);
    return in_guild ? table[t].intents : table[t].dm_intents;
}

enum event_scope event_scope_of(enum event_type t)
{
    CHECK(t < EVENT_COUNT);
    return table[t].scope;
}

uint64_t event_permissions(enum event_type t)
{
    switch (t) {
#define EVENT(name_, intents_, dm_intents_, scope_, permissions_)                                                      \
    case EVENT_##name_:                                                                                                \
        return (permissions_);
#include "platform/protocol/events.def"
#undef EVENT
    case EVENT_COUNT:
        break;
    }
    CHECK(!"an event of the table");
    return 0;
}

/* On the bus (little endian): version, flags, number of mentions, length of the name; id, topic, number, channel,
 * user; the name; the mentions; data up to the end. The name and not the enumerator travels, so that processes built
 * from different tables understand each other. */
#define EVENT_VERSION    1
#define EVENT_HEAD_BYTES (4 + 5 * 8)
#define EVENT_FLAG_USER  1
#define BATCH_VERSION    2

static void put_u64(char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (char)(v >> (8 * i));
}

static uint64_t get_u64(const char *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

void event_encode(const struct event *e, struct buf *out)
{
    CHECK(e->type < EVENT_COUNT);
    struct str name = table[e->type].name;
    /* the author and the first mentions see the content; a message cannot mention more than the API lets through */
    unsigned mentions = e->mention_count < EVENT_MENTIONS_MAX ? e->mention_count : EVENT_MENTIONS_MAX;
    char head[EVENT_HEAD_BYTES];

    head[0] = EVENT_VERSION;
    head[1] = e->topic_is_user ? EVENT_FLAG_USER : 0;
    head[2] = (char)mentions;
    head[3] = (char)name.n;
    put_u64(head + 4, e->id);
    put_u64(head + 12, e->topic);
    put_u64(head + 20, e->number);
    put_u64(head + 28, e->channel_id);
    put_u64(head + 36, e->user_id);
    buf_add(out, head, sizeof head);
    buf_add_str(out, name);
    for (unsigned i = 0; i < mentions; i++) {
        char id[8];
        put_u64(id, e->mentions[i]);
        buf_add(out, id, sizeof id);
    }
    buf_add_str(out, e->data);
}

void event_batch_begin(struct buf *out)
{
    buf_addc(out, BATCH_VERSION);
}

void event_batch_add(struct buf *out, const struct event *e)
{
    size_t at = out->len;
    char length[4] = {0};

    buf_add(out, length, sizeof length);
    event_encode(e, out);
    if (buf_failed(out))
        return;
    uint32_t n = (uint32_t)(out->len - at - sizeof length);
    for (int i = 0; i < 4; i++)
        out->data[at + (size_t)i] = (char)(n >> (8 * i));
}

bool event_is_batch(struct str bytes)
{
    return bytes.n && bytes.p[0] == BATCH_VERSION;
}

bool event_batch_next(struct str bytes, size_t *at, struct str *ret)
{
    uint32_t n = 0;

    if (*at == 0)
        *at = 1;
    if (bytes.n < *at + 4)
        return false;
    for (int i = 3; i >= 0; i--)
        n = n << 8 | (unsigned char)bytes.p[*at + (size_t)i];
    if (bytes.n - *at - 4 < n)
        return false;
    *ret = (struct str){bytes.p + *at + 4, n};
    *at += 4 + n;
    return true;
}

int event_decode(struct str bytes, struct arena *a, struct event *ret)
{
    if (bytes.n < EVENT_HEAD_BYTES || bytes.p[0] != EVENT_VERSION)
        return -EINVAL;
    unsigned mentions = (unsigned char)bytes.p[2];
    size_t name_len = (unsigned char)bytes.p[3];
    size_t head_len = EVENT_HEAD_BYTES + name_len + 8u * mentions;
    struct event e = {.mention_count = mentions, .topic_is_user = bytes.p[1] & EVENT_FLAG_USER};

    if (mentions > EVENT_MENTIONS_MAX || bytes.n < head_len)
        return -EINVAL;
    if (event_type_find((struct str){bytes.p + EVENT_HEAD_BYTES, name_len}, &e.type) < 0)
        return -EINVAL;
    e.id = get_u64(bytes.p + 4);
    e.topic = get_u64(bytes.p + 12);
    e.number = get_u64(bytes.p + 20);
    e.channel_id = get_u64(bytes.p + 28);
    e.user_id = get_u64(bytes.p + 36);
    if (mentions) {
        uint64_t *ids = ARENA_ARRAY(a, uint64_t, mentions);
        for (unsigned i = 0; i < mentions; i++)
            ids[i] = get_u64(bytes.p + EVENT_HEAD_BYTES + name_len + 8u * i);
        e.mentions = ids;
    }
    e.data = (struct str){bytes.p + head_len, bytes.n - head_len};
    *ret = e;
    return 0;
}
