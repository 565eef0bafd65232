/* The state of one guild: entities in, events applied. Loop thread. How it is written: guild_state_write.c. */
#include "gateway/server/guild_state.h"

#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/base/snowflake.h"
#include "platform/model/permissions.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/json_text.h"

#include <errno.h>

/* An event of before the snapshot comes within this time of it. */
#define COUNTED_KEEP_MS 300000

/* --- owned text ------------------------------------------------------------------------------------------------------
 */
static void text_set(struct str *text, struct buf *b)
{
    mem_free((char *)(uintptr_t)text->p);
    text->p = mem_strndup(b->data, b->len);
    text->n = b->len;
}

static void text_free(struct str *text)
{
    mem_free((char *)(uintptr_t)text->p);
    *text = STR_NONE;
}

/* `object` without some members, as an object of its own. */
static int object_without(struct buf *out, struct str object, const struct str *skip, unsigned count)
{
    buf_addc(out, '{');
    int r = json_members_copy(out, object, skip, count);
    buf_addc(out, '}');
    return buf_failed(out) ? -EINVAL : r;
}

struct ids {
    uint64_t *ids;
    unsigned count, cap;
};

static int id_element(struct str value, void *arg)
{
    struct ids *l = arg;

    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 4;
        l->ids = mem_realloc(l->ids, sizeof *l->ids * l->cap);
    }
    return json_id(value, &l->ids[l->count++]);
}

/* --- the guild -------------------------------------------------------------------------------------------------------
 */
struct guild_state *guild_state_new(uint64_t id)
{
    struct guild_state *s = MEM_NEW(struct guild_state);

    s->id = s->guild.id = id;
    return s;
}

static void member_free(struct state_member *m)
{
    text_free(&m->json);
    mem_free(m->roles);
    mem_free(m);
}

void guild_state_free(struct guild_state *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->channel_cap; i++) {
        text_free(&s->channels[i].json);
        mem_free(s->channels[i].channel.overwrites);
    }
    for (unsigned i = 0; i < s->role_count; i++)
        text_free(&s->role_jsons[i]);
    size_t cursor = 0;
    for (struct state_member *m; (m = map_next(&s->members, &cursor));)
        member_free(m);
    mem_free(s->channels);
    mem_free(s->roles);
    mem_free(s->role_jsons);
    map_done(&s->channel_slots);
    map_done(&s->members);
    map_done(&s->touched);
    map_done(&s->counted);
    text_free(&s->json);
    mem_free(s);
}

/* What GUILD_CREATE writes from elsewhere, or what does not belong to everybody. */
static const struct str guild_skip[] = {
    {"roles", 5},
    {"channels", 8},
    {"members", 7},
    {"threads", 7},
    {"presences", 9},
    {"voice_states", 12},
    {"joined_at", 9},
    {"large", 5},
    {"unavailable", 11},
    {"owner", 5},
    {"permissions", 11},
    {"member_count", 12},
    {"stage_instances", 15},
    {"guild_scheduled_events", 22},
    {"soundboard_sounds", 17},
    {"approximate_member_count", 24},
    {"approximate_presence_count", 26},
};

static enum state_change guild_put(struct guild_state *s, struct str json)
{
    uint64_t owner = json_member_id(json, STR("owner_id"));
    BUF_AUTO struct buf text = {0};

    if (!owner || object_without(&text, json, guild_skip, sizeof guild_skip / sizeof *guild_skip) < 0)
        return STATE_SAME;
    text_set(&s->json, &text);
    bool same_owner = s->guild.owner_id == owner;
    s->guild.owner_id = owner;
    return same_owner ? STATE_SAME : STATE_EVERYBODY;
}

/* --- roles -----------------------------------------------------------------------------------------------------------
 */
static int role_index(const struct guild_state *s, uint64_t id)
{
    for (unsigned i = 0; i < s->role_count; i++)
        if (s->roles[i].id == id)
            return (int)i;
    return -1;
}

