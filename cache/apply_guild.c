/* How dispatches change a guild and what belongs to it as a whole. Loop thread. */
#include "cache/apply.h"

#include "platform/base/limits.h"
#include "platform/protocol/envelope.h"

/* Arrays of a GUILD_CREATE that are kept in keys of their own, or not at all. */
static bool is_apart(struct str key)
{
    static const char *const names[] = {"channels",
                                        "roles",
                                        "members",
                                        "threads",
                                        "presences",
                                        "voice_states",
                                        "stage_instances",
                                        "emojis",
                                        "stickers",
                                        "soundboard_sounds",
                                        "guild_scheduled_events"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_eq(key, str_c(names[i])))
            return true;
    return false;
}

static int guild_field(struct str key, struct str value, void *arg)
{
    struct put *p = arg;
    struct cache_writer *w = p->c->w;

    if (is_apart(key) || (w->o.selection && !cache_selection_has(w->o.selection, CACHE_GUILDS, key)))
        return 0;
    batch_set(&w->batch, p->key, key, value);
    metric_add(w->written[CACHE_GUILDS], (int64_t)(key.n + value.n));
    return 0;
}

static void guild_fields(struct call *c)
{
    if (!apply_keeps(c->w, CACHE_GUILDS))
        return;
    struct put p = apply_put_begin(c, CACHE_GUILDS);
    json_members_scan(c->data, guild_field, &p);
}

/* Which guilds there are. */
static void guild_list(struct call *c, const char *command)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key_guilds(&key, c->w->o.application);
    apply_plain(c, 3, (struct str[]){str_c(command), buf_str(&key), batch_id(&c->w->batch, c->guild)});
}

static bool has_own_key(unsigned e)
{
    return !cache_entity_in_parts((enum cache_entity)e) && e != CACHE_USERS;
}

/* It may have been on. */
static void switched_off_drop(struct call *c)
{
    struct batch *b = &c->w->batch;

    for (unsigned e = 0; e < CACHE_ENTITY_COUNT; e++)
        if (has_own_key(e) && !apply_keeps(c->w, (enum cache_entity)e))
            batch_drop(b, batch_key(b, (enum cache_entity)e));
}

void apply_guild_wipe(struct call *c)
{
    struct batch *b = &c->w->batch;

    batch_parts_drop(b);
    for (unsigned e = 0; e < CACHE_ENTITY_COUNT; e++)
        if (has_own_key(e))
            batch_drop(b, batch_key(b, (enum cache_entity)e));
}

static void outage(struct call *c)
{
    struct batch *b = &c->w->batch;

    if (apply_keeps(c->w, CACHE_GUILDS))
        batch_set_where(b, batch_key(b, CACHE_GUILDS), STR("id"), STR("unavailable"), STR("true"));
}

struct ids {
    struct batch *b;
    struct str *at;
    int count;
};

static int ids_count(struct str value, void *arg)
{
    (void)value;
    ((struct ids *)arg)->count++;
    return 0;
}

static int ids_add(struct str value, void *arg)
{
    struct ids *ids = arg;

    ids->at[ids->count++] = batch_id(ids->b, apply_id_of(apply_member_of(value, "id")));
    return 0;
}

static struct ids ids_of(struct call *c, struct str array)
{
    struct ids ids = {.b = &c->w->batch};

    json_elements_scan(array, ids_count, &ids);
    ids.at = ARENA_ARRAY(&ids.b->arena, struct str, (size_t)ids.count + 1);
    ids.count = 0;
    json_elements_scan(array, ids_add, &ids);
    return ids;
}

static void channels_replace(struct call *c)
{
    if (c->f.channels.n == 0 || !apply_keeps(c->w, CACHE_CHANNELS)) {
        batch_threads_drop(&c->w->batch, batch_key(&c->w->batch, CACHE_THREADS), NULL, 0);
    } else {
        struct ids channels = ids_of(c, c->f.channels), threads = ids_of(c, c->f.threads);
        batch_channels_replace(&c->w->batch, channels.at, channels.count, threads.at, threads.count);
    }
    apply_channels_put(c, c->f.channels);
    apply_threads_put(c, c->f.threads);
}

static int elements_count(struct str value, void *arg)
{
    (void)value;
    ++*(uint64_t *)arg;
    return 0;
}

/* Of a large guild GUILD_CREATE names only some of the members: the others stay while the session goes on, because
 * nothing was missed. */
