/* Fan-out: an event goes to the subscriptions of its topic that hold an intent for it and may see its channel. It is
 * encoded when the first of them is found, once for each encoding and redaction in use. What an event changes in who
 * sees which channel is told by CHANNEL_CREATE and CHANNEL_DELETE, since a channel that one cannot view does not exist.
 * Loop thread; nothing awaits. */
#include "gateway/server/server.h"

#include "gateway/server/payloads.h"
#include "gateway/server/redact.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/base/snowflake.h"
#include "platform/protocol/intents.h"
#include "platform/protocol/json_text.h"

METRIC_DEFINE(events, METRIC_COUNTER, "guildhall_gateway_events_total", "Events of topics that this node follows");
METRIC_DEFINE(lag, METRIC_HISTOGRAM, "guildhall_gateway_dispatch_lag_seconds",
              "From an event's creation (its id; the clocks of api and gateway must agree) to its dispatch");
METRIC_DEFINE(unseen, METRIC_COUNTER, "guildhall_gateway_events_without_channel_total",
              "Events of channels that the guild's state does not have");

/* One event on its way to many. */
struct fanout {
    struct topic *topic;
    const struct event *event;
    struct encoded *encoded; /* NULL until somebody gets it */
    uint32_t intents;
    bool content;          /* a message whose content needs MESSAGE_CONTENT */
    struct past_hits past; /* other nodes that dispatched it */
    enum flush_class class;
};

/* On a user's topic: a message of a guild's channel that only this person sees. */
static bool is_ephemeral(const struct event *e)
{
    return (e->type == EVENT_MESSAGE_CREATE || e->type == EVENT_MESSAGE_UPDATE || e->type == EVENT_MESSAGE_DELETE) &&
           json_member_id(e->data, STR("guild_id")) != 0;
}

static void fanout_begin(struct fanout *f, struct topic *t, const struct event *e)
{
    bool in_guild = !t->is_user || is_ephemeral(e);

    *f = (struct fanout){.topic = t, .event = e, .intents = event_intents(e->type, in_guild)};
    f->class = t->sub_count > FLUSH_FEW_MAX ? FLUSH_MANY : FLUSH_FEW;
    past_find(t->g, e->id, &f->past);
    f->content = !t->is_user && (e->type == EVENT_MESSAGE_CREATE || e->type == EVENT_MESSAGE_UPDATE);
}

static void fanout_end(struct fanout *f)
{
    encoded_unref(f->encoded);
}

static bool mentioned(const struct event *e, uint64_t user_id)
{
    for (unsigned i = 0; i < e->mention_count; i++)
        if (e->mentions[i] == user_id)
            return true;
    return false;
}

static enum redaction redaction_for(struct fanout *f, const struct sub *sub)
{
    if (!f->content || sub->intents & INTENT_MESSAGE_CONTENT || f->event->user_id == sub->user_id ||
        mentioned(f->event, sub->user_id))
        return REDACTION_NONE;
    return encoded_redaction_for(f->encoded, sub->user_id);
}

static void fanout_to(struct fanout *f, struct sub *sub)
{
    const struct session *s = sub->session;

    if (f->past.count && past_had(&f->past, s->homes, s->home_count))
        return;
    if (!f->encoded) {
        f->encoded = encoded_new(&f->topic->g->log, f->event->type, f->event->data);
        encoded_event_id_put(f->encoded, f->event->id);
    }
    session_dispatch(sub->session, f->encoded, redaction_for(f, sub), f->class);
}

static bool wants(const struct fanout *f, const struct sub *sub)
{
    return !f->intents || f->intents & sub->intents;
}

static bool sees(const struct sub *sub, unsigned slot)
{
    return slot / 64 < sub->words && sub->visible[slot / 64] >> (slot % 64) & 1;
}

static void fanout_all(struct fanout *f)
{
    for (unsigned i = 0; i < f->topic->sub_count; i++)
        if (wants(f, f->topic->subs[i]))
            fanout_to(f, f->topic->subs[i]);
}

