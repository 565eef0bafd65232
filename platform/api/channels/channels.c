/* One channel: read, change, delete. Coroutine. Source: Discord API documentation, "Channel". */
#include "platform/api/channels/channels.h"
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/audit.h"
#include "platform/api/handlers.h"
#include "platform/api/users/users.h"
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/model/permissions.h"
#include "platform/ports/store/store.h"

#include <errno.h>

bool channel_visible(const struct api_access *access, const struct channel *ch)
{
    const struct guild_snapshot *s = &access->snap;

    return permissions_of_member(&s->guild, s->roles, s->role_count, ch, &s->members[0], clock_wall_ms()) &
           PERMISSION_VIEW_CHANNEL;
}

enum api_error channel_get(struct api_ctx *x)
{
    struct api_access access;
    enum api_error e = api_access_channel(x, x->ids[0], 0, &access);

    if (e != API_OK)
        return e;
    if (access.is_dm)
        dm_write(api_out(x), access.channel, x->user_id);
    else
        channel_write(api_out(x), access.channel);
    return API_OK;
}

/* Text channels' names have no blanks and no capitals (ASCII). */
static struct str name_normal(struct api_ctx *x, enum channel_type type, struct str name)
{
    if (channel_is_voice(type) || type == CHANNEL_GUILD_CATEGORY)
        return name;
    char *out = arena_strdup(x->arena, name);
    for (char *p = out; *p; p++) {
        if (*p == ' ')
            *p = '-';
        else if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    }
    return str_c(out);
}

static void parent_read(struct api_ctx *x, struct channel *ch, const struct channel *siblings, unsigned count)
{
    uint64_t id = 0;
    bool found = false;

    if (!form_id(x, "parent_id", FORM_NULLABLE, &id))
        return;
    for (unsigned i = 0; i < count; i++)
        found |= siblings[i].id == id && siblings[i].type == CHANNEL_GUILD_CATEGORY;
    if (id && (!found || ch->type == CHANNEL_GUILD_CATEGORY))
        form_error(x, "parent_id", "CHANNEL_PARENT_INVALID_TYPE", "Not a category");
    else
        ch->parent_id = id;
}

static void auto_archive_read(struct api_ctx *x, struct channel *ch)
{
    int64_t minutes = 0;

    if (!form_i64(x, "default_auto_archive_duration", FORM_NULLABLE, 0, 10080, &minutes))
        return;
    if (minutes == 0 || minutes == 60 || minutes == 1440 || minutes == 4320 || minutes == 10080)
        ch->default_auto_archive_duration = minutes;
    else
        form_error(x, "default_auto_archive_duration", "BASE_TYPE_CHOICES",
                   "Value must be one of (60, 1440, 4320, 10080).");
}

void channel_read(struct api_ctx *x, struct channel *ch, const struct channel *siblings, unsigned sibling_count)
{
    bool stage = ch->type == CHANNEL_GUILD_STAGE_VOICE, forum = ch->type == CHANNEL_GUILD_FORUM;

    if (form_has(x, "name") && form_str(x, "name", FORM_REQUIRED, 1, 100, &ch->name))
        ch->name = name_normal(x, ch->type, ch->name);
    (void)form_i64(x, "position", FORM_OPTIONAL, 0, INT32_MAX, &ch->position);
    (void)form_bool(x, "nsfw", FORM_NULLABLE, &ch->nsfw);
    parent_read(x, ch, siblings, sibling_count);
    if (ch->type == CHANNEL_GUILD_CATEGORY)
        return;
    if (form_str(x, "topic", FORM_NULLABLE, 0, forum ? 4096 : 1024, &ch->topic) && ch->topic.n == 0)
        ch->topic = STR_NONE;
    (void)form_i64(x, "rate_limit_per_user", FORM_NULLABLE, 0, 21600, &ch->rate_limit_per_user);
    auto_archive_read(x, ch);
    if (!channel_is_voice(ch->type))
        return;
    (void)form_i64(x, "bitrate", FORM_OPTIONAL, 8000, stage ? 64000 : 96000, &ch->bitrate);
    (void)form_i64(x, "user_limit", FORM_NULLABLE, 0, stage ? 10000 : 99, &ch->user_limit);
    (void)form_str(x, "rtc_region", FORM_NULLABLE, 0, 32, &ch->rtc_region);
}

/* The channel and its guild's other ones, under the guild's lock. */
struct change {
    struct api_access access;
    struct channel *siblings, before;
    unsigned sibling_count;
};