static unsigned role_add(struct guild_state *s, uint64_t id)
{
    if (s->role_count == s->role_cap) {
        s->role_cap = s->role_cap ? s->role_cap * 2 : 4;
        s->roles = mem_realloc(s->roles, sizeof *s->roles * s->role_cap);
        s->role_jsons = mem_realloc(s->role_jsons, sizeof *s->role_jsons * s->role_cap);
    }
    s->roles[s->role_count] = (struct role){.id = id, .guild_id = s->id};
    s->role_jsons[s->role_count] = STR_NONE;
    return s->role_count++;
}

static enum state_change role_put(struct guild_state *s, struct str json)
{
    uint64_t id = json_member_id(json, STR("id")), permissions;
    BUF_AUTO struct buf text = {0};

    if (!id || json_u64(json_member(json, STR("permissions")), &permissions) < 0 ||
        object_without(&text, json, NULL, 0) < 0)
        return STATE_SAME;
    int at = role_index(s, id);
    unsigned i = at < 0 ? role_add(s, id) : (unsigned)at;
    bool same = s->roles[i].permissions == permissions;
    s->roles[i].permissions = permissions;
    text_set(&s->role_jsons[i], &text);
    return same ? STATE_SAME : STATE_EVERYBODY;
}

static void member_role_drop(struct state_member *m, uint64_t role_id)
{
    for (unsigned i = 0; i < m->role_count; i++)
        if (m->roles[i] == role_id) {
            memmove(&m->roles[i], &m->roles[i + 1], sizeof *m->roles * (m->role_count - i - 1));
            m->role_count--;
            return;
        }
}

struct other_roles {
    struct buf *out;
    uint64_t dropped;
};

static int role_other(struct str value, void *arg)
{
    struct other_roles *o = arg;
    uint64_t id;

    if (json_id(value, &id) != 0 || id != o->dropped)
        jw_raw(o->out, value);
    return 0;
}

/* A deleted role leaves its members without an event for each of them. */
static void member_json_role_drop(struct state_member *m, uint64_t role_id)
{
    const struct str skip = STR("roles");
    BUF_AUTO struct buf text = {0};
    struct other_roles others = {&text, role_id};

    jw_obj(&text);
    jw_karr(&text, "roles");
    json_elements_scan(json_member(m->json, skip), role_other, &others);
    jw_arr_end(&text);
    json_members_copy(&text, m->json, &skip, 1);
    jw_obj_end(&text);
    if (!buf_failed(&text))
        text_set(&m->json, &text);
}

static enum state_change role_delete(struct guild_state *s, uint64_t id)
{
    int at = role_index(s, id);

    if (at < 0 || id == s->id)
        return STATE_SAME;
    unsigned i = (unsigned)at, after = s->role_count - i - 1;
    text_free(&s->role_jsons[i]);
    memmove(&s->roles[i], &s->roles[i + 1], sizeof *s->roles * after);
    memmove(&s->role_jsons[i], &s->role_jsons[i + 1], sizeof *s->role_jsons * after);
    s->role_count--;
    size_t cursor = 0;
    for (struct state_member *m; (m = map_next(&s->members, &cursor));) {
        unsigned before = m->role_count;
        member_role_drop(m, id);
        if (m->role_count != before)
            member_json_role_drop(m, id);
    }
    return STATE_EVERYBODY;
}

/* --- channels --------------------------------------------------------------------------------------------------------
 */
int guild_state_slot(const struct guild_state *s, uint64_t channel_id)
{
    return (int)(intptr_t)map_get(&s->channel_slots, channel_id) - 1;
}

static unsigned channel_slot_take(struct guild_state *s, uint64_t id)
{
    unsigned slot = 0;

    while (slot < s->channel_cap && s->channels[slot].channel.id)
        slot++;
    if (slot == s->channel_cap) {
        unsigned cap = s->channel_cap ? s->channel_cap * 2 : 8;
        s->channels = mem_realloc(s->channels, sizeof *s->channels * cap);
        memset(s->channels + s->channel_cap, 0, sizeof *s->channels * (cap - s->channel_cap));
        s->channel_cap = cap;
    }
    s->channels[slot].channel.id = id;
    s->channel_count++;
    map_put(&s->channel_slots, id, (void *)(intptr_t)(slot + 1));
    return slot;
}

