/* The status of a voice channel: it stands in kv beside the guild's voice states, from where the gateways tell it
 * (gateway/server/voice_status.c). Coroutine. Source: Discord API documentation, "Channel: Set Voice Channel Status".
 */
#include "platform/api/form.h"
#include "platform/api/guilds/audit.h"
#include "platform/api/handlers.h"
#include "platform/base/jw.h"
#include "platform/model/voice.h"
#include "platform/ports/entries.h"

#include <errno.h>

#define STATUS_CHARS_MAX 500

static struct str field_of(struct api_ctx *x, uint64_t id)
{
    return arena_printf(x->arena, "%llu", (unsigned long long)id);
}

static bool is_connected(struct api_ctx *x, const struct channel *ch)
{
    struct voice_state v;
    struct str value;

    return kv_entry_get(x->ports->kv, x->arena, KV_VOICE, ch->guild_id, field_of(x, x->user_id), &value) == 0 &&
           voice_value_read(value, x->user_id, &v) == 0 && v.channel_id == ch->id;
}

/* 0, -EALREADY: it is so. */
static int status_put(struct api_ctx *x, const struct channel *ch, struct str status)
{
    struct buf value = {0};

    if (status.n) {
        jw_obj(&value);
        jw_kcstr(&value, "owner", "");
        jw_kstr(&value, "status", status);
        jw_obj_end(&value);
    }
    const struct kv_change c = {.kind = KV_VOICE,
                                .topic = ch->guild_id,
                                .field = field_of(x, ch->id),
                                .value = arena_str(x->arena, buf_str(&value))};
    buf_done(&value);
    return entries_change(x->ports, x->arena, &c, NULL, NULL);
}

static enum api_error entry_add(struct api_ctx *x, const struct channel *ch, struct str status)
{
    struct commit c;
    struct buf options = {0};

    jw_obj(&options);
    jw_kid(&options, "channel_id", ch->id);
    if (status.n)
        jw_kstr(&options, "status", status);
    jw_obj_end(&options);
    commit_init(&c, x->arena);
    audit_add(x, &c, ch->guild_id, AUDIT_VOICE_CHANNEL_STATUS_CREATE + !status.n, ch->id, STR_NONE,
              arena_str(x->arena, buf_str(&options)));
    buf_done(&options);
    return api_commit(x, &c, API_ERROR_UNKNOWN_CHANNEL);
}

enum api_error channel_voice_status_put(struct api_ctx *x)
{
    struct api_access access = {0};
    struct str status = STR_NONE;
    enum api_error e = api_access_channel(x, x->ids[0], PERMISSION_SET_VOICE_CHANNEL_STATUS, &access);

    if (e != API_OK)
        return access.is_dm ? API_ERROR_CANNOT_EXECUTE_ON_DM : e;
    const struct channel *ch = access.channel;
    if (access.is_dm || ch->type != CHANNEL_GUILD_VOICE)
        return access.is_dm ? API_ERROR_CANNOT_EXECUTE_ON_DM : API_ERROR_CANNOT_EXECUTE_ON_CHANNEL_TYPE;
    (void)form_str(x, "status", FORM_NULLABLE, 0, STATUS_CHARS_MAX, &status);
    e = form_result(x);
    if (e == API_OK && !(access.permissions & PERMISSION_MANAGE_CHANNELS) && !is_connected(x, ch))
        e = API_ERROR_MISSING_PERMISSIONS;
    if (e != API_OK)
        return e;
    int r = status_put(x, ch, status);
    if (r == -EALREADY)
        return API_OK;
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_CHANNEL) : entry_add(x, ch, status);
}
