/* A command's options as a person filled them in: each against its definition, and the users, members, roles, channels,
 * messages and attachments they name looked up. Coroutine.
 * Source: "Receiving and Responding: Application Command Interaction Data Option Structure", "Resolved Data". */
#include "platform/api/interactions/interactions.h"

#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/guilds.h"
#include "platform/api/messages/messages.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/model/permissions.h"
#include "platform/protocol/json_text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#define WANTED_MAX 128

struct wanted {
    uint64_t ids[WANTED_MAX];
    unsigned count;
};

struct resolver {
    struct api_ctx *x;
    const struct interaction *ix;
    const struct api_access *access;
    const struct member *bot;
    struct wanted users, roles, channels, mentionables;
    const struct message *message;
    json_t *uploads;        /* attachments as they are answered, in the order of x->files; NULL: not stored yet */
    struct buf attachments; /* members of resolved.attachments */
    struct buf path;        /* the command's name with its subcommands */
};

struct resolver *resolver_new(struct api_ctx *x, const struct interaction *ix, const struct api_access *access,
                              const struct member *bot)
{
    struct resolver *r = ARENA_NEW(x->arena, struct resolver);

    *r = (struct resolver){.x = x, .ix = ix, .access = access, .bot = bot};
    return r;
}

void resolver_done(struct resolver *r)
{
    if (!r)
        return;
    json_decref(r->uploads);
    buf_done(&r->attachments);
    buf_done(&r->path);
}

static void want(struct wanted *w, uint64_t id)
{
    for (unsigned i = 0; i < w->count; i++)
        if (w->ids[i] == id)
            return;
    if (w->count < WANTED_MAX)
        w->ids[w->count++] = id;
}

void resolve_want(struct resolver *r, int kind, uint64_t id)
{
    switch (kind) {
    case OPTION_USER:
        want(&r->users, id);
        break;
    case OPTION_ROLE:
        want(&r->roles, id);
        break;
    case OPTION_CHANNEL:
        want(&r->channels, id);
        break;
    case OPTION_MENTIONABLE:
        want(snapshot_role(&r->access->snap, id) ? &r->roles : &r->users, id);
        break;
    default:
        break;
    }
}

void resolve_message(struct resolver *r, const struct message *m)
{
    r->message = m;
}

/* --- one value -------------------------------------------------------------------------------------------------------
 */
static void not_valid(struct api_ctx *x, const char *what)
{
    form_error(x, "value", "APPLICATION_COMMAND_OPTION_VALUE_INVALID", what);
}

static double bound_of(json_t *option, const char *key, double otherwise)
{
    json_t *v = json_object_get(option, key);

    return json_is_number(v) ? json_number_value(v) : otherwise;
}

/* Where there are choices, only they may be picked. */
static void choice_check(struct api_ctx *x, json_t *option, json_t *value)
{
    json_t *choices = json_object_get(option, "choices"), *c;
    size_t i;

    if (!json_array_size(choices))
        return;
    json_array_foreach(choices, i, c)
    {
        json_t *v = json_object_get(c, "value");
        bool same = json_is_number(v) && json_is_number(value) ? json_number_value(v) == json_number_value(value)
                                                               : json_equal(v, value);
        if (same)
            return;
    }
    not_valid(x, "Value must be one of the choices.");
}

static void string_check(struct api_ctx *x, json_t *option, json_t *v)
{
    int64_t n = json_is_string(v) ? utf8_count((struct str){json_string_value(v), json_string_length(v)}) : -1;

    if (n < 0)
        form_error(x, "value", "STRING_TYPE_CONVERT", "Could not interpret the value as string.");
    else if ((double)n < bound_of(option, "min_length", 0) || (double)n > bound_of(option, "max_length", 6000))
        form_error(x, "value", "BASE_TYPE_BAD_LENGTH", "The value is too short or too long.");
}

