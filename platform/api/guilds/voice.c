/* Voice states over HTTP: moving, muting, stages. They live in kv (platform/ports/entries.h), the gateways make them.
 * Coroutine. Source: Discord API documentation, "Voice", "Guild: Modify Guild Member". */
#include "platform/api/guilds/voice.h"

#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/base/clock.h"
#include "platform/model/permissions.h"
#include "platform/model/voice.h"
#include "platform/ports/entries.h"
#include "platform/ports/store/store.h"

#include <errno.h>
#include <sodium.h>

#define TRIES       8
#define TOKEN_BYTES 12

/* --- the entry -------------------------------------------------------------------------------------------------------
 */
struct held {
    struct str field, value;
    struct voice_state now;
};

/* 0, -ENOENT (in no voice channel), -EHOSTDOWN. */
static int held_read(struct api_ctx *x, uint64_t guild_id, uint64_t user_id, struct held *h)
{
    h->field = arena_printf(x->arena, "%llu", (unsigned long long)user_id);
    int r = kv_entry_get(x->ports->kv, x->arena, KV_VOICE, guild_id, h->field, &h->value);

    if (r == 0 && voice_value_read(h->value, user_id, &h->now) < 0)
        r = -ENOENT;
    return r;
}

/* next NULL: disconnects. */
static int held_put(struct api_ctx *x, uint64_t guild_id, const struct held *h, const struct voice_state *next)
{
    struct buf value = {0};

    if (next)
        voice_value_write(&value, next);
    struct kv_change c = {.kind = KV_VOICE,
                          .topic = guild_id,
                          .field = h->field,
                          .value = arena_str(x->arena, buf_str(&value)),
                          .expect = h->value};
    buf_done(&value);
    int r = entries_change(x->ports, x->arena, &c, NULL, NULL);
    return r == -EALREADY ? 0 : r;
}

static enum api_error held_error(int r, enum api_error missing)
{
    return r == -ENOENT ? missing : r < 0 ? api_port_error(r, missing) : API_OK;
}

/* When the channel's voice session began: as its others know it, or now. */
static int64_t start_of(struct api_ctx *x, uint64_t guild_id, uint64_t channel_id)
{
    struct kv_entry *list;
    unsigned count = 0;
    uint64_t version;
    struct voice_state v;

    if (kv_entries_list(x->ports->kv, x->arena, KV_VOICE, guild_id, &list, &count, &version) == 0)
        for (unsigned i = 0; i < count; i++)
            if (voice_value_read(list[i].value, 1, &v) == 0 && v.channel_id == channel_id)
                return v.start_s;
    return clock_wall_ms() / 1000;
}

/* --- a member --------------------------------------------------------------------------------------------------------
 */
static enum api_error target_read(struct api_ctx *x, const struct member *m, struct voice_change *c)
{
    struct api_access access;
    enum api_error e = api_access_channel(x, c->channel_id, PERMISSION_CONNECT | PERMISSION_MOVE_MEMBERS, &access);

    if (e != API_OK)
        return e;
    const struct channel *ch = access.channel;
    if (ch->guild_id != m->guild_id)
        return API_ERROR_UNKNOWN_CHANNEL;
    if (!channel_is_voice(ch->type))
        return API_ERROR_CANNOT_EXECUTE_ON_CHANNEL_TYPE;
    const struct guild_snapshot *s = &access.snap;
    uint64_t theirs = permissions_of_member(&s->guild, s->roles, s->role_count, ch, m, clock_wall_ms());
    c->suppress =
        ch->type == CHANNEL_GUILD_STAGE_VOICE || ch->id == s->guild.afk_channel_id || !(theirs & PERMISSION_SPEAK);
    return API_OK;
}

enum api_error voice_change_read(struct api_ctx *x, uint64_t held, struct member *m, struct voice_change *ret)
{
    struct voice_change c = {0};
    struct held h;