static void fanout_slot(struct fanout *f, unsigned slot)
{
    for (unsigned i = 0; i < f->topic->sub_count; i++)
        if (wants(f, f->topic->subs[i]) && sees(f->topic->subs[i], slot))
            fanout_to(f, f->topic->subs[i]);
}

/* A member always hears of its own changes (source: "Gateway: Caveats"); that it joined, GUILD_CREATE told it. */
static void fanout_member(struct fanout *f, uint64_t user_id)
{
    for (unsigned i = 0; i < f->topic->sub_count; i++) {
        struct sub *sub = f->topic->subs[i];
        if (sub->user_id == user_id ? f->event->type != EVENT_GUILD_MEMBER_ADD : wants(f, sub))
            fanout_to(f, sub);
    }
}

/* To members that hold one of the event's permissions, in the channel (slot -1: in the guild). */
static void fanout_holders(struct fanout *f, int slot)
{
    uint64_t needed = event_permissions(f->event->type);
    const struct guild_state *g = f->topic->guild;

    for (unsigned i = 0; i < f->topic->sub_count; i++) {
        struct sub *sub = f->topic->subs[i];
        if (!wants(f, sub))
            continue;
        uint64_t held = slot < 0 ? guild_state_guild_permissions(g, sub->member)
                                 : guild_state_permissions(g, sub->member, (unsigned)slot);
        if (held & needed)
            fanout_to(f, sub);
    }
}

static void fanout_user(struct fanout *f, uint64_t user_id)
{
    for (unsigned i = 0; i < f->topic->sub_count; i++)
        if (f->topic->subs[i]->user_id == user_id && wants(f, f->topic->subs[i]))
            fanout_to(f, f->topic->subs[i]);
}

/* --- visibility ------------------------------------------------------------------------------------------------------
 */
/* CHANNEL_CREATE and CHANNEL_DELETE of one change, each encoded once for all who get it. */
struct shown {
    struct topic *topic;
    struct map created, deleted; /* slot + 1 -> struct encoded */
};

static void shown_end(struct shown *s)
{
    size_t cursor = 0;
    for (struct encoded *e; (e = map_next(&s->created, &cursor));)
        encoded_unref(e);
    cursor = 0;
    for (struct encoded *e; (e = map_next(&s->deleted, &cursor));)
        encoded_unref(e);
    map_done(&s->created);
    map_done(&s->deleted);
}

static void show(struct shown *s, struct sub *sub, unsigned slot, bool visible)
{
    struct map *made = visible ? &s->created : &s->deleted;
    enum event_type type = visible ? EVENT_CHANNEL_CREATE : EVENT_CHANNEL_DELETE;

    if (!session_wants(sub->session, type, true))
        return;
    struct encoded *e = map_get(made, slot + 1);
    if (!e) {
        BUF_AUTO struct buf data = {0};
        guild_state_write_channel(s->topic->guild, slot, &data);
        e = encoded_new(&s->topic->g->log, type, buf_str(&data));
        map_put(made, slot + 1, e);
    }
    session_dispatch(sub->session, e, REDACTION_NONE, s->topic->sub_count > FLUSH_FEW_MAX ? FLUSH_MANY : FLUSH_FEW);
}

static void sub_widen(struct sub *sub, unsigned words)
{
    if (words <= sub->words)
        return;
    uint64_t *wider = mem_zalloc(sizeof *wider * words);
    memcpy(wider, sub->visible, sizeof *wider * sub->words);
    if (sub->visible != &sub->first_word)
        mem_free(sub->visible);
    sub->visible = wider;
    sub->words = words;
}

static void sub_set(struct sub *sub, unsigned slot, bool visible)
{
    uint64_t bit = UINT64_C(1) << (slot % 64);

    sub_widen(sub, slot / 64 + 1);
    sub->visible[slot / 64] = (sub->visible[slot / 64] & ~bit) | (visible ? bit : 0);
}

/* Members with the same roles see the same, unless a channel names them: then they have none to share with. */
struct same_roles {
    const struct state_member *like;
    uint64_t *words;
};

