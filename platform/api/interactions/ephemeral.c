/* Messages that one person alone sees: in kv for LIMIT_EPHEMERAL_MS after their last change, so that no history, no
 * search and nobody else's session can have them. Coroutine. */
#include "platform/api/interactions/interactions.h"

#include "platform/api/events.h"
#include "platform/api/messages/messages.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/protocol/json_text.h"

#include <errno.h>
#include <stdio.h>

#define KEY_MAX 64

static const char *key_of(char key[KEY_MAX], uint64_t id)
{
    snprintf(key, KEY_MAX, "ephemeral:{%llu}", (unsigned long long)id);
    return key;
}

static void ids_write(struct buf *b, const char *key, const uint64_t *ids, unsigned count)
{
    jw_karr(b, key);
    for (unsigned i = 0; i < count; i++)
        jw_id(b, ids[i]);
    jw_arr_end(b);
}

int ephemeral_put(struct api_ctx *x, const struct message *m, uint64_t user_id)
{
    struct buf b = {0};
    char key[KEY_MAX];

    jw_obj(&b);
    jw_kid(&b, "user_id", user_id);
    jw_kid(&b, "id", m->id);
    jw_kid(&b, "channel_id", m->channel_id);
    jw_kid(&b, "guild_id", m->guild_id);
    jw_kid(&b, "author_id", m->author_id);
    jw_kid(&b, "webhook_id", m->webhook_id);
    jw_kid(&b, "reference_id", m->reference_id);
    jw_ki64(&b, "type", m->type);
    jw_ki64(&b, "flags", m->flags);
    jw_ki64(&b, "edited_ms", m->edited_ms);
    jw_kbool(&b, "tts", m->tts);
    jw_kstr(&b, "content", m->content.p ? m->content : STR(""));
    jw_kstr(&b, "embeds", m->embeds_json);
    jw_kstr(&b, "attachments", m->attachments_json);
    jw_kstr(&b, "components", m->components_json);
    jw_kstr(&b, "reference", m->reference_json);
    jw_kstr(&b, "interaction", m->interaction_json);
    ids_write(&b, "mentions", m->mentions, m->mention_count);
    ids_write(&b, "mention_roles", m->mention_roles, m->mention_role_count);
    jw_obj_end(&b);
    if (buf_failed(&b)) {
        buf_done(&b);
        return -ENOSPC;
    }
    return kv_put(x->ports->kv, key_of(key, m->id), payload_take(x->arena, &b), LIMIT_EPHEMERAL_MS);
}

static struct str text_at(struct api_ctx *x, json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);

    return json_is_string(v) ? arena_str(x->arena, (struct str){json_string_value(v), json_string_length(v)})
                             : STR_NONE;
}

static uint64_t id_at(json_t *o, const char *key)
{
    uint64_t id = 0;

    (void)json_to_id(json_object_get(o, key), &id);
    return id;
}

static uint64_t *ids_at(struct api_ctx *x, json_t *o, const char *key, unsigned *ret_count)
{
    json_t *list = json_object_get(o, key);
    unsigned count = (unsigned)json_array_size(list);
    uint64_t *ids = ARENA_ARRAY(x->arena, uint64_t, count + 1);

    for (unsigned i = 0; i < count; i++)
        (void)json_to_id(json_array_get(list, i), &ids[i]);
    *ret_count = count;
    return ids;
}

int ephemeral_get(struct api_ctx *x, uint64_t message_id, struct message *ret, uint64_t *ret_user_id)
{
    char key[KEY_MAX];
    struct str text;
    int r = kv_get(x->ports->kv, x->arena, key_of(key, message_id), &text);
    json_t *o = r == 0 ? json_loadb(text.p, text.n, 0, NULL) : NULL;

    if (!o)
        return r < 0 ? r : -EIO;
    *ret = (struct message){.id = id_at(o, "id"),
                            .channel_id = id_at(o, "channel_id"),
                            .guild_id = id_at(o, "guild_id"),
                            .author_id = id_at(o, "author_id"),
                            .webhook_id = id_at(o, "webhook_id"),
                            .reference_id = id_at(o, "reference_id"),
                            .type = json_integer_value(json_object_get(o, "type")),
                            .flags = json_integer_value(json_object_get(o, "flags")),
                            .edited_ms = json_integer_value(json_object_get(o, "edited_ms")),
                            .tts = json_is_true(json_object_get(o, "tts")),
                            .content = text_at(x, o, "content"),
                            .embeds_json = text_at(x, o, "embeds"),
                            .attachments_json = text_at(x, o, "attachments"),
                            .components_json = text_at(x, o, "components"),
                            .reference_json = text_at(x, o, "reference"),
                            .interaction_json = text_at(x, o, "interaction")};
    ret->mentions = ids_at(x, o, "mentions", &ret->mention_count);
    ret->mention_roles = ids_at(x, o, "mention_roles", &ret->mention_role_count);
    *ret_user_id = id_at(o, "user_id");
    json_decref(o);
    return 0;
}

int ephemeral_drop(struct api_ctx *x, uint64_t message_id)
{
    char key[KEY_MAX];

    return kv_del(x->ports->kv, key_of(key, message_id));
}
