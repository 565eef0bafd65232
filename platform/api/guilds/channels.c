/* A guild's channels: listing, making, ordering. Coroutine. Source: Discord API documentation, "Guild: Create Guild
 * Channel", "Modify Guild Channel Positions". */
#include "platform/api/channels/channels.h"
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/audit.h"
#include "platform/api/handlers.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"

#include <jansson.h>
#include <stdio.h>

/* The caller in the guild, and all its channels. */
struct channel_list {
    struct api_access access;
    struct channel *channels;
    unsigned count;
};

static enum api_error list_load(struct api_ctx *x, uint64_t needed, struct channel_list *ret)
{
    enum api_error e = api_access_guild(x, x->ids[0], needed, &ret->access);

    if (e != API_OK)
        return e;
    int r = store_guild_channels(x->ports->db, x->arena, x->ids[0], &ret->channels, &ret->count);
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_GUILD) : API_OK;
}

enum api_error guild_channels_list(struct api_ctx *x)
{
    struct channel_list l;
    enum api_error e = list_load(x, 0, &l);

    if (e != API_OK)
        return e;
    jw_arr(api_out(x));
    for (unsigned i = 0; i < l.count; i++)
        if (channel_visible(&l.access, &l.channels[i]))
            channel_write(api_out(x), &l.channels[i]);
    jw_arr_end(api_out(x));
    return API_OK;
}

static void type_read(struct api_ctx *x, struct channel *ch)
{
    int64_t type = CHANNEL_GUILD_TEXT;

    (void)form_i64(x, "type", FORM_NULLABLE, 0, 20, &type);
    ch->type = (enum channel_type)type;
    switch (ch->type) {
    case CHANNEL_GUILD_TEXT:
    case CHANNEL_GUILD_VOICE:
    case CHANNEL_GUILD_CATEGORY:
    case CHANNEL_GUILD_ANNOUNCEMENT:
    case CHANNEL_GUILD_STAGE_VOICE:
    case CHANNEL_GUILD_FORUM:
        return;
    default:
        form_error(x, "type", "BASE_TYPE_CHOICES", "Value must be one of (0, 2, 4, 5, 13, 15).");
    }
}

/* Behind the last of its kind: voice, categories and the rest are counted apart. */
static int64_t position_last(const struct channel_list *l, const struct channel *ch)
{
    int64_t last = -1;

    for (unsigned i = 0; i < l->count; i++) {
        const struct channel *o = &l->channels[i];
        bool same = channel_is_voice(o->type) == channel_is_voice(ch->type) &&
                    (o->type == CHANNEL_GUILD_CATEGORY) == (ch->type == CHANNEL_GUILD_CATEGORY);
        if (same && o->position > last)
            last = o->position;
    }
    return last + 1;
}

enum api_error guild_channel_create(struct api_ctx *x)
{
    struct channel_list l;
    struct channel ch = {.id = snowflake_next(), .guild_id = x->ids[0], .bitrate = 64000};
    struct commit c;

    api_guild_lock(x, x->ids[0]);
    enum api_error e = list_load(x, PERMISSION_MANAGE_CHANNELS, &l);
    if (e == API_OK && l.count >= LIMIT_CHANNELS)
        e = API_ERROR_MAX_CHANNELS;
    if (e != API_OK)
        return e;
    type_read(x, &ch);
    ch.position = position_last(&l, &ch);
    if (!form_has(x, "name"))
        form_error(x, "name", "BASE_TYPE_REQUIRED", "This field is required");
    channel_read(x, &ch, l.channels, l.count);
    e = form_result(x);
    if (e == API_OK)
        e = channel_overwrites_read(x, &l.access, &ch);
    if (e != API_OK)
        return e;
    commit_init(&c, x->arena);
    store_channel_insert(&c, &ch);
    events_channel(&c, EVENT_CHANNEL_CREATE, &ch);
    audit_channel(x, &c, NULL, &ch);
    e = api_commit(x, &c, API_ERROR_UNKNOWN_GUILD);
    if (e != API_OK)
        return e;
    x->res->status = 201;
    channel_write(api_out(x), &ch);
    return API_OK;
}

