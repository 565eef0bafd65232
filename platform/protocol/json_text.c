/* Members of JSON objects as text. Any thread; nothing is allocated but by the caller's buffer. */
#include "platform/protocol/json_text.h"

#include "platform/base/snowflake.h"
#include "platform/protocol/envelope.h"

#include <errno.h>

struct member_search {
    struct str key, value;
};

static int member_match(struct str key, struct str value, void *arg)
{
    struct member_search *s = arg;

    if (str_eq(key, s->key))
        s->value = value;
    return 0;
}

struct str json_member(struct str object, struct str key)
{
    struct member_search s = {.key = key};

    return json_members_scan(object, member_match, &s) == 0 ? s.value : STR_NONE;
}

static struct str unquoted(struct str value)
{
    struct str inside;

    return json_str_plain(value, &inside) == 0 ? inside : value;
}

int json_id(struct str value, uint64_t *ret)
{
    return snowflake_parse(unquoted(value), ret);
}

uint64_t json_member_id(struct str object, struct str key)
{
    uint64_t id;

    return json_id(json_member(object, key), &id) == 0 ? id : 0;
}

int json_u64(struct str value, uint64_t *ret)
{
    return str_to_u64(unquoted(value), ret) == 0 ? 0 : -EINVAL;
}

struct member_copy {
    struct buf *out;
    const struct str *skip;
    unsigned skip_count;
};

static int member_append(struct str key, struct str value, void *arg)
{
    struct member_copy *c = arg;

    for (unsigned i = 0; i < c->skip_count; i++)
        if (str_eq(key, c->skip[i]))
            return 0;
    if (c->out->len && c->out->data[c->out->len - 1] != '{')
        buf_addc(c->out, ',');
    buf_addc(c->out, '"');
    buf_add_str(c->out, key);
    buf_adds(c->out, "\":");
    buf_add_str(c->out, value);
    return 0;
}

int json_members_copy(struct buf *out, struct str object, const struct str *skip, unsigned skip_count)
{
    struct member_copy c = {out, skip, skip_count};

    return json_members_scan(object, member_append, &c);
}