struct overwrites {
    struct overwrite *list;
    unsigned count, cap;
};

static int overwrite_element(struct str value, void *arg)
{
    struct overwrites *l = arg;
    uint64_t type;

    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 4;
        l->list = mem_realloc(l->list, sizeof *l->list * l->cap);
    }
    struct overwrite *o = &l->list[l->count++];
    if (json_id(json_member(value, STR("id")), &o->id) < 0 || json_u64(json_member(value, STR("type")), &type) < 0 ||
        json_u64(json_member(value, STR("allow")), &o->allow) < 0 ||
        json_u64(json_member(value, STR("deny")), &o->deny) < 0)
        return -EINVAL;
    o->type = (int)type;
    return 0;
}

static int channel_put(struct guild_state *s, struct str json)
{
    static const struct str skip = {"last_message_id", 15};
    uint64_t id = json_member_id(json, STR("id")), type;
    struct overwrites list = {0};
    struct str overwrites = json_member(json, STR("permission_overwrites"));
    struct str last = json_member(json, STR("last_message_id"));
    BUF_AUTO struct buf text = {0};

    if (!id || json_u64(json_member(json, STR("type")), &type) < 0 ||
        (overwrites.n && json_elements_scan(overwrites, overwrite_element, &list) < 0) ||
        object_without(&text, json, &skip, 1) < 0) {
        mem_free(list.list);
        return -EINVAL;
    }
    int at = guild_state_slot(s, id);
    unsigned slot = at < 0 ? channel_slot_take(s, id) : (unsigned)at;
    struct state_channel *c = &s->channels[slot];
    mem_free(c->channel.overwrites);
    c->channel.guild_id = s->id;
    c->channel.type = (enum channel_type)type;
    c->channel.overwrites = list.list;
    c->channel.overwrite_count = list.count;
    c->has_last_message = last.n > 0;
    uint64_t last_id;
    /* what MESSAGE_CREATEs told may be newer than what the API read */
    if (json_id(last, &last_id) == 0 && last_id > c->last_message_id)
        c->last_message_id = last_id;
    text_set(&c->json, &text);
    return (int)slot;
}

void guild_state_channel_drop(struct guild_state *s, unsigned slot)
{
    struct state_channel *c = &s->channels[slot];

    CHECK(slot < s->channel_cap && c->channel.id);
    map_del(&s->channel_slots, c->channel.id);
    mem_free(c->channel.overwrites);
    text_free(&c->json);
    *c = (struct state_channel){0};
    s->channel_count--;
}

static void last_message(struct guild_state *s, uint64_t channel_id, uint64_t message_id)
{
    int slot = guild_state_slot(s, channel_id);

    if (slot >= 0 && message_id > s->channels[slot].last_message_id)
        s->channels[slot].last_message_id = message_id;
}

/* --- members ---------------------------------------------------------------------------------------------------------
 */
struct state_member *guild_state_member(const struct guild_state *s, uint64_t user_id)
{
    return map_get(&s->members, user_id);
}

static struct state_member *member_put(struct guild_state *s, uint64_t user_id, struct str json)
{
    static const struct str skip = {"guild_id", 8};
    struct ids roles = {0};
    BUF_AUTO struct buf text = {0};

    if (json_elements_scan(json_member(json, STR("roles")), id_element, &roles) < 0 ||
        object_without(&text, json, &skip, 1) < 0) {
        mem_free(roles.ids);
        return NULL;
    }
    struct state_member *m = guild_state_member(s, user_id);
    if (!m) {
        m = MEM_NEW(struct state_member);
        m->user_id = user_id;
        map_put(&s->members, user_id, m);
    }
    mem_free(m->roles);
    m->roles = roles.ids;
    m->role_count = roles.count;
    text_set(&m->json, &text);
    return m;
}

