/* HELLO, READY and their like. Pure. */
#include "gateway/server/payloads.h"

#include "platform/base/jw.h"
#include "platform/protocol/gateway.h"

static void head_write(struct buf *out, int op)
{
    jw_obj(out);
    jw_knull(out, "t");
    jw_knull(out, "s");
    jw_ki64(out, "op", op);
}

void payload_hello(struct buf *out, int heartbeat_interval_ms)
{
    head_write(out, GATEWAY_OP_HELLO);
    jw_kobj(out, "d");
    jw_ki64(out, "heartbeat_interval", heartbeat_interval_ms);
    jw_karr(out, "_trace");
    jw_arr_end(out);
    jw_obj_end(out);
    jw_obj_end(out);
}

void payload_op(struct buf *out, int op)
{
    head_write(out, op);
    jw_knull(out, "d");
    jw_obj_end(out);
}

void payload_invalid_session(struct buf *out, bool resumable)
{
    head_write(out, GATEWAY_OP_INVALID_SESSION);
    jw_kbool(out, "d", resumable);
    jw_obj_end(out);
}

/* Nobody's guild is loaded yet: each follows as a GUILD_CREATE. */
static void guilds_write(struct buf *out, const uint64_t *ids, unsigned count)
{
    jw_karr(out, "guilds");
    for (unsigned i = 0; i < count; i++) {
        jw_obj(out);
        jw_kid(out, "id", ids[i]);
        jw_kbool(out, "unavailable", true);
        jw_obj_end(out);
    }
    jw_arr_end(out);
}

void payload_ready(struct buf *out, const struct ready_view *v)
{
    jw_obj(out);
    jw_ki64(out, "v", v->version);
    jw_key(out, "user");
    user_write_private(out, v->user);
    guilds_write(out, v->guild_ids, v->guild_count);
    jw_kcstr(out, "session_id", v->session_id);
    jw_kcstr(out, "resume_gateway_url", v->resume_gateway_url);
    jw_karr(out, "shard");
    jw_u64(out, v->shard);
    jw_u64(out, v->shard_count);
    jw_arr_end(out);
    if (v->application) {
        jw_kobj(out, "application");
        jw_kid(out, "id", v->application->id);
        jw_ki64(out, "flags", v->application->flags);
        jw_obj_end(out);
    }
    jw_karr(out, "private_channels");
    for (unsigned i = 0; i < v->dm_count; i++)
        channel_write(out, &v->dms[i]);
    jw_arr_end(out);
    jw_karr(out, "relationships");
    jw_arr_end(out);
    jw_karr(out, "_trace");
    jw_arr_end(out);
    jw_obj_end(out);
}

void payload_resumed(struct buf *out)
{
    jw_obj(out);
    jw_karr(out, "_trace");
    jw_arr_end(out);
    jw_obj_end(out);
}

void payload_guild_delete(struct buf *out, uint64_t guild_id, bool unavailable)
{
    jw_obj(out);
    jw_kid(out, "id", guild_id);
    if (unavailable)
        jw_kbool(out, "unavailable", true);
    jw_obj_end(out);
}