    if (!form_is_null(x, "mute") && form_bool(x, "mute", FORM_OPTIONAL, &m->mute)) {
        c.wanted = true;
        if (!(held & PERMISSION_MUTE_MEMBERS))
            return API_ERROR_MISSING_PERMISSIONS;
    }
    if (!form_is_null(x, "deaf") && form_bool(x, "deaf", FORM_OPTIONAL, &m->deaf)) {
        c.wanted = true;
        if (!(held & PERMISSION_DEAFEN_MEMBERS))
            return API_ERROR_MISSING_PERMISSIONS;
    }
    c.moves = form_id(x, "channel_id", FORM_NULLABLE, &c.channel_id) || form_is_null(x, "channel_id");
    if (c.moves && !(held & PERMISSION_MOVE_MEMBERS))
        return API_ERROR_MISSING_PERMISSIONS;
    c.wanted |= c.moves;
    *ret = c;
    if (!c.wanted || form_result(x) != API_OK)
        return form_result(x);
    enum api_error e = held_error(held_read(x, m->guild_id, m->user.id, &h), API_ERROR_TARGET_NOT_IN_VOICE);
    if (e == API_OK && c.channel_id)
        e = target_read(x, m, ret);
    return e;
}

static void moved(struct api_ctx *x, uint64_t guild_id, const struct voice_change *c, struct voice_state *v)
{
    unsigned char bytes[TOKEN_BYTES];
    char token[2 * TOKEN_BYTES + 1];

    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(token, sizeof token, bytes, sizeof bytes);
    v->token = arena_str(x->arena, str_c(token));
    v->channel_id = c->channel_id;
    v->suppress = c->suppress;
    v->request_to_speak_ms = 0;
    v->start_s = start_of(x, guild_id, c->channel_id);
}

void voice_change_apply(struct api_ctx *x, const struct member *m, const struct voice_change *c)
{
    struct held h;
    struct buf member = {0};
    int r = -EAGAIN;

    if (!c->wanted)
        return;
    member_write(&member, m, true);
    for (int i = 0; i < TRIES && r == -EAGAIN; i++) {
        r = held_read(x, m->guild_id, m->user.id, &h);
        if (r < 0)
            break;
        struct voice_state next = h.now;
        next.mute = m->mute;
        next.deaf = m->deaf;
        next.member = buf_str(&member);
        if (c->channel_id && c->channel_id != h.now.channel_id)
            moved(x, m->guild_id, c, &next);
        r = held_put(x, m->guild_id, &h, c->moves && !c->channel_id ? NULL : &next);
    }
    buf_done(&member);
}

/* --- voice states ----------------------------------------------------------------------------------------------------
 */
static enum api_error state_answer(struct api_ctx *x, uint64_t user_id, bool own)
{
    struct api_access guild, channel;
    struct held h;
    enum api_error e = api_access_guild(x, x->ids[0], 0, &guild);

    if (e == API_OK)
        e = held_error(held_read(x, x->ids[0], user_id, &h), API_ERROR_UNKNOWN_VOICE_STATE);
    if (e == API_OK && !own)
        e = api_access_channel(x, h.now.channel_id, PERMISSION_CONNECT, &channel);
    if (e == API_OK)
        voice_state_write(api_out(x), x->ids[0], &h.now, true, true);
    return e;
}

enum api_error voice_state_me_get(struct api_ctx *x)
{
    return state_answer(x, x->user_id, true);
}

enum api_error voice_state_get(struct api_ctx *x)
{
    return state_answer(x, x->ids[1], x->ids[1] == x->user_id);
}

/* The user's state on the stage that the body may name, and what the caller may do there. */
static enum api_error stage_read(struct api_ctx *x, uint64_t user_id, struct held *h, uint64_t *ret_permissions)
{
    struct api_access guild, channel;
    uint64_t channel_id = 0;
    enum api_error e = api_access_guild(x, x->ids[0], 0, &guild);