static bool named_by_overwrite(const struct guild_state *g, uint64_t user_id)
{
    for (unsigned i = 0; i < g->channel_cap; i++)
        for (unsigned k = 0; k < g->channels[i].channel.overwrite_count; k++)
            if (g->channels[i].channel.overwrites[k].id == user_id)
                return true;
    return false;
}

static bool roles_equal(const struct state_member *a, const struct state_member *b)
{
    return a->role_count == b->role_count &&
           (!a->role_count || memcmp(a->roles, b->roles, sizeof *a->roles * a->role_count) == 0);
}

static void words_of(const struct guild_state *g, const struct state_member *m, struct same_roles *same)
{
    bool special = m->user_id == g->guild.owner_id || named_by_overwrite(g, m->user_id);

    if (!special && same->like && roles_equal(same->like, m))
        return;
    guild_state_visible_all(g, m, same->words);
    same->like = special ? NULL : m;
}

static void sub_compare(struct shown *s, struct sub *sub, const uint64_t *now, unsigned words)
{
    sub_widen(sub, words);
    for (unsigned w = 0; w < words; w++) {
        uint64_t gained = now[w] & ~sub->visible[w], lost = sub->visible[w] & ~now[w];
        sub->visible[w] = now[w];
        for (; lost; lost &= lost - 1)
            show(s, sub, w * 64 + (unsigned)__builtin_ctzll(lost), false);
        for (; gained; gained &= gained - 1)
            show(s, sub, w * 64 + (unsigned)__builtin_ctzll(gained), true);
    }
}

/* user_id 0: of everybody. */
static void visibility_changed(struct topic *t, uint64_t user_id)
{
    unsigned words = guild_state_words(t->guild);
    struct same_roles same = {.words = mem_zalloc(sizeof(uint64_t) * (words + 1))};
    struct shown s = {.topic = t};

    for (unsigned i = 0; i < t->sub_count; i++) {
        struct sub *sub = t->subs[i];
        if (user_id && sub->user_id != user_id)
            continue;
        words_of(t->guild, sub->member, &same);
        sub_compare(&s, sub, same.words, words);
    }
    shown_end(&s);
    mem_free(same.words);
}

/* --- what each kind of event does ------------------------------------------------------------------------------------
 */
/* New or changed: those who see it now and before get the event as it is. */
static void channel_put(struct fanout *f, unsigned slot)
{
    struct topic *t = f->topic;
    struct shown s = {.topic = t};

    for (unsigned i = 0; i < t->sub_count; i++) {
        struct sub *sub = t->subs[i];
        bool before = sees(sub, slot), now = guild_state_visible(t->guild, sub->member, slot);
        sub_set(sub, slot, now);
        if (before != now)
            show(&s, sub, slot, now);
        else if (now && f->event->type == EVENT_CHANNEL_UPDATE && wants(f, sub))
            fanout_to(f, sub);
    }
    shown_end(&s);
}

static void channel_gone(struct fanout *f, unsigned slot)
{
    voice_channel_gone(f->topic, f->topic->guild->channels[slot].channel.id);
    fanout_slot(f, slot);
    for (unsigned i = 0; i < f->topic->sub_count; i++)
        sub_set(f->topic->subs[i], slot, false);
    guild_state_channel_drop(f->topic->guild, slot);
}

static void sub_leave(struct sub *sub, enum event_type type)
{
    struct session *s = sub->session;
    BUF_AUTO struct buf data = {0};

    payload_guild_delete(&data, sub->topic->id, false);
    topic_sub_remove(sub);
    if (session_wants(s, type, true))
        session_dispatch_own(s, type, &data);
}

/* The member's own sessions leave; everybody else hears of it. user_id 0: all leave. */
static void members_leave(struct topic *t, uint64_t user_id)
{
    for (unsigned i = t->sub_count; i-- > 0;)
        if (!user_id || t->subs[i]->user_id == user_id)
            sub_leave(t->subs[i], EVENT_GUILD_DELETE);
}