void guild_state_member_drop(struct guild_state *s, uint64_t user_id)
{
    struct state_member *m = map_del(&s->members, user_id);

    if (m)
        member_free(m);
}

static uint64_t member_user(struct str json)
{
    return json_member_id(json_member(json, STR("user")), STR("id"));
}

uint64_t guild_state_event_user(const struct event *e)
{
    return member_user(e->data);
}

static void touch(struct guild_state *s, uint64_t user_id)
{
    if (s->loading_members)
        map_put(&s->touched, user_id, s);
}

/* Nobody asks for a member that has no session here, unless many are kept. */
static bool is_kept(const struct guild_state *s, uint64_t user_id)
{
    return s->members_complete || s->loading_members || guild_state_member(s, user_id) ||
           (s->members_active && s->members.count < 2 * LIMIT_GUILD_ACTIVES);
}

/* Whether an event changes the count does not depend on whom the map holds: a member may be read from the store before
 * the event that tells of it comes. */
static void count_change(struct guild_state *s, const struct event *e, int by)
{
    if (s->counted.count && (int64_t)snowflake_ms(e->id) > s->loaded_ms + COUNTED_KEEP_MS)
        map_done(&s->counted);
    if (!map_get(&s->counted, e->id) && s->member_count + by >= 0)
        s->member_count += by;
}

static enum state_change member_add(struct guild_state *s, const struct event *e)
{
    uint64_t user_id = member_user(e->data);

    if (!user_id)
        return STATE_SAME;
    touch(s, user_id);
    count_change(s, e, 1);
    if (!is_kept(s, user_id) || !member_put(s, user_id, e->data))
        return STATE_SAME;
    if (s->members_complete && s->members.count > LIMIT_GUILD_MEMBERS_KEPT)
        guild_state_members_forget(s);
    return STATE_MEMBER;
}

static enum state_change member_update(struct guild_state *s, struct str json)
{
    uint64_t user_id = member_user(json);

    if (!user_id)
        return STATE_SAME;
    touch(s, user_id);
    return is_kept(s, user_id) && member_put(s, user_id, json) ? STATE_MEMBER : STATE_SAME;
}

static enum state_change member_remove(struct guild_state *s, const struct event *e)
{
    uint64_t user_id = member_user(e->data);

    if (!user_id)
        return STATE_SAME;
    touch(s, user_id);
    count_change(s, e, -1);
    struct state_member *m = guild_state_member(s, user_id);
    if (m && m->sessions)
        return STATE_MEMBER_GONE;
    guild_state_member_drop(s, user_id);
    return STATE_SAME;
}

void guild_state_members_begin(struct guild_state *s)
{
    s->loading_members = true;
    map_done(&s->touched);
}

void guild_state_member_put(struct guild_state *s, const struct member *m)
{
    BUF_AUTO struct buf json = {0};

    if (map_get(&s->touched, m->user.id))
        return;
    member_write(&json, m, true);
    if (!buf_failed(&json))
        member_put(s, m->user.id, buf_str(&json));
}

void guild_state_members_end(struct guild_state *s, bool complete)
{
    s->loading_members = false;
    map_done(&s->touched);
    s->members_complete = complete;
    s->members_active &= !complete;
}

void guild_state_members_forget(struct guild_state *s)
{
    size_t cursor = 0;

    s->members_complete = s->members_active = false;
    for (struct state_member *m; (m = map_next(&s->members, &cursor));)
        if (!m->sessions)
            guild_state_member_drop(s, m->user_id);
}

/* --- loading and applying --------------------------------------------------------------------------------------------
 */
