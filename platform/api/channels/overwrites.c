/* Permission overwrites: reading them, who may change which bits, keeping categories and their channels in step.
 * Coroutine. Source: Discord API documentation, "Channel: Edit Channel Permissions", "Permissions: Permission Syncing".
 */
#include "platform/api/channels/channels.h"
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/audit.h"
#include "platform/api/handlers.h"
#include "platform/base/limits.h"
#include "platform/ports/store/store.h"

#include <jansson.h>
#include <stdio.h>

static const struct overwrite *overwrite_find(const struct channel *ch, uint64_t id)
{
    for (unsigned i = 0; i < ch->overwrite_count; i++)
        if (ch->overwrites[i].id == id)
            return &ch->overwrites[i];
    return NULL;
}

bool overwrites_equal(const struct channel *a, const struct channel *b)
{
    if (a->overwrite_count != b->overwrite_count)
        return false;
    for (unsigned i = 0; i < a->overwrite_count; i++) {
        const struct overwrite *o = &a->overwrites[i], *p = overwrite_find(b, o->id);
        if (!p || p->type != o->type || p->allow != o->allow || p->deny != o->deny)
            return false;
    }
    return true;
}

static uint64_t bits_changed(const struct overwrite *a, const struct overwrite *b)
{
    static const struct overwrite none;

    a = a ? a : &none;
    b = b ? b : &none;
    return (a->allow ^ b->allow) | (a->deny ^ b->deny);
}

static bool may_change(const struct api_access *access, uint64_t bits)
{
    if (access->permissions & PERMISSION_ADMINISTRATOR)
        return true;
    return !(bits & PERMISSION_MANAGE_ROLES) && (bits & ~access->permissions) == 0;
}

/* "type" is 0 or 1; older clients say "role" or "member". */
static int type_of(const json_t *v)
{
    int64_t n;

    if (json_is_string(v) && strcmp(json_string_value(v), "role") == 0)
        return 0;
    if (json_is_string(v) && strcmp(json_string_value(v), "member") == 0)
        return 1;
    return json_value_i64(v, &n) == 0 && (n == 0 || n == 1) ? (int)n : -1;
}

/* Missing and null mean none. */
static int bits_of(const json_t *v, uint64_t *ret)
{
    *ret = 0;
    return !v || json_is_null(v) ? 0 : json_value_bits(v, ret);
}

/* Errors are recorded at path.<member>. */
static bool overwrite_read(struct api_ctx *x, const char *path, const json_t *o, struct overwrite *ret)
{
    char at[96];
    const char *wrong = NULL;

    if (bits_of(json_object_get(o, "allow"), &ret->allow) < 0)
        wrong = "allow";
    else if (bits_of(json_object_get(o, "deny"), &ret->deny) < 0)
        wrong = "deny";
    else if ((ret->type = type_of(json_object_get(o, "type"))) < 0)
        wrong = "type";
    else
        return true;
    snprintf(at, sizeof at, "%s%s%s", path, *path ? "." : "", wrong);
    form_error(x, at, *wrong == 't' ? "BASE_TYPE_CHOICES" : "NUMBER_TYPE_COERCE",
               *wrong == 't' ? "Value must be one of (0, 1)." : "Value is not int.");
    return false;
}

enum api_error channel_overwrites_read(struct api_ctx *x, const struct api_access *access, struct channel *ch)
{
    json_t *list = form_array(x, "permission_overwrites", FORM_NULLABLE, LIMIT_OVERWRITES), *v;
    struct channel after = {.overwrites = ARENA_ARRAY(x->arena, struct overwrite, json_array_size(list) + 1)};
    uint64_t changed = 0;
    size_t i;