static void scoped_channel(struct fanout *f)
{
    int slot = guild_state_slot(f->topic->guild, f->event->channel_id);

    if (slot < 0)
        metric_add(&unseen, 1);
    else if (event_permissions(f->event->type))
        fanout_holders(f, slot); /* without VIEW_CHANNEL nobody holds any */
    else
        fanout_slot(f, (unsigned)slot);
}

static void scoped(struct fanout *f)
{
    switch (event_scope_of(f->event->type)) {
    case EVENT_SCOPE_ALL:
        if (event_permissions(f->event->type))
            fanout_holders(f, -1);
        else
            fanout_all(f);
        break;
    case EVENT_SCOPE_CHANNEL:
        scoped_channel(f);
        break;
    case EVENT_SCOPE_USER:
        fanout_user(f, f->event->user_id);
        break;
    case EVENT_SCOPE_OWN:
    case EVENT_SCOPE_CONTROL:
        break;
    }
}

/* Its sessions here may have left by an older event that came later. */
static void member_joined(const struct topic *t, const struct event *e)
{
    struct topic *user = map_get(&t->g->topics, guild_state_event_user(e));

    for (unsigned i = 0; user && user->is_user && i < user->sub_count; i++)
        if (session_has_guild(user->subs[i]->session, t->id))
            loader_add(user->subs[i]->session, t->id, false);
}

static void guild_event(struct fanout *f)
{
    struct topic *t = f->topic;
    const struct event *e = f->event;
    unsigned slot = 0;
    enum state_change change = guild_state_apply(t->guild, e, &slot);

    switch (change) {
    case STATE_CHANNEL:
        if (e->type == EVENT_CHANNEL_DELETE)
            channel_gone(f, slot);
        else
            channel_put(f, slot);
        break;
    case STATE_GUILD_GONE:
        members_leave(t, 0);
        t->stale = true; /* nothing comes after it */
        break;
    case STATE_MEMBER_GONE:
        members_leave(t, guild_state_event_user(e));
        guild_state_member_drop(t->guild, guild_state_event_user(e));
        fanout_all(f);
        break;
    case STATE_MEMBER:
        fanout_member(f, guild_state_event_user(e));
        visibility_changed(t, guild_state_event_user(e));
        break;
    case STATE_EVERYBODY:
        fanout_all(f);
        visibility_changed(t, 0);
        break;
    case STATE_SAME:
        /* a channel event that could not be applied must not reach those who may not see the channel */
        if (e->type != EVENT_CHANNEL_CREATE && e->type != EVENT_CHANNEL_UPDATE && e->type != EVENT_CHANNEL_DELETE)
            scoped(f);
        break;
    }
    if (e->type == EVENT_GUILD_MEMBER_ADD)
        member_joined(t, e);
    else if (e->type == EVENT_GUILD_MEMBER_UPDATE && e->mention_count)
        presence_profile_changed(t, e);
    else if (e->type == EVENT_GUILD_MEMBER_REMOVE)
        presence_left(t, guild_state_event_user(e));
}

static void control(struct topic *t, const struct event *e)
{
    uint64_t guild_id = json_member_id(e->data, STR("guild_id"));

    for (unsigned i = t->sub_count; guild_id && i-- > 0;) {
        struct session *s = t->subs[i]->session;
        if (!session_has_guild(s, guild_id))
            continue;
        if (e->type == EVENT_CONTROL_GUILD_JOINED) {
            loader_add(s, guild_id, false);
        } else if (e->type == EVENT_CONTROL_GUILD_LEFT) {
            struct topic *guild = map_get(&t->g->topics, guild_id);
            struct sub *sub = guild ? topic_sub_find(guild, s) : NULL;
            if (sub)
                sub_leave(sub, EVENT_GUILD_DELETE);
        }
    }
}

/* What has no guild goes to the first shard, but for what concerns the user itself. Source: "Gateway: Sharding". */
static void user_event(struct fanout *f)
{
    for (unsigned i = 0; i < f->topic->sub_count; i++) {
        struct sub *sub = f->topic->subs[i];
        if (wants(f, sub) && !sub->session->starting &&
            (sub->session->shard == 0 || f->event->type == EVENT_USER_UPDATE))
            fanout_to(f, sub);
    }
}