static void number_check(struct api_ctx *x, json_t *option, json_t *v, bool whole)
{
    double d = json_is_number(v) ? json_number_value(v) : NAN;

    if (isnan(d) || fabs(d) > 9007199254740992.0 || (whole && d != floor(d)))
        form_error(x, "value", "NUMBER_TYPE_COERCE", whole ? "Value is not int." : "Value is not float.");
    else if (d < bound_of(option, "min_value", -INFINITY))
        form_error(x, "value", "NUMBER_TYPE_MIN", "The value is below the option's minimum.");
    else if (d > bound_of(option, "max_value", INFINITY))
        form_error(x, "value", "NUMBER_TYPE_MAX", "The value is above the option's maximum.");
}

bool resolve_channel_fits(const struct resolver *r, json_t *option, uint64_t id)
{
    json_t *types = json_object_get(option, "channel_types"), *v;
    struct channel ch;
    size_t i;

    if (!json_array_size(types))
        return true;
    if (store_channel_get(r->x->ports->db, r->x->arena, id, &ch) < 0)
        return true; /* told as unknown later */
    json_array_foreach(types, i, v) if (json_integer_value(v) == (json_int_t)ch.type) return true;
    return false;
}

static void entity_check(struct resolver *r, json_t *option, int type, json_t *v)
{
    uint64_t id;

    if (json_value_id(v, &id) < 0)
        form_error(r->x, "value", "NUMBER_TYPE_COERCE", "Value is not snowflake.");
    else if (type == OPTION_CHANNEL && !resolve_channel_fits(r, option, id))
        not_valid(r->x, "The channel is of a type that is not asked for.");
    else
        resolve_want(r, type, id);
}

/* kind: image, video or audio. Source: "Reference: File Type Filtering". */
static bool file_kind_fits(const char *kind, const char *end)
{
    static const struct {
        const char *kind, *ends;
    } known[] = {{"image", " .png .gif .jpg .jpeg .jfif .webp .avif "},
                 {"video", " .mp4 .mov .qt .webm "},
                 {"audio", " .mp3 .m4a .wav .ogg .opus .flac "}};
    char word[40];

    snprintf(word, sizeof word, " %.30s ", end);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].kind, kind) == 0)
            return strcasestr(known[i].ends, word) != NULL;
    return false;
}

/* file_types: by the name's end only. */
static bool file_fits(json_t *types, json_t *attachment)
{
    const char *name = json_string_value(json_object_get(attachment, "filename")),
               *end = name ? strrchr(name, '.') : "";
    bool fits = !json_array_size(types);
    json_t *v;
    size_t i;

    json_array_foreach(types, i, v)
    {
        const char *type = json_string_value(v);
        fits |= type && end && (type[0] == '.' ? strcasecmp(type, end) == 0 : file_kind_fits(type, end));
    }
    return fits;
}

json_t *resolve_upload(struct resolver *r, json_t *types, json_t *v, const char *path)
{
    int64_t index;

    if (json_value_i64(v, &index) < 0) {
        form_error(r->x, path, "NUMBER_TYPE_COERCE", "Value is not snowflake.");
        return NULL;
    }
    for (unsigned i = 0; i < r->x->file_count; i++) {
        json_t *a = r->x->files[i].index == index ? json_array_get(r->uploads, i) : NULL;
        if (!a)
            continue;
        if (!file_fits(types, a)) {
            form_error(r->x, path, "ATTACHMENT_FILE_TYPE_INVALID", "A file of this type is not asked for.");
            return NULL;
        }
        char *text = json_dumps(a, JSON_COMPACT);
        const char *id = json_string_value(json_object_get(a, "id"));
        if (r->attachments.len)
            buf_addc(&r->attachments, ',');
        buf_addf(&r->attachments, "\"%s\":%s", id, text ? text : "null");
        free(text);
        return json_incref(json_object_get(a, "id"));
    }
    form_error(r->x, path, "APPLICATION_COMMAND_OPTION_VALUE_INVALID", "There is no such file.");
    return NULL;
}