    if (!list && !form_is_null(x, "permission_overwrites"))
        return form_result(x);
    json_array_foreach(list, i, v)
    {
        char path[48];
        struct overwrite o = {0};
        snprintf(path, sizeof path, "permission_overwrites.%zu", i);
        if (json_value_id(json_object_get(v, "id"), &o.id) < 0)
            form_error(x, path, "BASE_TYPE_REQUIRED", "This field is required");
        else if (overwrite_read(x, path, v, &o) && !overwrite_find(&after, o.id)) {
            changed |= bits_changed(overwrite_find(ch, o.id), &o);
            after.overwrites[after.overwrite_count++] = o;
        }
    }
    for (unsigned k = 0; k < ch->overwrite_count; k++)
        if (!overwrite_find(&after, ch->overwrites[k].id))
            changed |= bits_changed(&ch->overwrites[k], NULL);
    if (form_result(x) != API_OK)
        return form_result(x);
    if (!may_change(access, changed))
        return API_ERROR_MISSING_PERMISSIONS;
    ch->overwrites = after.overwrites;
    ch->overwrite_count = after.overwrite_count;
    return API_OK;
}

void category_sync(struct commit *c, const struct channel *before, const struct channel *after,
                   const struct channel *siblings, unsigned sibling_count)
{
    if (after->type != CHANNEL_GUILD_CATEGORY || overwrites_equal(before, after))
        return;
    for (unsigned i = 0; i < sibling_count; i++) {
        struct channel child = siblings[i];
        if (child.parent_id != after->id || !overwrites_equal(&child, before))
            continue;
        child.overwrites = after->overwrites;
        child.overwrite_count = after->overwrite_count;
        store_channel_update(c, &child);
        events_channel(c, EVENT_CHANNEL_UPDATE, &child);
    }
}

/* The channel with one overwrite more, less or changed; *ret_before as it was. */
static enum api_error overwrite_change(struct api_ctx *x, const struct overwrite *o, bool remove)
{
    struct api_access access;
    struct channel after, *siblings = NULL;
    unsigned n = 0, sibling_count = 0;
    struct commit c;
    int r = 0;

    enum api_error e = api_access_channel(x, x->ids[0], PERMISSION_MANAGE_ROLES, &access);
    if (e != API_OK)
        return access.is_dm ? API_ERROR_CANNOT_EXECUTE_ON_DM : e;
    const struct overwrite *old = overwrite_find(access.channel, o->id);
    if (remove && !old)
        return API_ERROR_UNKNOWN_OVERWRITE;
    if (!may_change(&access, bits_changed(old, remove ? NULL : o)))
        return API_ERROR_MISSING_PERMISSIONS;
    after = *access.channel;
    after.overwrites = ARENA_ARRAY(x->arena, struct overwrite, after.overwrite_count + 1);
    for (unsigned i = 0; i < access.channel->overwrite_count; i++)
        if (access.channel->overwrites[i].id != o->id)
            after.overwrites[n++] = access.channel->overwrites[i];
    if (!remove)
        after.overwrites[n++] = *o;
    after.overwrite_count = n;
    if (after.type == CHANNEL_GUILD_CATEGORY)
        r = store_guild_channels(x->ports->db, x->arena, after.guild_id, &siblings, &sibling_count);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_CHANNEL);
    commit_init(&c, x->arena);
    store_channel_update(&c, &after);
    events_channel(&c, EVENT_CHANNEL_UPDATE, &after);
    audit_overwrite(x, &c, &access.snap, &after, old, remove ? NULL : o);
    category_sync(&c, access.channel, &after, siblings, sibling_count);
    return api_commit(x, &c, API_ERROR_UNKNOWN_CHANNEL);
}

/* Changes of a channel take its guild's lock: the guild is not in the path. */
static enum api_error channel_lock(struct api_ctx *x)
{
    struct channel ch;
    int r = store_channel_get(x->ports->db, x->arena, x->ids[0], &ch);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_CHANNEL);
    if (ch.guild_id)
        api_guild_lock(x, ch.guild_id);
    return API_OK;
}

enum api_error channel_overwrite_put(struct api_ctx *x)
{
    struct overwrite o = {.id = x->ids[1]};
    enum api_error e = channel_lock(x);

    if (e != API_OK)
        return e;
    (void)overwrite_read(x, "", x->body, &o);
    return form_result(x) != API_OK ? form_result(x) : overwrite_change(x, &o, false);
}

enum api_error channel_overwrite_delete(struct api_ctx *x)
{
    const struct overwrite o = {.id = x->ids[1]};
    enum api_error e = channel_lock(x);

    return e == API_OK ? overwrite_change(x, &o, true) : e;
}