static int64_t lag_us(const struct event *e)
{
    int64_t ms = clock_wall_ms() - snowflake_ms(e->id);

    return ms > 0 ? ms * 1000 : 0;
}

void dispatch_event(struct topic *t, const struct event *e)
{
    struct fanout f;

    metric_add(&events, 1);
    if (t->recent)
        recent_add(t, e);
    if (event_scope_of(e->type) == EVENT_SCOPE_CONTROL) {
        control(t, e);
        return;
    }
    metric_observe_us(&lag, lag_us(e));
    fanout_begin(&f, t, e);
    if (t->is_user)
        user_event(&f);
    else
        guild_event(&f);
    fanout_end(&f);
}

void dispatch_sub_begin(struct sub *sub)
{
    sub_widen(sub, guild_state_words(sub->topic->guild));
    guild_state_visible_all(sub->topic->guild, sub->member, sub->visible);
}

static bool is_active(const void *topic, uint64_t user_id)
{
    const struct standing *s = ((const struct topic *)topic)->standing;
    const struct entries_user *voice = s ? entries_user(&s->kinds[KV_VOICE], user_id) : NULL;
    const struct entries_user *presence = s ? entries_user(&s->kinds[KV_PRESENCE], user_id) : NULL;

    return (voice && voice->shown) || (presence && presence->shown);
}

void dispatch_voice_state(struct topic *t, uint64_t user_id, uint64_t from, uint64_t to, struct str now,
                          struct str gone)
{
    int from_slot = guild_state_slot(t->guild, from), to_slot = guild_state_slot(t->guild, to);
    struct event e = {.id = snowflake_next(), .topic = t->id, .type = EVENT_VOICE_STATE_UPDATE, .user_id = user_id};
    struct event left = e;
    struct fanout f, g;

    e.data = now;
    left.data = gone;
    fanout_begin(&f, t, &e);
    fanout_begin(&g, t, &left);
    for (unsigned i = 0; i < t->sub_count; i++) {
        struct sub *sub = t->subs[i];
        if (!wants(&f, sub))
            continue;
        if (sub->user_id == user_id || (to_slot >= 0 && sees(sub, (unsigned)to_slot)))
            fanout_to(&f, sub);
        else if (from_slot >= 0 && sees(sub, (unsigned)from_slot))
            fanout_to(&g, sub);
    }
    fanout_end(&f);
    fanout_end(&g);
}

/* Without GUILD_PRESENCES, and of the largest guilds, one is told of itself and of who is in a voice channel, and asks
 * for others with op 8. */
void dispatch_guild_create(struct sub *sub, bool startup)
{
    struct guild_state *g = sub->topic->guild;
    struct session *s = sub->session;
    BUF_AUTO struct buf data = {0};
    bool may_list = (!s->is_bot || sub->intents & INTENT_GUILD_PRESENCES) &&
                    (g->members_complete || g->member_count <= LIMIT_PRESENCE_GUILD_MEMBERS);

    dispatch_sub_begin(sub);
    if (!session_wants(s, EVENT_GUILD_CREATE, true))
        return;
    BUF_AUTO struct buf presences = {0}, voice_states = {0}, voice_members = {0};
    presence_list_write(sub, &presences);
    voice_lists_write(sub, &voice_states, &voice_members);
    struct guild_create_view v = {.self = sub->member,
                                  .visible = sub->visible,
                                  .members = may_list ? MEMBERS_ALL : MEMBERS_SELF,
                                  .large_threshold = s->large_threshold,
                                  .is_active = is_active,
                                  .active_arg = sub->topic,
                                  .members_max = LIMIT_GUILD_ACTIVES,
                                  .presences = buf_str(&presences),
                                  .voice_states = buf_str(&voice_states),
                                  .voice_members = buf_str(&voice_members),
                                  .startup = startup};
    guild_state_write_create(g, &v, &data);
    session_dispatch_own(s, EVENT_GUILD_CREATE, &data);
}

/* --- what a session missed on its way from another node --------------------------------------------------------------
 */