    (void)form_id(x, "channel_id", FORM_NULLABLE, &channel_id);
    if (e == API_OK)
        e = form_result(x);
    if (e == API_OK)
        e = held_error(held_read(x, x->ids[0], user_id, h), API_ERROR_UNKNOWN_VOICE_STATE);
    if (e == API_OK && channel_id && channel_id != h->now.channel_id)
        e = API_ERROR_UNKNOWN_VOICE_STATE;
    if (e == API_OK)
        e = api_access_channel(x, h->now.channel_id, 0, &channel);
    if (e == API_OK && channel.channel->type != CHANNEL_GUILD_STAGE_VOICE)
        e = API_ERROR_CANNOT_EXECUTE_ON_CHANNEL_TYPE;
    if (e == API_OK)
        *ret_permissions = channel.permissions;
    return e;
}

static enum api_error request_read(struct api_ctx *x, uint64_t permissions, struct voice_state *next)
{
    struct str text = STR_NONE;
    int64_t when_ms = 0;

    if (form_is_null(x, "request_to_speak_timestamp")) {
        next->request_to_speak_ms = 0;
        return API_OK;
    }
    if (!form_str(x, "request_to_speak_timestamp", FORM_OPTIONAL, 1, 64, &text))
        return form_result(x);
    if (clock_parse_iso(text, &when_ms) < 0)
        form_error(x, "request_to_speak_timestamp", "DATE_TIME_TYPE_PARSE", "Could not parse. Should be ISO8601.");
    else if (when_ms < clock_wall_ms() - 60000) /* "any present or future time"; clocks differ */
        form_error(x, "request_to_speak_timestamp", "BASE_TYPE_BAD_DATE", "Must not be in the past.");
    if (form_result(x) != API_OK)
        return form_result(x);
    next->request_to_speak_ms = when_ms;
    return permissions & PERMISSION_REQUEST_TO_SPEAK ? API_OK : API_ERROR_MISSING_PERMISSIONS;
}

static enum api_error state_put(struct api_ctx *x, const struct held *h, const struct voice_state *next)
{
    int r = held_put(x, x->ids[0], h, next);

    return held_error(r == -EAGAIN ? -ENOENT : r, API_ERROR_UNKNOWN_VOICE_STATE);
}

enum api_error voice_state_me_modify(struct api_ctx *x)
{
    struct held h;
    uint64_t permissions = 0;
    bool suppress = false;
    enum api_error e = stage_read(x, x->user_id, &h, &permissions);

    if (e != API_OK)
        return e;
    struct voice_state next = h.now;
    e = request_read(x, permissions, &next);
    if (e == API_OK && form_bool(x, "suppress", FORM_OPTIONAL, &suppress)) {
        if (!suppress && next.suppress && !(permissions & PERMISSION_MUTE_MEMBERS))
            return API_ERROR_MISSING_PERMISSIONS;
        next.suppress = suppress;
        if (suppress)
            next.request_to_speak_ms = 0;
    }
    if (e == API_OK)
        e = form_result(x);
    return e == API_OK ? state_put(x, &h, &next) : e;
}

enum api_error voice_state_modify(struct api_ctx *x)
{
    struct held h;
    struct member m;
    uint64_t permissions = 0;
    bool suppress = false;
    enum api_error e = stage_read(x, x->ids[1], &h, &permissions);

    if (e == API_OK && !(permissions & PERMISSION_MUTE_MEMBERS))
        e = API_ERROR_MISSING_PERMISSIONS;
    if (e == API_OK)
        e = api_member_get(x, x->ids[0], x->ids[1], &m);
    if (e != API_OK)
        return e;
    struct voice_state next = h.now;
    if (form_bool(x, "suppress", FORM_OPTIONAL, &suppress)) {
        next.suppress = suppress;
        if (suppress)
            next.request_to_speak_ms = 0;
        else if (!m.user.bot)
            next.request_to_speak_ms = clock_wall_ms();
    }
    e = form_result(x);
    return e == API_OK ? state_put(x, &h, &next) : e;
}
