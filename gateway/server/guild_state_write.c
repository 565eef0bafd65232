/* A guild's state as clients get it. Loop thread. */
#include "gateway/server/guild_state.h"

#include "platform/base/jw.h"
#include "platform/protocol/json_text.h"

#include <limits.h>

void guild_state_write_channel(const struct guild_state *s, unsigned slot, struct buf *out)
{
    const struct state_channel *c = &s->channels[slot];

    jw_obj(out);
    json_members_copy(out, c->json, NULL, 0);
    if (c->has_last_message)
        jw_kid(out, "last_message_id", c->last_message_id);
    jw_obj_end(out);
}

static void channels_write(const struct guild_state *s, const uint64_t *visible, struct buf *out)
{
    jw_karr(out, "channels");
    for (unsigned i = 0; i < s->channel_cap; i++)
        if (s->channels[i].channel.id && visible[i / 64] >> (i % 64) & 1)
            guild_state_write_channel(s, i, out);
    jw_arr_end(out);
}

/* Source: "Gateway Events: Request Guild Members", its first paragraph. */
static bool is_listed(const struct guild_state *s, const struct guild_create_view *v, const struct state_member *m)
{
    if (s->member_count <= v->large_threshold || m->role_count)
        return true;
    struct str nick = json_member(m->json, STR("nick"));
    if (nick.n && nick.p[0] == '"') /* else null */
        return true;
    return v->is_active && v->is_active(v->active_arg, m->user_id);
}

static void members_write(const struct guild_state *s, const struct guild_create_view *v, struct buf *out)
{
    bool list = v->members == MEMBERS_ALL && (s->members_complete || s->members_active);
    unsigned left = s->members_complete ? UINT_MAX : v->members_max;
    size_t cursor = 0;

    jw_karr(out, "members");
    jw_raw(out, v->self->json);
    if (!list && v->voice_members.n)
        jw_raw(out, v->voice_members);
    for (struct state_member *m; list && left && (m = map_next(&s->members, &cursor));)
        if (m != v->self && is_listed(s, v, m)) {
            jw_raw(out, m->json);
            left--;
        }
    jw_arr_end(out);
}

void guild_state_write_create(const struct guild_state *s, const struct guild_create_view *v, struct buf *out)
{
    static const char *const empty[] = {"threads", "stage_instances", "guild_scheduled_events", "soundboard_sounds"};

    jw_obj(out);
    json_members_copy(out, s->json, NULL, 0);
    jw_karr(out, "roles");
    for (unsigned i = 0; i < s->role_count; i++)
        jw_raw(out, s->role_jsons[i]);
    jw_arr_end(out);
    channels_write(s, v->visible, out);
    members_write(s, v, out);
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        jw_karr(out, empty[i]);
        jw_arr_end(out);
    }
    jw_kraw(out, "voice_states", v->voice_states.n ? v->voice_states : STR("[]"));
    jw_kraw(out, "presences", v->presences.n ? v->presences : STR("[]"));
    jw_kraw(out, "joined_at", json_member(v->self->json, STR("joined_at")));
    jw_ki64(out, "member_count", s->member_count);
    jw_kbool(out, "large", s->member_count > v->large_threshold);
    if (v->startup)
        jw_kbool(out, "unavailable", false);
    jw_obj_end(out);
}