/* Nothing but what tells which one: its name is not for those who never saw it. */
static void channel_forgotten(const struct sub *sub, uint64_t channel_id, int64_t type)
{
    BUF_AUTO struct buf data = {0};

    if (!session_wants(sub->session, EVENT_CHANNEL_DELETE, true))
        return;
    jw_obj(&data);
    jw_kid(&data, "id", channel_id);
    jw_kid(&data, "guild_id", sub->topic->id);
    jw_ki64(&data, "type", type);
    jw_obj_end(&data);
    session_dispatch_own(sub->session, EVENT_CHANNEL_DELETE, &data);
}

/* A change may have made it visible: it is announced once more rather than never. */
static void channel_missed(struct fanout *f, struct sub *sub)
{
    const struct event *e = f->event;
    uint64_t id = json_member_id(e->data, STR("id")), type = 0;
    int slot = guild_state_slot(f->topic->guild, id);
    struct shown s = {.topic = f->topic};

    if (slot < 0 || !sees(sub, (unsigned)slot)) {
        (void)json_u64(json_member(e->data, STR("type")), &type);
        if (e->type != EVENT_CHANNEL_CREATE)
            channel_forgotten(sub, id, (int64_t)type);
        return;
    }
    if (e->type == EVENT_CHANNEL_UPDATE)
        show(&s, sub, (unsigned)slot, true);
    if (e->type != EVENT_CHANNEL_DELETE && wants(f, sub))
        fanout_to(f, sub);
    shown_end(&s);
}

static bool role_held(const struct sub *sub, const struct event *e)
{
    uint64_t id = json_member_id(json_member(e->data, STR("role")), STR("id"));

    for (unsigned i = 0; i < sub->member->role_count; i++)
        if (sub->member->roles[i] == id)
            return true;
    return id == sub->topic->id;
}

static bool guild_missed(struct fanout *f, struct sub *sub)
{
    const struct event *e = f->event;
    bool self = guild_state_event_user(e) == sub->user_id;

    switch (e->type) {
    case EVENT_CHANNEL_CREATE:
    case EVENT_CHANNEL_UPDATE:
    case EVENT_CHANNEL_DELETE:
        channel_missed(f, sub);
        return false;
    case EVENT_GUILD_MEMBER_ADD:
    case EVENT_GUILD_MEMBER_UPDATE:
        fanout_member(f, guild_state_event_user(e));
        return self;
    case EVENT_GUILD_MEMBER_REMOVE: /* its own: the user's topic tells of it */
        if (!self)
            fanout_all(f);
        return false;
    case EVENT_GUILD_ROLE_UPDATE:
    case EVENT_GUILD_ROLE_DELETE:
        fanout_all(f);
        return e->type == EVENT_GUILD_ROLE_DELETE || role_held(sub, e);
    case EVENT_GUILD_UPDATE:
        fanout_all(f);
        return sub->user_id == f->topic->guild->guild.owner_id;
    case EVENT_GUILD_DELETE:
        return false;
    default:
        scoped(f);
        return false;
    }
}

bool dispatch_missed(struct sub *sub, const struct event *e)
{
    struct topic alone = *sub->topic; /* with this sub as its only one */
    struct fanout f;
    bool changed = false;

    if (event_scope_of(e->type) == EVENT_SCOPE_CONTROL)
        return false;
    alone.subs = &sub;
    alone.sub_count = 1;
    fanout_begin(&f, &alone, e);
    if (alone.is_user)
        user_event(&f);
    else
        changed = guild_missed(&f, sub);
    fanout_end(&f);
    return changed;
}

void dispatch_visible(struct sub *sub)
{
    const struct guild_state *g = sub->topic->guild;
    struct shown s = {.topic = sub->topic};

    for (unsigned slot = 0; slot < g->channel_cap; slot++) {
        const struct channel *c = &g->channels[slot].channel;
        if (c->id && sees(sub, slot))
            show(&s, sub, slot, true);
        else if (c->id)
            channel_forgotten(sub, c->id, c->type);
    }
    shown_end(&s);
}
