/* What a command's definition may say: every limit of the documentation, and the form it is kept in, which has only
 * known members. Loop thread; no I/O. Source: "Application Commands: Application Command Object". */
#include "platform/api/commands/commands.h"

#include "platform/api/form.h"
#include "platform/api/messages/components.h"
#include "platform/base/limits.h"
#include "platform/protocol/json_text.h"
#include "platform/protocol/permissions.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define OPTIONS_MAX    25
#define NUMBER_MAX     9007199254740992.0
#define NUMBER_MAX_INT ((INT64_C(1) << 53) - 1)

struct reader {
    struct api_ctx *x;
    bool slash;
    size_t chars; /* of names, descriptions and values, the longest localization counted */
};

static json_t *json_of(struct str s)
{
    return json_stringn(s.p, s.n);
}

static void name_error(struct api_ctx *x, const char *path)
{
    form_error(x, path, "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid");
}

/* {"de": "text"}: null, or every value within the same bounds as the default. */
static size_t localizations_read(struct reader *r, json_t *out, const char *key, unsigned max, bool is_name)
{
    struct api_ctx *x = r->x;
    json_t *given = form_object(x, key, FORM_NULLABLE), *v;
    const char *locale;
    size_t longest = 0;

    if (!given || !json_object_size(given)) {
        json_object_set_new(out, key, json_null());
        return 0;
    }
    struct form_scope before = form_enter(x, given, "%s", key);
    json_object_foreach(given, locale, v)
    {
        struct str s;
        if (!locale_known(str_c(locale)))
            form_error(x, locale, "BASE_TYPE_CHOICES", "Value must be one of the available locales.");
        else if (form_str(x, locale, FORM_OPTIONAL, 1, max, &s)) {
            if (is_name && !command_name_valid(s))
                name_error(x, locale);
            longest = (size_t)utf8_count(s) > longest ? (size_t)utf8_count(s) : longest;
        }
    }
    form_leave(x, before);
    json_object_set(out, key, given);
    return longest;
}

/* A text with its localizations; *ret is STR_NONE when it is wrong. */
static void text_read(struct reader *r, json_t *out, const char *key, const char *localizations, unsigned max,
                      bool is_name, struct str *ret)
{
    *ret = STR_NONE;
    if (form_str(r->x, key, FORM_REQUIRED, 1, max, ret) && is_name && !command_name_valid(*ret))
        name_error(r->x, key);
    size_t n = ret->p ? (size_t)utf8_count(*ret) : 0;
    json_object_set_new(out, key, ret->p ? json_of(*ret) : json_null());
    size_t longest = localizations_read(r, out, localizations, max, is_name);
    r->chars += longest > n ? longest : n;
}

/* --- choices ---------------------------------------------------------------------------------------------------------
 */
static void choice_value_read(struct reader *r, int type, json_t *out)
{
    struct api_ctx *x = r->x;
    json_t *v = json_object_get(x->body, "value");
    struct str s;
    int64_t n;

    if (type == OPTION_STRING && form_str(x, "value", FORM_REQUIRED, 1, 100, &s)) {
        r->chars += (size_t)utf8_count(s);
        json_object_set_new(out, "value", json_of(s));
    } else if (type == OPTION_INTEGER && form_i64(x, "value", FORM_REQUIRED, -NUMBER_MAX_INT, NUMBER_MAX_INT, &n)) {
        json_object_set_new(out, "value", json_integer(n));
    } else if (type == OPTION_NUMBER) {
        if (json_is_number(v) && fabs(json_number_value(v)) <= NUMBER_MAX)
            json_object_set(out, "value", v);
        else
            form_error(x, "value", "NUMBER_TYPE_COERCE", "Value is not float.");
    }
}

static bool named_before(json_t *list, struct str name)
{
    json_t *o;
    size_t i;

    json_array_foreach(list, i, o)
    {
        json_t *other = json_object_get(o, "name");
        if (str_eq(name, (struct str){json_string_value(other), json_string_length(other)}))
            return true;
    }
    return false;
}