void guild_state_load(struct guild_state *s, const struct guild_snapshot *snap)
{
    BUF_AUTO struct buf json = {0};

    guild_write(&json, &snap->guild, NULL, 0, false);
    guild_put(s, buf_str(&json));
    s->member_count = snap->guild.member_count;
    s->loaded_ms = clock_wall_ms();
    for (unsigned i = 0; i < snap->counted_count; i++)
        map_put(&s->counted, snap->counted[i], s);
    for (unsigned i = 0; i < snap->role_count; i++) {
        buf_clear(&json);
        role_write(&json, &snap->roles[i]);
        role_put(s, buf_str(&json));
    }
    for (unsigned i = 0; i < snap->channel_count; i++) {
        buf_clear(&json);
        channel_write(&json, &snap->channels[i]);
        channel_put(s, buf_str(&json));
    }
    for (unsigned i = 0; i < snap->member_count; i++)
        guild_state_member_put(s, &snap->members[i]);
    s->members_complete = snap->member_count == (unsigned)snap->guild.member_count;
}

static enum state_change channel_event(struct guild_state *s, struct str json, unsigned *ret_slot)
{
    int slot = channel_put(s, json);

    if (slot < 0)
        return STATE_SAME;
    *ret_slot = (unsigned)slot;
    return STATE_CHANNEL;
}

static enum state_change channel_gone(const struct guild_state *s, const struct event *e, unsigned *ret_slot)
{
    int slot = guild_state_slot(s, e->channel_id ? e->channel_id : json_member_id(e->data, STR("id")));

    if (slot < 0)
        return STATE_SAME;
    *ret_slot = (unsigned)slot;
    return STATE_CHANNEL;
}

enum state_change guild_state_apply(struct guild_state *s, const struct event *e, unsigned *ret_slot)
{
    switch (e->type) {
    case EVENT_GUILD_UPDATE:
        return guild_put(s, e->data);
    case EVENT_GUILD_DELETE:
        return STATE_GUILD_GONE;
    case EVENT_GUILD_ROLE_CREATE:
    case EVENT_GUILD_ROLE_UPDATE:
        return role_put(s, json_member(e->data, STR("role")));
    case EVENT_GUILD_ROLE_DELETE:
        return role_delete(s, json_member_id(e->data, STR("role_id")));
    case EVENT_CHANNEL_CREATE:
    case EVENT_CHANNEL_UPDATE:
        return channel_event(s, e->data, ret_slot);
    case EVENT_CHANNEL_DELETE:
        return channel_gone(s, e, ret_slot);
    case EVENT_GUILD_MEMBER_ADD:
        return member_add(s, e);
    case EVENT_GUILD_MEMBER_UPDATE:
        return member_update(s, e->data);
    case EVENT_GUILD_MEMBER_REMOVE:
        return member_remove(s, e);
    case EVENT_MESSAGE_CREATE:
        last_message(s, e->channel_id, json_member_id(e->data, STR("id")));
        return STATE_SAME;
    default:
        return STATE_SAME;
    }
}

/* --- visibility ------------------------------------------------------------------------------------------------------
 */
uint64_t guild_state_guild_permissions(const struct guild_state *s, const struct state_member *m)
{
    return permissions_in_guild(&s->guild, s->roles, s->role_count, m->user_id, m->roles, m->role_count);
}

uint64_t guild_state_permissions(const struct guild_state *s, const struct state_member *m, unsigned slot)
{
    uint64_t in_guild = guild_state_guild_permissions(s, m);

    return permissions_in_channel(in_guild, s->id, &s->channels[slot].channel, m->user_id, m->roles, m->role_count);
}

bool guild_state_visible(const struct guild_state *s, const struct state_member *m, unsigned slot)
{
    return guild_state_permissions(s, m, slot) & PERMISSION_VIEW_CHANNEL;
}

void guild_state_visible_all(const struct guild_state *s, const struct state_member *m, uint64_t *ret_words)
{
    uint64_t in_guild = guild_state_guild_permissions(s, m);

    memset(ret_words, 0, sizeof *ret_words * guild_state_words(s));
    for (unsigned i = 0; i < s->channel_cap; i++) {
        const struct channel *c = &s->channels[i].channel;
        if (c->id &&
            permissions_in_channel(in_guild, s->id, c, m->user_id, m->roles, m->role_count) & PERMISSION_VIEW_CHANNEL)
            ret_words[i / 64] |= UINT64_C(1) << (i % 64);
    }
}