/* A new reference to the value as the application gets it; NULL when it is wrong. */
static json_t *value_read(struct resolver *r, json_t *option, int type, bool focused)
{
    struct api_ctx *x = r->x;
    json_t *v = json_object_get(x->body, "value");

    if (!v || json_is_null(v)) {
        form_error(x, "value", "BASE_TYPE_REQUIRED", "This field is required");
        return NULL;
    }
    if (focused) /* what is being typed is text, whatever it will be */
        return json_is_string(v) || json_is_number(v) ? json_incref(v) : json_string("");
    if (type == OPTION_ATTACHMENT)
        return resolve_upload(r, json_object_get(option, "file_types"), v, "value");
    if (type == OPTION_STRING)
        string_check(x, option, v);
    else if (type == OPTION_INTEGER || type == OPTION_NUMBER)
        number_check(x, option, v, type == OPTION_INTEGER);
    else if (type == OPTION_BOOLEAN && !json_is_boolean(v))
        form_error(x, "value", "BOOLEAN_TYPE_CONVERT", "Must be either true or false.");
    else if (type >= OPTION_USER && type <= OPTION_MENTIONABLE)
        entity_check(r, option, type, v);
    choice_check(x, option, v);
    return json_incref(v);
}

/* --- lists -----------------------------------------------------------------------------------------------------------
 */
static json_t *defined(json_t *options, json_t *given)
{
    json_t *name = json_object_get(given, "name"), *o;
    size_t i;

    json_array_foreach(options, i,
                       o) if (json_is_string(name) && json_equal(json_object_get(o, "name"), name)) return o;
    return NULL;
}

static void options_read(struct resolver *r, json_t *definitions, bool partial, struct buf *out);

static void option_read(struct resolver *r, json_t *option, bool partial, struct buf *out)
{
    struct api_ctx *x = r->x;
    int type = (int)json_integer_value(json_object_get(option, "type"));
    bool focused = partial && json_is_true(json_object_get(x->body, "focused"));
    int64_t said = type;

    (void)form_i64(x, "type", FORM_OPTIONAL, 0, 64, &said);
    if (said != type)
        form_error(x, "type", "APPLICATION_COMMAND_OPTION_TYPE_INVALID", "The option is of another type.");
    jw_obj(out);
    jw_kcstr(out, "name", json_string_value(json_object_get(option, "name")));
    jw_ki64(out, "type", type);
    if (type == OPTION_SUB_COMMAND || type == OPTION_SUB_COMMAND_GROUP) {
        buf_addf(&r->path, " %s", json_string_value(json_object_get(option, "name")));
        options_read(r, json_object_get(option, "options"), partial, out);
    } else {
        json_t *v = value_read(r, option, type, focused);
        char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        jw_kraw(out, "value", str_c(text));
        free(text);
        json_decref(v);
    }
    if (focused)
        jw_kbool(out, "focused", true);
    jw_obj_end(out);
}

static bool is_subcommand(json_t *option)
{
    return json_integer_value(json_object_get(option, "type")) <= OPTION_SUB_COMMAND_GROUP;
}

/* Of subcommands exactly one is chosen; values are there when they are required. */
static void missing_check(struct resolver *r, json_t *definitions, json_t *given, bool partial)
{
    struct api_ctx *x = r->x;
    json_t *o;
    size_t i, k;

    if (json_array_size(definitions) && is_subcommand(json_array_get(definitions, 0)) && json_array_size(given) != 1) {
        form_error(x, "options", "APPLICATION_COMMAND_SUBCOMMAND_REQUIRED", "Exactly one subcommand must be chosen.");
        return;
    }
    json_array_foreach(definitions, i, o)
    {
        bool there = !json_is_true(json_object_get(o, "required")) || partial;
        for (k = 0; !there && k < json_array_size(given); k++)
            there = json_equal(json_object_get(o, "name"), json_object_get(json_array_get(given, k), "name"));
        if (!there)
            form_error(
                x, "options", "APPLICATION_COMMAND_OPTION_REQUIRED",
                arena_printf(x->arena, "The option %s is required.", json_string_value(json_object_get(o, "name"))).p);
    }
}

