/* What a handler calls first: may the caller do this here? Coroutine. */
#include "platform/api/access_cache.h"
#include "platform/api/api_private.h"

#include "platform/base/clock.h"
#include "platform/model/permissions.h"
#include "platform/ports/store/store.h"

#include <errno.h>

/* A DM has no roles: what makes sense between two people is granted. */
#define DM_PERMISSIONS                                                                                                 \
    (PERMISSION_VIEW_CHANNEL | PERMISSION_SEND_MESSAGES | PERMISSION_EMBED_LINKS | PERMISSION_ATTACH_FILES |           \
     PERMISSION_READ_MESSAGE_HISTORY | PERMISSION_ADD_REACTIONS | PERMISSION_USE_EXTERNAL_EMOJIS |                     \
     PERMISSION_USE_EXTERNAL_STICKERS | PERMISSION_SEND_POLLS | PERMISSION_SEND_VOICE_MESSAGES | PERMISSION_CONNECT |  \
     PERMISSION_SPEAK | PERMISSION_STREAM | PERMISSION_USE_VAD | PERMISSION_PIN_MESSAGES)

static uint64_t permissions_here(const struct guild_snapshot *s, const struct channel *c)
{
    return permissions_of_member(&s->guild, s->roles, s->role_count, c, &s->members[0], clock_wall_ms());
}

enum api_error api_access_guild(struct api_ctx *x, uint64_t guild_id, uint64_t needed, struct api_access *ret)
{
    *ret = (struct api_access){0};
    int r = store_guild_for_member(x->ports->db, x->arena, guild_id, 0, x->user_id, &ret->snap);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_GUILD);
    if (ret->snap.member_count == 0)
        return API_ERROR_UNKNOWN_GUILD;
    ret->permissions = permissions_here(&ret->snap, NULL);
    return (ret->permissions & needed) == needed ? API_OK : API_ERROR_MISSING_PERMISSIONS;
}

static enum api_error access_dm(struct api_ctx *x, uint64_t needed, struct api_access *ret)
{
    bool mine = false;

    for (unsigned i = 0; i < ret->channel->recipient_count; i++)
        mine |= ret->channel->recipients[i].id == x->user_id;
    if (!mine)
        return API_ERROR_UNKNOWN_CHANNEL;
    ret->is_dm = true;
    ret->permissions = DM_PERMISSIONS;
    return (DM_PERMISSIONS & needed) == needed ? API_OK : API_ERROR_CANNOT_EXECUTE_ON_DM;
}

static enum api_error access_judge(struct api_ctx *x, uint64_t needed, struct api_access *ret)
{
    ret->channel = &ret->snap.channels[0];
    if (!ret->channel->guild_id)
        return access_dm(x, needed, ret);
    if (ret->snap.member_count == 0)
        return API_ERROR_MISSING_ACCESS;
    ret->permissions = permissions_here(&ret->snap, ret->channel);
    if (!(ret->permissions & PERMISSION_VIEW_CHANNEL))
        return API_ERROR_MISSING_ACCESS;
    return (ret->permissions & needed) == needed ? API_OK : API_ERROR_MISSING_PERMISSIONS;
}

enum api_error api_access_channel(struct api_ctx *x, uint64_t channel_id, uint64_t needed, struct api_access *ret)
{
    *ret = (struct api_access){0};
    int r = store_channel_for_member(x->ports->db, x->arena, channel_id, x->user_id, &ret->snap);

    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_CHANNEL) : access_judge(x, needed, ret);
}

bool api_access_kept(struct api_ctx *x, uint64_t channel_id, uint64_t needed, struct api_access *ret)
{
    *ret = (struct api_access){0};
    return access_cache_get(x->api->access, x->arena, channel_id, x->user_id, &ret->snap) &&
           access_judge(x, needed, ret) == API_OK;
}

void api_access_keep(struct api_ctx *x, const struct api_access *access)
{
    access_cache_put(x->api->access, &access->snap);
}

void api_access_forget(struct api_ctx *x, uint64_t channel_id)
{
    access_cache_drop(x->api->access, channel_id, x->user_id);
}

enum api_error api_member_get(struct api_ctx *x, uint64_t guild_id, uint64_t user_id, struct member *ret)
{
    int r = store_member_get(x->ports->db, x->arena, guild_id, user_id, ret);

    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_MEMBER) : API_OK;
}

struct str api_reason(struct api_ctx *x)
{
    struct str s = http_request_header(x->req, "X-Audit-Log-Reason");

    if (!s.n)
        return STR_NONE;
    s = http_percent_decode(x->arena, s, false);
    return s.p && utf8_count(s) >= 0 && utf8_count(s) <= 512 ? s : STR_NONE;
}