static struct channel *channel_of(const struct channel_list *l, uint64_t id)
{
    for (unsigned i = 0; i < l->count; i++)
        if (l->channels[i].id == id)
            return &l->channels[i];
    return NULL;
}

/* parent_id of one entry, with lock_permissions. *ret_moved: it is another one now. */
static enum api_error parent_change(struct api_ctx *x, const struct channel_list *l, const json_t *entry,
                                    struct channel *ch, bool *ret_moved)
{
    json_t *v = json_object_get(entry, "parent_id");
    uint64_t id = 0;

    *ret_moved = false;
    if (!v || (!json_is_null(v) && json_value_id(v, &id) < 0) || id == ch->parent_id)
        return API_OK;
    const struct channel *parent = id ? channel_of(l, id) : NULL;
    if (id && (!parent || parent->type != CHANNEL_GUILD_CATEGORY || ch->type == CHANNEL_GUILD_CATEGORY)) {
        form_error(x, "parent_id", "CHANNEL_PARENT_INVALID_TYPE", "Not a category");
        return form_result(x);
    }
    if (!channel_visible(&l->access, ch) || (parent && !channel_visible(&l->access, parent)))
        return API_ERROR_MISSING_ACCESS;
    ch->parent_id = id;
    *ret_moved = true;
    if (!parent || !json_is_true(json_object_get(entry, "lock_permissions")))
        return API_OK;
    if (!(l->access.permissions & PERMISSION_MANAGE_ROLES))
        return API_ERROR_MISSING_PERMISSIONS;
    ch->overwrites = parent->overwrites;
    ch->overwrite_count = parent->overwrite_count;
    return API_OK;
}

static enum api_error entry_read(struct api_ctx *x, const struct channel_list *l, unsigned i, bool *changed,
                                 unsigned *moves)
{
    json_t *entry = json_array_get(x->body, i), *position = json_object_get(entry, "position");
    char path[32];
    uint64_t id;
    int64_t n;
    bool moved;

    snprintf(path, sizeof path, "%u", i);
    if (json_value_id(json_object_get(entry, "id"), &id) < 0) {
        form_error(x, path, "BASE_TYPE_REQUIRED", "This field is required");
        return form_result(x);
    }
    struct channel *ch = channel_of(l, id);
    if (!ch)
        return API_ERROR_UNKNOWN_CHANNEL;
    if (position && !json_is_null(position)) {
        if (json_value_i64(position, &n) < 0 || n < 0 || n > INT32_MAX) {
            form_error(x, path, "NUMBER_TYPE_COERCE", "Value is not int.");
            return form_result(x);
        }
        changed[ch - l->channels] |= n != ch->position;
        ch->position = n;
    }
    enum api_error e = parent_change(x, l, entry, ch, &moved);
    if (e != API_OK)
        return e;
    changed[ch - l->channels] |= moved;
    *moves += moved;
    return *moves > 1 ? API_ERROR_ONE_PARENT_AT_A_TIME : API_OK;
}

enum api_error guild_channels_reorder(struct api_ctx *x)
{
    struct channel_list l;
    struct commit c;
    unsigned moves = 0;

    api_guild_lock(x, x->ids[0]);
    enum api_error e = list_load(x, PERMISSION_MANAGE_CHANNELS, &l);
    if (e != API_OK)
        return e;
    bool *changed = ARENA_ARRAY(x->arena, bool, l.count);
    for (unsigned i = 0; e == API_OK && i < json_array_size(x->body); i++)
        e = entry_read(x, &l, i, changed, &moves);
    if (e != API_OK)
        return e;
    commit_init(&c, x->arena);
    for (unsigned i = 0; i < l.count; i++)
        if (changed[i]) {
            store_channel_update(&c, &l.channels[i]);
            events_channel(&c, EVENT_CHANNEL_UPDATE, &l.channels[i]);
        }
    return api_commit(x, &c, API_ERROR_UNKNOWN_CHANNEL);
}
