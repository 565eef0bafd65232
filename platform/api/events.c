/* Payloads of the events of guilds, roles, channels and members. Loop thread. */
#include "platform/api/events.h"

#include "platform/base/jw.h"

struct str payload_take(struct arena *a, struct buf *b)
{
    struct str s = arena_str(a, buf_str(b));

    buf_done(b);
    return s;
}

static struct event *guild_event(struct commit *c, enum event_type type, uint64_t guild_id, struct buf *data)
{
    struct event *e = commit_event(c, type, guild_id, false);

    e->data = payload_take(c->arena, data);
    return e;
}

void events_guild_update(struct commit *c, const struct guild *g, const struct role *roles, unsigned role_count)
{
    struct buf b = {0};

    guild_write(&b, g, roles, role_count, false);
    guild_event(c, EVENT_GUILD_UPDATE, g->id, &b);
}

void events_guild_delete(struct commit *c, uint64_t guild_id)
{
    struct buf b = {0};

    jw_obj(&b);
    jw_kid(&b, "id", guild_id);
    jw_obj_end(&b);
    guild_event(c, EVENT_GUILD_DELETE, guild_id, &b);
}

void events_role(struct commit *c, enum event_type type, const struct role *r)
{
    struct buf b = {0};

    jw_obj(&b);
    jw_kid(&b, "guild_id", r->guild_id);
    jw_key(&b, "role");
    role_write(&b, r);
    jw_obj_end(&b);
    guild_event(c, type, r->guild_id, &b);
}

void events_role_delete(struct commit *c, uint64_t guild_id, uint64_t role_id)
{
    struct buf b = {0};

    jw_obj(&b);
    jw_kid(&b, "guild_id", guild_id);
    jw_kid(&b, "role_id", role_id);
    jw_obj_end(&b);
    guild_event(c, EVENT_GUILD_ROLE_DELETE, guild_id, &b);
}

void events_channel(struct commit *c, enum event_type type, const struct channel *ch)
{
    struct buf b = {0};

    channel_write(&b, ch);
    guild_event(c, type, ch->guild_id, &b)->channel_id = ch->id;
}

struct event *events_member(struct commit *c, enum event_type type, const struct member *m)
{
    struct buf b = {0};

    jw_obj(&b);
    jw_kid(&b, "guild_id", m->guild_id);
    member_write_fields(&b, m, true);
    jw_obj_end(&b);
    struct event *e = guild_event(c, type, m->guild_id, &b);
    e->user_id = m->user.id;
    return e;
}

void events_member_remove(struct commit *c, uint64_t guild_id, const struct user *u)
{
    struct buf b = {0};

    jw_obj(&b);
    jw_kid(&b, "guild_id", guild_id);
    jw_key(&b, "user");
    user_write(&b, u);
    jw_obj_end(&b);
    guild_event(c, EVENT_GUILD_MEMBER_REMOVE, guild_id, &b)->user_id = u->id;
}

void events_guild_control(struct commit *c, enum event_type type, uint64_t user_id, uint64_t guild_id)
{
    struct buf b = {0};
    struct event *e = commit_event(c, type, user_id, true);

    jw_obj(&b);
    jw_kid(&b, "guild_id", guild_id);
    jw_obj_end(&b);
    e->user_id = user_id;
    e->data = payload_take(c->arena, &b);
}