static enum api_error change_begin(struct api_ctx *x, struct change *ret)
{
    struct channel ch;
    int r = store_channel_get(x->ports->db, x->arena, x->ids[0], &ch);

    *ret = (struct change){0};
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_CHANNEL);
    if (ch.guild_id)
        api_guild_lock(x, ch.guild_id);
    enum api_error e = api_access_channel(x, x->ids[0], 0, &ret->access);
    if (e != API_OK || ret->access.is_dm)
        return e;
    if (!(ret->access.permissions & PERMISSION_MANAGE_CHANNELS))
        return API_ERROR_MISSING_PERMISSIONS;
    ret->before = *ret->access.channel;
    r = store_guild_channels(x->ports->db, x->arena, ch.guild_id, &ret->siblings, &ret->sibling_count);
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_CHANNEL) : API_OK;
}

/* Between text and announcement only. */
static void type_change(struct api_ctx *x, struct channel *ch)
{
    int64_t type = ch->type;

    if (!form_i64(x, "type", FORM_OPTIONAL, 0, 20, &type) || type == (int64_t)ch->type)
        return;
    bool from = ch->type == CHANNEL_GUILD_TEXT || ch->type == CHANNEL_GUILD_ANNOUNCEMENT;
    bool to = type == CHANNEL_GUILD_TEXT || type == CHANNEL_GUILD_ANNOUNCEMENT;
    if (from && to)
        ch->type = (enum channel_type)type;
    else
        form_error(x, "type", "BASE_TYPE_CHOICES", "Only text and announcement channels can be converted.");
}

enum api_error channel_modify(struct api_ctx *x)
{
    struct change ch = {0};
    struct commit c;
    enum api_error e = change_begin(x, &ch);

    if (e != API_OK)
        return e;
    if (ch.access.is_dm)
        return API_ERROR_CANNOT_EXECUTE_ON_DM;
    struct channel *now = ch.access.channel;
    CHECK(now);
    type_change(x, now);
    channel_read(x, now, ch.siblings, ch.sibling_count);
    e = form_result(x);
    if (e == API_OK && form_has(x, "permission_overwrites"))
        e = ch.access.permissions & PERMISSION_MANAGE_ROLES ? channel_overwrites_read(x, &ch.access, now)
                                                            : API_ERROR_MISSING_PERMISSIONS;
    if (e != API_OK)
        return e;
    commit_init(&c, x->arena);
    store_channel_update(&c, now);
    events_channel(&c, EVENT_CHANNEL_UPDATE, now);
    audit_channel(x, &c, &ch.before, now);
    category_sync(&c, &ch.before, now, ch.siblings, ch.sibling_count);
    e = api_commit(x, &c, API_ERROR_UNKNOWN_CHANNEL);
    if (e == API_OK)
        channel_write(api_out(x), now);
    return e;
}

/* What pointed at the channel points nowhere: children of a category, the guild's settings. */
static void references_clear(struct commit *c, struct change *ch)
{
    struct guild *g = &ch->access.snap.guild;
    uint64_t id = ch->before.id, *const refs[] = {&g->afk_channel_id, &g->system_channel_id, &g->rules_channel_id,
                                                  &g->public_updates_channel_id};
    bool changed = false;

    for (unsigned i = 0; i < ch->sibling_count; i++)
        if (ch->siblings[i].parent_id == id) {
            ch->siblings[i].parent_id = 0;
            events_channel(c, EVENT_CHANNEL_UPDATE, &ch->siblings[i]);
        }
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++)
        if (*refs[i] == id) {
            *refs[i] = 0;
            changed = true;
        }
    if (!changed)
        return;
    store_guild_update(c, g);
    events_guild_update(c, g, ch->access.snap.roles, ch->access.snap.role_count);
}

enum api_error channel_delete(struct api_ctx *x)
{
    struct change ch = {0};
    struct commit c;
    enum api_error e = change_begin(x, &ch);

    if (e != API_OK)
        return e;
    if (ch.access.is_dm) { /* closed: it is only out of the caller's sight, and its next message opens it again */
        dm_write(api_out(x), ch.access.channel, x->user_id);
        return API_OK;
    }
    commit_init(&c, x->arena);
    store_channel_delete(&c, ch.before.id);
    events_channel(&c, EVENT_CHANNEL_DELETE, &ch.before);
    audit_channel(x, &c, &ch.before, NULL);
    references_clear(&c, &ch);
    e = api_commit(x, &c, API_ERROR_UNKNOWN_CHANNEL);
    if (e == API_OK)
        channel_write(api_out(x), &ch.before);
    return e;
}
