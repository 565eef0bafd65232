/* Redaction by one scan of the message's members: what is not touched is copied as it stands. Pure. */
#include "gateway/server/redact.h"

#include "platform/base/jw.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/json_text.h"

#include <errno.h>

struct redaction {
    struct buf *out;
    bool keep_reference;
};

static const struct {
    struct str key, value; /* value STR_NONE: the member is left out */
} emptied[] = {
    {{"content", 7}, {"\"\"", 2}},   {{"embeds", 6}, {"[]", 2}}, {{"attachments", 11}, {"[]", 2}},
    {{"components", 10}, {"[]", 2}}, {{"poll", 4}, {NULL, 0}},
};

static int snapshot_element(struct str value, void *arg)
{
    struct buf *out = arg;
    struct str message = json_member(value, STR("message"));
    const struct str skip = STR("message");

    jw_obj(out);
    if (json_members_copy(out, value, &skip, 1) < 0)
        return -EINVAL;
    if (message.n) {
        jw_key(out, "message");
        if (redact_message(message, false, out) < 0)
            return -EINVAL;
    }
    jw_obj_end(out);
    return 0;
}

static void key_write(struct buf *out, struct str key)
{
    if (out->data[out->len - 1] != '{')
        buf_addc(out, ',');
    buf_addc(out, '"');
    buf_add_str(out, key);
    buf_adds(out, "\":");
}

static int redact_member(struct str key, struct str value, void *arg)
{
    struct redaction *r = arg;

    for (size_t i = 0; i < sizeof emptied / sizeof *emptied; i++) {
        if (!str_eq(key, emptied[i].key))
            continue;
        if (emptied[i].value.p) {
            key_write(r->out, key);
            buf_add_str(r->out, emptied[i].value);
        }
        return 0;
    }
    key_write(r->out, key);
    if (str_eq(key, STR("referenced_message")) && value.p[0] == '{' && !r->keep_reference)
        return redact_message(value, false, r->out);
    if (str_eq(key, STR("message_snapshots")) && value.p[0] == '[') {
        jw_arr(r->out);
        int err = json_elements_scan(value, snapshot_element, r->out);
        jw_arr_end(r->out);
        return err;
    }
    buf_add_str(r->out, value);
    return 0;
}

/* Recursion is bounded: the scanner refuses what is nested deeper than LIMIT_JSON_DEPTH. */
int redact_message(struct str message, bool keep_reference, struct buf *out)
{
    struct redaction r = {out, keep_reference};

    jw_obj(out);
    if (buf_failed(out))
        return -EINVAL;
    int err = json_members_scan(message, redact_member, &r);
    jw_obj_end(out);
    return err < 0 || buf_failed(out) ? -EINVAL : 0;
}

struct str redact_reference(struct str message)
{
    struct str reference = json_member(message, STR("referenced_message"));

    return reference.n && reference.p[0] == '{' ? reference : STR_NONE;
}

static int mention_match(struct str value, void *arg)
{
    return json_member_id(value, STR("id")) == *(const uint64_t *)arg;
}

bool redact_exempt(struct str message, uint64_t user_id)
{
    if (json_member_id(json_member(message, STR("author")), STR("id")) == user_id)
        return true;
    return json_elements_scan(json_member(message, STR("mentions")), mention_match, &user_id) == 1;
}