static void people_replace(struct call *c)
{
    struct batch *b = &c->w->batch;
    uint64_t named = 0, members = 0;

    json_elements_scan(c->f.members, elements_count, &named);
    str_to_u64(c->f.member_count, &members);
    bool all = named >= members && !apply_is_true(c->f.large);
    (all ? batch_drop : batch_drop_missed)(b, batch_key(b, CACHE_MEMBERS));
    (all ? batch_drop : batch_drop_missed)(b, batch_key(b, CACHE_PRESENCES));
    batch_drop(b, batch_key(b, CACHE_VOICE_STATES));
    apply_members_put(c, c->f.members);
    apply_presences_put(c, c->f.presences);
    apply_voice_states_put(c, c->f.voice_states);
}

/* What it carries takes the place of what was there. Messages are not in it: they stay, but for those of channels that
 * are gone. */
void apply_guild_create(struct call *c)
{
    struct batch *b = &c->w->batch;

    if (apply_is_true(c->f.unavailable)) {
        outage(c);
        return;
    }
    guild_list(c, "SADD");
    batch_version_keep(b, 0);
    switched_off_drop(c);
    batch_drop(b, batch_key(b, CACHE_GUILDS));
    guild_fields(c);
    channels_replace(c);
    apply_replace_all(c, CACHE_ROLES, c->f.roles);
    apply_replace_all(c, CACHE_EMOJIS, c->f.emojis);
    apply_replace_all(c, CACHE_STICKERS, c->f.stickers);
    apply_replace_all(c, CACHE_SOUNDS, c->f.soundboard_sounds);
    apply_replace_all(c, CACHE_STAGES, c->f.stage_instances);
    apply_replace_all(c, CACHE_EVENTS, c->f.guild_scheduled_events);
    people_replace(c);
}

void apply_guild_update(struct call *c)
{
    guild_fields(c);
    apply_replace_all(c, CACHE_ROLES, c->f.roles);
    apply_replace_all(c, CACHE_EMOJIS, c->f.emojis);
    apply_replace_all(c, CACHE_STICKERS, c->f.stickers);
}

/* Left, removed, or deleted; in an outage it comes back. The version stays for a while, against older events. */
void apply_guild_delete(struct call *c)
{
    struct batch *b = &c->w->batch;

    if (apply_is_true(c->f.unavailable)) {
        outage(c);
        return;
    }
    guild_list(c, "SREM");
    batch_ids(b, batch_key(b, CACHE_CHANNELS));
    batch_ids(b, batch_key(b, CACHE_THREADS));
    apply_guild_wipe(c);
    batch_version_keep(b, LIMIT_CACHE_GONE_TTL_S);
}

void apply_role_put(struct call *c)
{
    apply_put_one(c, CACHE_ROLES, c->f.role);
}

void apply_role_delete(struct call *c)
{
    apply_del_one(c, CACHE_ROLES, apply_id_of(c->f.role_id));
}

void apply_emojis_replace(struct call *c)
{
    apply_replace_all(c, CACHE_EMOJIS, c->f.emojis);
}

void apply_stickers_replace(struct call *c)
{
    apply_replace_all(c, CACHE_STICKERS, c->f.stickers);
}

void apply_sound_put(struct call *c)
{
    apply_put_one(c, CACHE_SOUNDS, c->data);
}

void apply_sound_delete(struct call *c)
{
    apply_del_one(c, CACHE_SOUNDS, apply_id_of(c->f.sound_id));
}

/* "Multiple sounds are updated": those that it does not name stay. */
void apply_sounds_put(struct call *c)
{
    if (!apply_keeps(c->w, CACHE_SOUNDS))
        return;
    struct put p = apply_put_begin(c, CACHE_SOUNDS);
    json_elements_scan(c->f.soundboard_sounds, apply_put_by_id, &p);
}

void apply_sounds_replace(struct call *c)
{
    apply_replace_all(c, CACHE_SOUNDS, c->f.soundboard_sounds);
}

void apply_stage_put(struct call *c)
{
    apply_put_one(c, CACHE_STAGES, c->data);
}

void apply_stage_delete(struct call *c)
{
    apply_del_one(c, CACHE_STAGES, apply_id_of(c->f.id));
}

void apply_event_put(struct call *c)
{
    apply_put_one(c, CACHE_EVENTS, c->data);
}

void apply_event_delete(struct call *c)
{
    apply_del_one(c, CACHE_EVENTS, apply_id_of(c->f.id));
}
