/* Roles: listing, making, changing, ordering, deleting. Coroutine. Source: Discord API documentation, "Guild: Create
 * Guild Role" and following, "Permissions: Permission Hierarchy". */
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/audit.h"
#include "platform/api/guilds/guilds.h"
#include "platform/api/handlers.h"
#include "platform/api/images.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "platform/model/permissions.h"
#include "platform/ports/store/store.h"

#include <jansson.h>
#include <stdio.h>

enum api_error guild_roles_list(struct api_ctx *x)
{
    struct api_access access;
    enum api_error e = api_access_guild(x, x->ids[0], 0, &access);

    if (e != API_OK)
        return e;
    jw_arr(api_out(x));
    for (unsigned i = 0; i < access.snap.role_count; i++)
        role_write(api_out(x), &access.snap.roles[i]);
    jw_arr_end(api_out(x));
    return API_OK;
}

enum api_error guild_role_get(struct api_ctx *x)
{
    struct api_access access;
    enum api_error e = api_access_guild(x, x->ids[0], 0, &access);

    if (e != API_OK)
        return e;
    const struct role *r = snapshot_role(&access.snap, x->ids[1]);
    if (!r)
        return API_ERROR_UNKNOWN_ROLE;
    role_write(api_out(x), r);
    return API_OK;
}

/* `colors` wins over the older `color`; without the guild feature only the primary one can be set. */
static void color_read(struct api_ctx *x, struct role *r)
{
    json_t *colors = form_object(x, "colors", FORM_NULLABLE);
    int64_t primary;

    (void)form_i64(x, "color", FORM_NULLABLE, 0, 0xFFFFFF, &r->color);
    if (!colors || !json_object_get(colors, "primary_color"))
        return;
    if (json_value_i64(json_object_get(colors, "primary_color"), &primary) < 0 || primary < 0 || primary > 0xFFFFFF)
        form_error(x, "colors.primary_color", "NUMBER_TYPE_COERCE", "Value is not a color.");
    else
        r->color = primary;
}

/* Everything but the position. Bits that the caller does not hold cannot be newly handed out. */
static enum api_error role_read(struct api_ctx *x, const struct api_access *access, struct role *r)
{
    uint64_t before = r->permissions, bits = before;
    enum api_error e = API_OK;
    struct str name = r->name;

    if (form_str(x, "name", FORM_NULLABLE, 0, 100, &name) && name.n && r->id != r->guild_id)
        r->name = name;
    if (form_bits(x, "permissions", FORM_NULLABLE, &bits) && !form_is_null(x, "permissions"))
        r->permissions = bits;
    color_read(x, r);
    (void)form_bool(x, "hoist", FORM_NULLABLE, &r->hoist);
    (void)form_bool(x, "mentionable", FORM_NULLABLE, &r->mentionable);
    (void)form_str(x, "unicode_emoji", FORM_NULLABLE, 0, 32, &r->unicode_emoji);
    if (form_result(x) == API_OK)
        (void)image_read(x, "icon", "role-icons", r->id, &r->icon, &e);
    if (e == API_OK)
        e = form_result(x);
    if (e == API_OK && !access_may_grant(access, r->permissions & ~before))
        e = API_ERROR_MISSING_PERMISSIONS;
    return e;
}

/* A new role stands lowest: position 1 is shared, and among equals the higher id ranks lower. */
enum api_error guild_role_create(struct api_ctx *x)
{
    struct api_access access;
    struct role r = {.id = snowflake_next(), .guild_id = x->ids[0], .name = STR("new role"), .position = 1};
    struct commit c;

    api_guild_lock(x, x->ids[0]);
    enum api_error e = api_access_guild(x, x->ids[0], PERMISSION_MANAGE_ROLES, &access);
    if (e == API_OK && access.snap.role_count >= LIMIT_ROLES)
        e = API_ERROR_MAX_ROLES;
    if (e == API_OK) {
        if (!form_has(x, "permissions")) /* what everyone has anyhow */
            r.permissions = access.snap.roles[0].permissions;
        e = role_read(x, &access, &r);
    }
    if (e != API_OK)
        return e;
    commit_init(&c, x->arena);
    store_role_insert(&c, &r);
    events_role(&c, EVENT_GUILD_ROLE_CREATE, &r);
    audit_role(x, &c, NULL, &r);
    e = api_commit(x, &c, API_ERROR_UNKNOWN_GUILD);
    if (e == API_OK)
        role_write(api_out(x), &r);
    return e;
}

/* The role named in the path, when the caller stands above it. */
static enum api_error role_below(struct api_ctx *x, struct api_access *access, struct role *ret)
{
    struct hierarchy mine;