static void options_read(struct resolver *r, json_t *definitions, bool partial, struct buf *out)
{
    struct api_ctx *x = r->x;
    json_t *given = form_array(x, "options", FORM_NULLABLE, 25), *o;
    size_t i;

    missing_check(r, definitions, given, partial);
    jw_karr(out, "options");
    json_array_foreach(given, i, o)
    {
        json_t *option = json_is_object(o) ? defined(definitions, o) : NULL;
        struct form_scope before = form_enter(x, o, "options.%zu", i);
        if (option)
            option_read(r, option, partial, out);
        else
            form_error(x, "name", "APPLICATION_COMMAND_OPTION_UNKNOWN", "The command has no such option.");
        for (size_t k = 0; option && k < i; k++)
            if (json_equal(json_object_get(o, "name"), json_object_get(json_array_get(given, k), "name")))
                form_error(x, "name", "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", "Option name already exists");
        form_leave(x, before);
    }
    jw_arr_end(out);
}

enum api_error resolve_uploads(struct resolver *r)
{
    struct api_ctx *x = r->x;
    struct str stored;
    struct buf b = {0};

    if (!x->file_count)
        return API_OK;
    if (!r->access->is_dm && !(r->access->permissions & PERMISSION_ATTACH_FILES))
        return API_ERROR_MISSING_PERMISSIONS;
    enum api_error e = attachments_read(x, r->ix->channel_id, STR_NONE, &stored);
    if (e != API_OK)
        return e;
    attachments_write(x, &b, r->ix->channel_id, stored);
    r->uploads = json_loadb(b.data, b.len, 0, NULL);
    buf_done(&b);
    return API_OK;
}

/* A command without options has no empty list of them. */
static void top_read(struct resolver *r, json_t *definitions, bool partial, struct buf *out)
{
    struct buf b = {0};

    jw_obj(&b);
    options_read(r, definitions, partial, &b);
    jw_obj_end(&b);
    struct str list = json_member(buf_str(&b), STR("options"));
    if (list.n > 2)
        jw_kraw(out, "options", list);
    buf_done(&b);
}

enum api_error resolve_options(struct resolver *r, const struct application_command *cmd, bool partial, struct buf *out,
                               struct str *ret_name)
{
    json_t *definition = json_loadb(cmd->definition_json.p, cmd->definition_json.n, 0, NULL);
    enum api_error e = resolve_uploads(r);

    buf_add_str(&r->path, cmd->name);
    if (e == API_OK)
        top_read(r, json_object_get(definition, "options"), partial, out);
    json_decref(definition);
    *ret_name = payload_take(r->x->arena, &r->path);
    return e;
}

/* --- what was named --------------------------------------------------------------------------------------------------
 */
static void object_begin(struct buf *out, bool *open, const char *key)
{
    if (!*open)
        jw_kobj(out, "resolved");
    *open = true;
    jw_kobj(out, key);
}

static void id_key(struct buf *out, uint64_t id)
{
    char key[24];

    snprintf(key, sizeof key, "%llu", (unsigned long long)id);
    jw_key(out, key);
}

static void bits(struct buf *b, const char *key, uint64_t v)
{
    jw_key(b, key);
    buf_addf(b, "\"%llu\"", (unsigned long long)v);
}

static uint64_t permissions_of(const struct resolver *r, const struct channel *ch, const struct member *m)
{
    const struct guild_snapshot *s = &r->access->snap;

    return permissions_of_member(&s->guild, s->roles, s->role_count, ch, m, clock_wall_ms());
}

static void member_partial(struct resolver *r, struct buf *out, const struct member *m)
{
    static const struct str skip[] = {{"deaf", 4}, {"mute", 4}};
    struct buf whole = {0};

    member_write(&whole, m, false);
    jw_obj(out);
    (void)json_members_copy(out, buf_str(&whole), skip, 2);
    bits(out, "permissions", permissions_of(r, r->access->channel, m));
    jw_obj_end(out);
    buf_done(&whole);
}

static enum api_error users_write(struct resolver *r, struct buf *out, bool *open)
{
    struct api_ctx *x = r->x;
    struct user *users;
    struct member *members;
    unsigned count, member_count = 0;

