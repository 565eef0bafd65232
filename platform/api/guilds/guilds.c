/* Guilds: make, read, change, delete. Coroutine. Source: Discord API documentation, "Guild". */
#include "platform/api/guilds/guilds.h"
#include "platform/api/counts.h"
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/audit.h"
#include "platform/api/handlers.h"
#include "platform/api/images.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"

#include <jansson.h>
#include <stdlib.h>

/* A new guild's channels: each after its category. */
static const struct {
    const char *name;
    enum channel_type type;
    int parent; /* index here; -1: none */
} first_channels[] = {
    {"Text Channels", CHANNEL_GUILD_CATEGORY, -1},
    {"Voice Channels", CHANNEL_GUILD_CATEGORY, -1},
    {"general", CHANNEL_GUILD_TEXT, 0},
    {"General", CHANNEL_GUILD_VOICE, 1},
};
#define FIRST_CHANNELS 4

static void first_channels_make(struct commit *c, struct guild *g)
{
    uint64_t ids[FIRST_CHANNELS];

    for (int i = 0; i < FIRST_CHANNELS; i++) {
        ids[i] = snowflake_next();
        struct channel ch = {.id = ids[i],
                             .guild_id = g->id,
                             .type = first_channels[i].type,
                             .name = str_c(first_channels[i].name),
                             .position = first_channels[i].parent < 0 ? i : 0,
                             .parent_id = first_channels[i].parent < 0 ? 0 : ids[first_channels[i].parent]};
        store_channel_insert(c, &ch);
        if (ch.type == CHANNEL_GUILD_TEXT)
            g->system_channel_id = ch.id;
    }
}

static void levels_read(struct api_ctx *x, struct guild *g)
{
    int64_t seconds;

    (void)form_i64(x, "verification_level", FORM_NULLABLE, 0, 4, &g->verification_level);
    (void)form_i64(x, "default_message_notifications", FORM_NULLABLE, 0, 1, &g->default_message_notifications);
    (void)form_i64(x, "explicit_content_filter", FORM_NULLABLE, 0, 2, &g->explicit_content_filter);
    (void)form_i64(x, "system_channel_flags", FORM_OPTIONAL, 0, 63, &g->system_channel_flags);
    (void)form_bool(x, "premium_progress_bar_enabled", FORM_OPTIONAL, &g->premium_progress_bar_enabled);
    if (!form_i64(x, "afk_timeout", FORM_OPTIONAL, 60, 3600, &seconds))
        return;
    if (seconds == 60 || seconds == 300 || seconds == 900 || seconds == 1800 || seconds == 3600)
        g->afk_timeout = seconds;
    else
        form_error(x, "afk_timeout", "BASE_TYPE_CHOICES", "Value must be one of (60, 300, 900, 1800, 3600).");
}

enum api_error guild_create(struct api_ctx *x)
{
    struct guild g = {.id = snowflake_next(), .owner_id = x->user_id, .afk_timeout = 300, .member_count = 1};
    struct role everyone = {
        .id = g.id, .guild_id = g.id, .name = STR("@everyone"), .permissions = PERMISSIONS_EVERYONE_DEFAULT};
    struct member owner = {.guild_id = g.id, .joined_ms = clock_wall_ms()};
    enum api_error e = API_OK;
    uint64_t *mine;
    unsigned count;
    struct commit c, channels;

    (void)form_str(x, "name", FORM_REQUIRED, 2, 100, &g.name);
    levels_read(x, &g);
    if (form_result(x) == API_OK)
        (void)image_read(x, "icon", "icons", g.id, &g.icon, &e);
    if (e != API_OK || form_result(x) != API_OK)
        return e != API_OK ? e : form_result(x);
    int r = store_user_guild_ids(x->ports->db, x->arena, x->user_id, &mine, &count);
    if (r == 0)
        r = store_user_get(x->ports->db, x->arena, x->user_id, &owner.user);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_USER);
    if (count >= LIMIT_GUILDS_OF_USER)
        return API_ERROR_MAX_GUILDS;

    /* The guild's row comes first and names a channel that is made after it. */
    commit_init(&channels, x->arena);
    first_channels_make(&channels, &g);
    commit_init(&c, x->arena);
    store_guild_insert(&c, &g);
    for (unsigned i = 0; i < channels.stmt_count; i++)
        *commit_stmt(&c, channels.stmts[i].text) = channels.stmts[i];
    store_role_insert(&c, &everyone);
    store_member_insert(&c, &owner);
    events_guild_control(&c, EVENT_CONTROL_GUILD_JOINED, x->user_id, g.id);
    e = api_commit(x, &c, API_ERROR_UNKNOWN_USER);
    if (e != API_OK)
        return e;
    x->res->status = 201;
    guild_write(api_out(x), &g, &everyone, 1, false);
    return API_OK;
}

enum api_error guild_get(struct api_ctx *x)
{
    struct api_access access;
    bool with_counts = false;
    enum api_error e = api_access_guild(x, x->ids[0], 0, &access);

    (void)query_bool(x, "with_counts", &with_counts);
    if (e == API_OK && with_counts)
        api_presence_count(x, &access.snap.guild);
    if (e == API_OK)
        guild_write(api_out(x), &access.snap.guild, access.snap.roles, access.snap.role_count, with_counts);
    return e;
}

