/* Voice states as text. Pure. */
#include "platform/model/voice.h"

#include "platform/base/jw.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/json_text.h"

#include <errno.h>

static void flags_write(struct buf *out, const struct voice_state *v)
{
    jw_kbool(out, "deaf", v->deaf);
    jw_kbool(out, "mute", v->mute);
    jw_kbool(out, "self_deaf", v->self_deaf);
    jw_kbool(out, "self_mute", v->self_mute);
    jw_kbool(out, "self_video", v->self_video);
    jw_kbool(out, "suppress", v->suppress);
}

void voice_value_write(struct buf *out, const struct voice_state *v)
{
    jw_obj(out);
    jw_kstr(out, "owner", v->owner);
    jw_kstr(out, "session_id", v->session_id);
    jw_kstr(out, "token", v->token);
    jw_kid(out, "channel_id", v->channel_id);
    flags_write(out, v);
    jw_ku64(out, "request_ms", (uint64_t)v->request_to_speak_ms);
    jw_ku64(out, "start_s", (uint64_t)v->start_s);
    jw_kraw(out, "member", v->member);
    jw_obj_end(out);
}

static bool flag_take(struct voice_state *v, struct str key, struct str value)
{
    const struct {
        struct str key;
        bool *flag;
    } flags[] = {{STR("deaf"), &v->deaf},           {STR("mute"), &v->mute},
                 {STR("self_deaf"), &v->self_deaf}, {STR("self_mute"), &v->self_mute},
                 {STR("suppress"), &v->suppress},   {STR("self_video"), &v->self_video}};

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (str_eq(key, flags[i].key)) {
            *flags[i].flag = str_eq(value, STR("true"));
            return true;
        }
    return false;
}

static int member_take(struct str key, struct str value, void *arg)
{
    struct voice_state *v = arg;
    uint64_t n;

    if (flag_take(v, key, value))
        return 0;
    if (str_eq(key, STR("owner")))
        return json_str_plain(value, &v->owner);
    if (str_eq(key, STR("session_id")))
        return json_str_plain(value, &v->session_id);
    if (str_eq(key, STR("token")))
        return json_str_plain(value, &v->token);
    if (str_eq(key, STR("channel_id")))
        return json_id(value, &v->channel_id);
    if (str_eq(key, STR("member")))
        v->member = value;
    else if (str_eq(key, STR("request_ms")) && json_u64(value, &n) == 0)
        v->request_to_speak_ms = (int64_t)n;
    else if (str_eq(key, STR("start_s")) && json_u64(value, &n) == 0)
        v->start_s = (int64_t)n;
    return 0;
}

int voice_value_read(struct str value, uint64_t user_id, struct voice_state *ret)
{
    *ret = (struct voice_state){.user_id = user_id};
    return json_members_scan(value, member_take, ret) == 0 && ret->channel_id ? 0 : -EINVAL;
}

void voice_state_write(struct buf *out, uint64_t guild_id, const struct voice_state *v, bool connected,
                       bool with_member)
{
    jw_obj(out);
    if (guild_id)
        jw_kid(out, "guild_id", guild_id);
    jw_kid(out, "channel_id", connected ? v->channel_id : 0);
    jw_kid(out, "user_id", v->user_id);
    if (with_member && v->member.n)
        jw_kraw(out, "member", v->member);
    jw_kstr(out, "session_id", v->session_id);
    flags_write(out, v);
    jw_ktime_ms(out, "request_to_speak_timestamp", v->request_to_speak_ms);
    jw_obj_end(out);
}