    api_guild_lock(x, x->ids[0]);
    enum api_error e = api_access_guild(x, x->ids[0], PERMISSION_MANAGE_ROLES, access);
    if (e != API_OK)
        return e;
    const struct role *r = snapshot_role(&access->snap, x->ids[1]);
    if (!r)
        return API_ERROR_UNKNOWN_ROLE;
    access_rank(access, &mine);
    *ret = *r;
    return hierarchy_above_role(&mine, r) ? API_OK : API_ERROR_MISSING_PERMISSIONS;
}

enum api_error guild_role_modify(struct api_ctx *x)
{
    struct api_access access;
    struct role r = {0}, before;
    struct commit c;
    enum api_error e = role_below(x, &access, &r);

    before = r;
    if (e == API_OK)
        e = role_read(x, &access, &r);
    if (e != API_OK)
        return e;
    commit_init(&c, x->arena);
    store_role_update(&c, &r);
    events_role(&c, EVENT_GUILD_ROLE_UPDATE, &r);
    audit_role(x, &c, &before, &r);
    e = api_commit(x, &c, API_ERROR_UNKNOWN_ROLE);
    if (e == API_OK)
        role_write(api_out(x), &r);
    return e;
}

enum api_error guild_role_delete(struct api_ctx *x)
{
    struct api_access access;
    struct role r;
    struct commit c;
    enum api_error e = role_below(x, &access, &r);

    if (e == API_OK && (r.managed || r.id == r.guild_id))
        e = API_ERROR_INVALID_ROLE;
    if (e != API_OK)
        return e;
    commit_init(&c, x->arena);
    store_role_delete(&c, r.guild_id, r.id);
    events_role_delete(&c, r.guild_id, r.id);
    audit_role(x, &c, &r, NULL);
    return api_commit(x, &c, API_ERROR_UNKNOWN_ROLE);
}

/* One {id, position} of the body: takes effect on the snapshot's role. Its place before and after must be below the
 * caller. */
static enum api_error position_read(struct api_ctx *x, struct api_access *access, const struct hierarchy *mine,
                                    unsigned i, bool *changed)
{
    json_t *entry = json_array_get(x->body, i), *position = json_object_get(entry, "position");
    char path[32];
    uint64_t id;
    int64_t n;

    snprintf(path, sizeof path, "%u", i);
    if (json_value_id(json_object_get(entry, "id"), &id) < 0) {
        form_error(x, path, "BASE_TYPE_REQUIRED", "This field is required");
        return form_result(x);
    }
    struct role *r = (struct role *)snapshot_role(&access->snap, id);
    if (!r)
        return API_ERROR_UNKNOWN_ROLE;
    if (!position || json_is_null(position))
        return API_OK;
    if (json_value_i64(position, &n) < 0 || n < 0 || n > INT32_MAX) {
        form_error(x, path, "NUMBER_TYPE_COERCE", "Value is not int.");
        return form_result(x);
    }
    struct role moved = *r;
    moved.position = n;
    if (n == r->position || r->id == r->guild_id) /* @everyone stays at the bottom */
        return API_OK;
    if (!hierarchy_above_role(mine, r) || !hierarchy_above_role(mine, &moved))
        return API_ERROR_MISSING_PERMISSIONS;
    changed[r - access->snap.roles] = true;
    r->position = n;
    return API_OK;
}

enum api_error guild_roles_reorder(struct api_ctx *x)
{
    struct api_access access;
    struct hierarchy mine;
    struct role top;
    struct commit c;

    api_guild_lock(x, x->ids[0]);
    enum api_error e = api_access_guild(x, x->ids[0], PERMISSION_MANAGE_ROLES, &access);
    if (e != API_OK)
        return e;
    access_rank(&access, &mine);
    if (mine.top) { /* as it stood before anything moved */
        top = *mine.top;
        mine.top = &top;
    }
    bool *changed = ARENA_ARRAY(x->arena, bool, access.snap.role_count);
    for (unsigned i = 0; e == API_OK && i < json_array_size(x->body); i++)
        e = position_read(x, &access, &mine, i, changed);
    if (e != API_OK)
        return e;
    commit_init(&c, x->arena);
    for (unsigned i = 0; i < access.snap.role_count; i++)
        if (changed[i]) {
            store_role_update(&c, &access.snap.roles[i]);
            events_role(&c, EVENT_GUILD_ROLE_UPDATE, &access.snap.roles[i]);
        }
    e = api_commit(x, &c, API_ERROR_UNKNOWN_ROLE);
    return e == API_OK ? guild_roles_list(x) : e;
}