/* A channel of this guild, of one of two types (-1: any). */
static void channel_of_guild(struct api_ctx *x, const char *key, const struct guild *g, int type, uint64_t *ret)
{
    uint64_t id = 0;
    struct channel ch;

    if (!form_id(x, key, FORM_NULLABLE, &id))
        return;
    if (id && (store_channel_get(x->ports->db, x->arena, id, &ch) < 0 || ch.guild_id != g->id ||
               (type >= 0 && (int)ch.type != type))) {
        form_error(x, key, "CHANNEL_INVALID", "Value must be a channel of this guild of a fitting type.");
        return;
    }
    *ret = id;
}

/* Features that a guild's own people switch; all others stay as they are. */
static bool is_switchable(const char *feature)
{
    static const char *const switchable[] = {"COMMUNITY", "DISCOVERABLE", "INVITES_DISABLED", "RAID_ALERTS_DISABLED"};

    for (size_t i = 0; i < sizeof switchable / sizeof *switchable; i++)
        if (strcmp(feature, switchable[i]) == 0)
            return true;
    return false;
}

static bool list_has(const json_t *list, const char *text)
{
    size_t i;
    json_t *v;

    json_array_foreach(list, i, v) if (json_is_string(v) && strcmp(json_string_value(v), text) == 0) return true;
    return false;
}

static void features_read(struct api_ctx *x, struct guild *g)
{
    json_t *given = form_array(x, "features", FORM_OPTIONAL, 100), *v;
    json_t *old = json_loadb(g->features_json.p ? g->features_json.p : "[]",
                             g->features_json.p ? g->features_json.n : 2, 0, NULL);
    json_t *kept = json_array();
    size_t i;

    json_array_foreach(old, i, v) if (!is_switchable(json_string_value(v))) json_array_append(kept, v);
    json_array_foreach(given, i, v) if (json_is_string(v) && is_switchable(json_string_value(v)) &&
                                        !list_has(kept, json_string_value(v))) json_array_append(kept, v);
    if (given) {
        char *text = json_dumps(kept, JSON_COMPACT);
        g->features_json = arena_str(x->arena, str_c(text ? text : "[]"));
        free(text);
    }
    json_decref(old);
    json_decref(kept);
}

/* Only the owner hands a guild over, to a person among its members. */
static enum api_error owner_read(struct api_ctx *x, struct guild *g)
{
    struct member m;
    uint64_t id = 0;

    if (!form_id(x, "owner_id", FORM_OPTIONAL, &id) || id == g->owner_id)
        return API_OK;
    if (g->owner_id != x->user_id)
        return API_ERROR_MISSING_PERMISSIONS;
    enum api_error e = api_member_get(x, g->id, id, &m);
    if (e == API_OK && m.user.bot)
        e = API_ERROR_BOTS_CANNOT_USE;
    if (e == API_OK)
        g->owner_id = id;
    return e;
}

static enum api_error guild_read(struct api_ctx *x, struct guild *g)
{
    enum api_error e = API_OK;

    (void)form_str(x, "name", FORM_OPTIONAL, 2, 100, &g->name);
    (void)form_str(x, "description", FORM_NULLABLE, 0, 300, &g->description);
    if (form_str(x, "preferred_locale", FORM_NULLABLE, 0, 16, &g->preferred_locale) && !g->preferred_locale.n)
        g->preferred_locale = STR("en-US");
    levels_read(x, g);
    features_read(x, g);
    channel_of_guild(x, "afk_channel_id", g, CHANNEL_GUILD_VOICE, &g->afk_channel_id);
    channel_of_guild(x, "system_channel_id", g, CHANNEL_GUILD_TEXT, &g->system_channel_id);
    channel_of_guild(x, "rules_channel_id", g, CHANNEL_GUILD_TEXT, &g->rules_channel_id);
    channel_of_guild(x, "public_updates_channel_id", g, CHANNEL_GUILD_TEXT, &g->public_updates_channel_id);
    if (form_result(x) == API_OK)
        (void)image_read(x, "icon", "icons", g->id, &g->icon, &e);
    if (e == API_OK && form_result(x) == API_OK)
        (void)image_read(x, "banner", "banners", g->id, &g->banner, &e);
    if (e == API_OK && form_result(x) == API_OK)
        (void)image_read(x, "splash", "splashes", g->id, &g->splash, &e);
    if (e == API_OK)
        e = form_result(x);
    return e == API_OK ? owner_read(x, g) : e;
}

enum api_error guild_modify(struct api_ctx *x)
{
    struct api_access access;
    struct commit c;

    api_guild_lock(x, x->ids[0]);
    enum api_error e = api_access_guild(x, x->ids[0], PERMISSION_MANAGE_GUILD, &access);
    struct guild *g = &access.snap.guild, before = access.snap.guild;
    if (e == API_OK)
        e = guild_read(x, g);
    if (e != API_OK)
        return e;
    commit_init(&c, x->arena);
    store_guild_update(&c, g);
    events_guild_update(&c, g, access.snap.roles, access.snap.role_count);
    audit_guild(x, &c, &before, g);
    e = api_commit(x, &c, API_ERROR_UNKNOWN_GUILD);
    if (e == API_OK)
        guild_write(api_out(x), g, access.snap.roles, access.snap.role_count, false);
    return e;
}

enum api_error guild_delete(struct api_ctx *x)
{
    struct api_access access;
    struct commit c;

    api_guild_lock(x, x->ids[0]);
    enum api_error e = api_access_guild(x, x->ids[0], 0, &access);
    if (e == API_OK && access.snap.guild.owner_id != x->user_id)
        e = API_ERROR_MISSING_PERMISSIONS;
    if (e != API_OK)
        return e;
    commit_init(&c, x->arena);
    store_guild_delete(&c, x->ids[0]);
    events_guild_delete(&c, x->ids[0]);
    return api_commit(x, &c, API_ERROR_UNKNOWN_GUILD);
}