    if (!r->users.count)
        return API_OK;
    int e = store_users_get(x->ports->db, x->arena, r->users.ids, r->users.count, &users, &count);
    if (e == 0 && !r->access->is_dm)
        e = store_members_get(x->ports->db, x->arena, r->ix->guild_id, r->users.ids, r->users.count, &members,
                              &member_count);
    if (e < 0 || count < r->users.count)
        return e < 0 ? api_port_error(e, API_ERROR_UNKNOWN_USER) : API_ERROR_UNKNOWN_USER;
    object_begin(out, open, "users");
    for (unsigned i = 0; i < count; i++) {
        id_key(out, users[i].id);
        user_write(out, &users[i]);
    }
    jw_obj_end(out);
    if (!member_count)
        return API_OK;
    object_begin(out, open, "members");
    for (unsigned i = 0; i < member_count; i++) {
        id_key(out, members[i].user.id);
        member_partial(r, out, &members[i]);
    }
    jw_obj_end(out);
    return API_OK;
}

static enum api_error roles_write(struct resolver *r, struct buf *out, bool *open)
{
    if (!r->roles.count)
        return API_OK;
    object_begin(out, open, "roles");
    for (unsigned i = 0; i < r->roles.count; i++) {
        const struct role *role = snapshot_role(&r->access->snap, r->roles.ids[i]);
        if (!role)
            return API_ERROR_UNKNOWN_ROLE;
        id_key(out, role->id);
        role_write(out, role);
    }
    jw_obj_end(out);
    return API_OK;
}

static void channel_partial(struct resolver *r, struct buf *out, const struct channel *ch)
{
    static const struct str skip[] = {
        {"permission_overwrites", 21}, {"recipients", 10}, {"bitrate", 7}, {"user_limit", 10}, {"rtc_region", 10}};
    struct buf whole = {0};

    channel_write(&whole, ch);
    jw_obj(out);
    (void)json_members_copy(out, buf_str(&whole), skip, 5);
    bits(out, "permissions", permissions_of(r, ch, &r->access->snap.members[0]));
    bits(out, "app_permissions", permissions_of(r, ch, r->bot));
    jw_obj_end(out);
    buf_done(&whole);
}

static enum api_error channels_write(struct resolver *r, struct buf *out, bool *open)
{
    if (!r->channels.count)
        return API_OK;
    object_begin(out, open, "channels");
    for (unsigned i = 0; i < r->channels.count; i++) {
        struct channel ch;
        int e = store_channel_get(r->x->ports->db, r->x->arena, r->channels.ids[i], &ch);
        bool here = e == 0 && ch.guild_id && ch.guild_id == r->ix->guild_id;
        if (e < 0 && e != -ENOENT)
            return api_port_error(e, API_ERROR_UNKNOWN_CHANNEL);
        /* one that the person cannot view does not exist */
        if (!here || !(permissions_of(r, &ch, &r->access->snap.members[0]) & PERMISSION_VIEW_CHANNEL))
            return API_ERROR_UNKNOWN_CHANNEL;
        id_key(out, ch.id);
        channel_partial(r, out, &ch);
    }
    jw_obj_end(out);
    return API_OK;
}

static enum api_error message_resolved(struct resolver *r, struct buf *out, bool *open)
{
    struct message_page page;
    struct message m;

    if (!r->message)
        return API_OK;
    m = *r->message;
    int e = message_page_load(r->x, &m, 1, r->ix->bot_id, &page);
    if (e < 0)
        return api_port_error(e, API_ERROR_UNKNOWN_MESSAGE);
    object_begin(out, open, "messages");
    id_key(out, m.id);
    message_write(r->x, out, &page, 0);
    jw_obj_end(out);
    message_page_done(&page);
    return API_OK;
}

enum api_error resolve_write(struct resolver *r, struct buf *out)
{
    bool open = false;
    enum api_error e = users_write(r, out, &open);

    if (e == API_OK)
        e = roles_write(r, out, &open);
    if (e == API_OK)
        e = channels_write(r, out, &open);
    if (e == API_OK)
        e = message_resolved(r, out, &open);
    if (e == API_OK && r->attachments.len) {
        object_begin(out, &open, "attachments");
        buf_add_str(out, buf_str(&r->attachments));
        jw_obj_end(out);
    }
    if (open)
        jw_obj_end(out);
    return e;
}