static bool is_object(struct api_ctx *x, const json_t *v, const char *key, size_t i)
{
    char path[64];

    if (json_is_object(v))
        return true;
    snprintf(path, sizeof path, "%s.%zu", key, i);
    form_error(x, path, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType");
    return false;
}

static void choices_read(struct reader *r, int type, json_t *out)
{
    struct api_ctx *x = r->x;
    json_t *given = form_array(x, "choices", FORM_NULLABLE, OPTIONS_MAX), *choice, *list;
    size_t i;

    if (!given || !json_array_size(given))
        return;
    if (type != OPTION_STRING && type != OPTION_INTEGER && type != OPTION_NUMBER) {
        form_error(x, "choices", "APPLICATION_COMMAND_OPTIONS_CHOICES_TYPE_INVALID",
                   "Choices are only allowed for string, integer and number options");
        return;
    }
    list = json_array();
    json_array_foreach(given, i, choice)
    {
        struct str name;
        json_t *kept = json_object();
        if (is_object(x, choice, "choices", i)) {
            struct form_scope before = form_enter(x, choice, "choices.%zu", i);
            text_read(r, kept, "name", "name_localizations", 100, false, &name);
            choice_value_read(r, type, kept);
            if (name.p && named_before(list, name))
                form_error(x, "name", "APPLICATION_COMMAND_OPTIONS_CHOICE_NAME_EXISTS",
                           "Option choice name already exists");
            form_leave(x, before);
        }
        json_array_append_new(list, kept);
    }
    json_object_set_new(out, "choices", list);
}

/* --- options ---------------------------------------------------------------------------------------------------------
 */
static void bounds_crossed(struct api_ctx *x, const char *key)
{
    form_error(x, key, "APPLICATION_COMMAND_OPTIONS_MIN_MAX_INVALID", "The minimum must not be above the maximum");
}

static bool number_read(struct api_ctx *x, const char *key, json_t *out, double *ret)
{
    json_t *v = json_object_get(x->body, key);

    if (!v || json_is_null(v))
        return false;
    if (!json_is_number(v) || fabs(json_number_value(v)) > NUMBER_MAX) {
        form_error(x, key, "NUMBER_TYPE_COERCE", "Value is not float.");
        return false;
    }
    json_object_set(out, key, v);
    *ret = json_number_value(v);
    return true;
}

static bool integer_read(struct api_ctx *x, const char *key, int64_t min, int64_t max, json_t *out, int64_t *ret)
{
    if (!form_has(x, key) || form_is_null(x, key) || !form_i64(x, key, FORM_OPTIONAL, min, max, ret))
        return false;
    json_object_set_new(out, key, json_integer(*ret));
    return true;
}

static void bounds_read(struct api_ctx *x, int type, json_t *out)
{
    int64_t min, max;
    double low, high;

    if (type == OPTION_INTEGER) {
        if (integer_read(x, "min_value", -NUMBER_MAX_INT, NUMBER_MAX_INT, out, &min) &
                integer_read(x, "max_value", -NUMBER_MAX_INT, NUMBER_MAX_INT, out, &max) &&
            min > max)
            bounds_crossed(x, "min_value");
    } else if (type == OPTION_NUMBER) {
        if (number_read(x, "min_value", out, &low) & number_read(x, "max_value", out, &high) && low > high)
            bounds_crossed(x, "min_value");
    } else if (type == OPTION_STRING) {
        if (integer_read(x, "min_length", 0, 6000, out, &min) & integer_read(x, "max_length", 1, 6000, out, &max) &&
            min > max)
            bounds_crossed(x, "min_length");
    }
}

static void channel_types_read(struct api_ctx *x, json_t *out)
{
    json_t *list = form_array(x, "channel_types", FORM_NULLABLE, 32), *v;
    size_t i;

    if (!list || !json_array_size(list))
        return;
    json_array_foreach(list, i, v)
    {
        char path[48];
        snprintf(path, sizeof path, "channel_types.%zu", i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > 16)
            form_error(x, path, "BASE_TYPE_CHOICES", "Value must be one of the channel types.");
    }
    json_object_set(out, "channel_types", list);
}

/* What only values have. */
static void value_option_read(struct reader *r, int type, json_t *out)
{
    struct api_ctx *x = r->x;
    bool required = false, autocomplete = false;

    (void)form_bool(x, "required", FORM_NULLABLE, &required);
    if (required)
        json_object_set_new(out, "required", json_true());
    choices_read(r, type, out);
    bounds_read(x, type, out);
    if (type == OPTION_CHANNEL)
        channel_types_read(x, out);
    if (type == OPTION_ATTACHMENT && file_types_check(x, "file_types") &&
        json_array_size(json_object_get(x->body, "file_types")))
        json_object_set(out, "file_types", json_object_get(x->body, "file_types"));
    (void)form_bool(x, "autocomplete", FORM_NULLABLE, &autocomplete);
    if (!autocomplete)
        return;
    json_object_set_new(out, "autocomplete", json_true());
    if (type != OPTION_STRING && type != OPTION_INTEGER && type != OPTION_NUMBER)
        form_error(x, "autocomplete", "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_TYPE_INVALID",
                   "Autocomplete is only allowed for string, integer and number options");
    else if (json_object_get(out, "choices"))
        form_error(x, "autocomplete", "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_WITH_CHOICES",
                   "Autocomplete cannot be used together with choices");
}

/* depth 0: a command's options, 1: a group's, 2: a subcommand's. */
static void options_read(struct reader *r, int depth, json_t *out);

static bool type_fits(int type, int depth)
{
    if (depth == 1)
        return type == OPTION_SUB_COMMAND;
    return depth == 0 || type > OPTION_SUB_COMMAND_GROUP;
}

static json_t *option_read(struct reader *r, int depth, json_t *list)
{
    struct api_ctx *x = r->x;
    json_t *out = json_object();
    struct str name, description;
    int64_t type = 0;

    (void)form_i64(x, "type", FORM_REQUIRED, OPTION_SUB_COMMAND, OPTION_ATTACHMENT, &type);
    if (type && !type_fits((int)type, depth))
        form_error(x, "type", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
                   "This option type is not allowed here: groups hold subcommands, subcommands hold values");
    json_object_set_new(out, "type", json_integer(type));
    text_read(r, out, "name", "name_localizations", 32, true, &name);
    text_read(r, out, "description", "description_localizations", 100, false, &description);
    if (name.p && named_before(list, name))
        form_error(x, "name", "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", "Option name already exists");
    if (type == OPTION_SUB_COMMAND || type == OPTION_SUB_COMMAND_GROUP)
        options_read(r, type == OPTION_SUB_COMMAND ? 2 : 1, out);
    else if (type)
        value_option_read(r, (int)type, out);
    return out;
}

/* Values and subcommands do not mix, and what is required comes first. */
static void order_check(struct api_ctx *x, json_t *list)
{
    bool optional = false, subcommands = false, values = false;
    json_t *o;
    size_t i;

    json_array_foreach(list, i, o)
    {
        char path[48];
        int64_t type = json_integer_value(json_object_get(o, "type"));
        bool required = json_is_true(json_object_get(o, "required"));
        snprintf(path, sizeof path, "options.%zu", i);
        if (required && optional)
            form_error(x, path, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                       "Required options must be placed before non-required options");
        optional |= !required;
        subcommands |= type == OPTION_SUB_COMMAND || type == OPTION_SUB_COMMAND_GROUP;
        values |= type > OPTION_SUB_COMMAND_GROUP;
        if (subcommands && values) {
            form_error(x, path, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
                       "Sub-command and sub-command group option types are mutually exclusive to all other types");
            return;
        }
    }
}

static void options_read(struct reader *r, int depth, json_t *out)
{
    struct api_ctx *x = r->x;
    json_t *given = form_array(x, "options", FORM_NULLABLE, OPTIONS_MAX), *option;
    size_t i;

    if (!given || !json_array_size(given))
        return;
    if (!r->slash) {
        form_error(x, "options", "APPLICATION_COMMAND_OPTIONS_NOT_ALLOWED",
                   "Options are only allowed for slash commands");
        return;
    }
    json_t *list = json_array();
    json_array_foreach(given, i, option)
    {
        if (!is_object(x, option, "options", i))
            continue;
        struct form_scope before = form_enter(x, option, "options.%zu", i);
        json_t *kept = option_read(r, depth, list);
        form_leave(x, before);
        json_array_append_new(list, kept);
    }
    order_check(x, list);
    json_object_set_new(out, "options", list);
}

/* --- the command -----------------------------------------------------------------------------------------------------
 */
/* default_permission is the older way of saying that nobody may: "0". */
static void permissions_read(struct api_ctx *x, json_t *out)
{
    uint64_t bits = 0;
    bool open = true;

    if (!form_has(x, "default_member_permissions") && form_bool(x, "default_permission", FORM_NULLABLE, &open) &&
        form_has(x, "default_permission") && !form_is_null(x, "default_permission") && !open) {
        json_object_set_new(out, "default_member_permissions", json_string("0"));
        return;
    }

    if (form_has(x, "default_member_permissions") && !form_is_null(x, "default_member_permissions") &&
        form_bits(x, "default_member_permissions", FORM_OPTIONAL, &bits)) {
        struct str s = arena_printf(x->arena, "%llu", (unsigned long long)bits);
        json_object_set_new(out, "default_member_permissions", json_of(s));
    } else {
        json_object_set_new(out, "default_member_permissions", json_null());
    }
}

/* A list of distinct numbers 0..max; NULL: absent, null or wrong. */
static json_t *numbers_read(struct api_ctx *x, const char *key, int max, bool may_be_empty)
{
    json_t *list = form_array(x, key, FORM_NULLABLE, 8), *v;
    size_t i, k;

    if (list && !json_array_size(list) && !may_be_empty)
        form_error(x, key, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 3 in length.");
    json_array_foreach(list, i, v)
    {
        char path[48];
        snprintf(path, sizeof path, "%s.%zu", key, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
            form_error(x, path, "BASE_TYPE_CHOICES",
                       max == 2 ? "Value must be one of {0, 1, 2}." : "Value must be one of {0, 1}.");
        for (k = 0; k < i; k++)
            if (json_equal(v, json_array_get(list, k)))
                form_error(x, path, "SET_TYPE_ALREADY_CONTAINS_VALUE", "The set already contains this value");
    }
    return list;
}

/* Among those that the application supports; all of them when the command names none. A new reference. */
static json_t *integration_types_read(struct api_ctx *x, struct str supported)
{
    json_t *types = numbers_read(x, "integration_types", 1, false), *all = json_array(), *v;
    bool has[2] = {!supported.n || json_member(supported, STR("0")).n, json_member(supported, STR("1")).n};
    size_t i;

    for (int type = 0; type < 2; type++)
        if (has[type])
            json_array_append_new(all, json_integer(type));
    json_array_foreach(types, i, v) if (json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) < 2 &&
                                        !has[json_integer_value(v)])
        form_error(x, arena_printf(x->arena, "integration_types.%zu", i).p, "BASE_TYPE_CHOICES",
                   "The application does not support this installation context.");
    if (!types)
        return all;
    json_decref(all);
    return json_incref(types);
}

/* Only global commands have them. dm_permission is the older way of saying that BOT_DM is among the contexts. */
static void contexts_read(struct api_ctx *x, struct str supported, json_t *out)
{
    json_t *contexts = numbers_read(x, "contexts", 2, false);
    bool dm = true;

    if (form_has(x, "dm_permission") && !form_is_null(x, "dm_permission"))
        (void)form_bool(x, "dm_permission", FORM_OPTIONAL, &dm);
    if (contexts) {
        dm = false;
        for (size_t i = 0; i < json_array_size(contexts); i++)
            dm |= json_integer_value(json_array_get(contexts, i)) == 1;
    }
    json_object_set_new(out, "dm_permission", json_boolean(dm));
    json_object_set_new(out, "contexts", contexts ? json_incref(contexts) : json_null());
    json_object_set_new(out, "integration_types", integration_types_read(x, supported));
}

static void head_read(struct reader *r, bool slash, json_t *out, struct application_command *ret)
{
    struct api_ctx *x = r->x;
    struct str description = STR("");

    json_t *with_name = json_object();
    text_read(r, with_name, "name", "name_localizations", 32, slash, &ret->name);
    json_object_set(out, "name_localizations", json_object_get(with_name, "name_localizations"));
    json_decref(with_name);
    if (slash) {
        text_read(r, out, "description", "description_localizations", 100, false, &description);
        return;
    }
    if (form_has(x, "description") && !form_is_null(x, "description") &&
        form_str(x, "description", FORM_OPTIONAL, 0, 100, &description) && description.n)
        form_error(x, "description", "APPLICATION_COMMAND_DESCRIPTION_NOT_ALLOWED",
                   "Context menu commands cannot have description");
    json_object_set_new(out, "description", json_string(""));
    json_object_set_new(out, "description_localizations", json_null());
}

void command_read(struct api_ctx *x, bool guild, struct str supported, struct application_command *ret)
{
    struct reader r = {.x = x};
    json_t *out = json_object();
    int64_t type = COMMAND_CHAT_INPUT;
    bool nsfw = false;

    if (form_has(x, "type") && !form_is_null(x, "type") &&
        form_i64(x, "type", FORM_OPTIONAL, INT32_MIN, INT32_MAX, &type) &&
        (type < COMMAND_CHAT_INPUT || type > COMMAND_MESSAGE)) {
        /* 4, PRIMARY_ENTRY_POINT, is for Activities only; no application here is one */
        form_error(x, "type", "BASE_TYPE_CHOICES", "Value must be one of {1, 2, 3}.");
        type = COMMAND_CHAT_INPUT;
    }
    r.slash = type == COMMAND_CHAT_INPUT;
    ret->type = (int)type;
    head_read(&r, r.slash, out, ret);
    options_read(&r, 0, out);
    permissions_read(x, out);
    if (!guild)
        contexts_read(x, supported, out);
    if (form_has(x, "nsfw") && !form_is_null(x, "nsfw"))
        (void)form_bool(x, "nsfw", FORM_OPTIONAL, &nsfw);
    json_object_set_new(out, "nsfw", json_boolean(nsfw));
    if (r.chars > LIMIT_COMMAND_CHARS)
        form_error(x, "", "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (8000)");
    char *text = json_dumps(out, JSON_COMPACT);
    ret->definition_json = arena_str(x->arena, str_c(text ? text : "{}"));
    ret->name = arena_str(x->arena, ret->name);
    free(text);
    json_decref(out);
}
