/* What a component says itself: buttons, selects, inputs, groups of choices, media. Loop thread; no I/O.
 * Source: "Component Reference", whose limits these are. */
#include "platform/api/messages/components_private.h"

#include "platform/api/form.h"
#include "platform/api/messages/messages.h"

#include <stdio.h>

void component_text(struct api_ctx *x, const char *key, unsigned max)
{
    struct str s;

    (void)form_str(x, key, FORM_NULLABLE, 0, max, &s);
}

void component_flag(struct api_ctx *x, const char *key)
{
    bool b;

    (void)form_bool(x, key, FORM_NULLABLE, &b);
}

static bool given(struct api_ctx *x, const char *key)
{
    return form_has(x, key) && !form_is_null(x, key);
}

static void custom_id_read(struct component_checker *k)
{
    struct str id;

    if (!form_str(k->x, "custom_id", FORM_REQUIRED, 1, 100, &id))
        return;
    for (unsigned i = 0; i < k->custom_id_count; i++)
        if (str_eq(k->custom_ids[i], id)) {
            form_error(k->x, "custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated");
            return;
        }
    if (k->custom_id_count < COMPONENT_IDS_MAX)
        k->custom_ids[k->custom_id_count++] = id;
}

/* --- buttons ---------------------------------------------------------------------------------------------------------
 */
static void not_together(struct api_ctx *x, const char *key)
{
    if (given(x, key))
        form_error(x, key, "BUTTON_COMPONENT_FIELD_INVALID", "A button of this style cannot have this field");
}

static void button_check(struct component_checker *k)
{
    struct api_ctx *x = k->x;
    int64_t style = 0;
    struct str s;
    uint64_t id;

    (void)form_i64(x, "style", FORM_REQUIRED, 1, 6, &style);
    component_text(x, "label", 80);
    json_t *emoji = form_object(x, "emoji", FORM_NULLABLE);
    component_flag(x, "disabled");
    if (style == 5) {
        (void)form_str(x, "url", FORM_REQUIRED, 1, 512, &s);
        not_together(x, "custom_id");
        not_together(x, "sku_id");
    } else if (style == 6) {
        (void)form_id(x, "sku_id", FORM_REQUIRED, &id);
        not_together(x, "custom_id");
        not_together(x, "label");
        not_together(x, "url");
        not_together(x, "emoji");
    } else if (style) {
        custom_id_read(k);
        not_together(x, "url");
        not_together(x, "sku_id");
    }
    json_t *label = json_object_get(x->body, "label");
    if (style && style != 6 && !json_string_length(label) && !emoji)
        form_error(x, "", "BUTTON_COMPONENT_LABEL_OR_EMOJI_REQUIRED", "A button must have a label or an emoji");
}

/* --- what is chosen from ---------------------------------------------------------------------------------------------
 */
static void option_check(struct api_ctx *x, json_t *list, size_t at)
{
    struct str s;

    (void)form_str(x, "label", FORM_REQUIRED, 1, 100, &s);
    (void)form_str(x, "value", FORM_REQUIRED, 1, 100, &s);
    component_text(x, "description", 100);
    component_flag(x, "default");
    (void)form_object(x, "emoji", FORM_NULLABLE);
    for (size_t i = 0; i < at; i++)
        if (json_equal(json_object_get(x->body, "value"), json_object_get(json_array_get(list, i), "value"))) {
            form_error(x, "value", "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
                       "The specified option value is already used");
            return;
        }
}

/* Returns how many there are; defaults_max: how many of them may be chosen from the start. */
static int64_t options_check(struct api_ctx *x, int64_t min, int64_t max, int64_t defaults_max)
{
    json_t *list = form_array(x, "options", FORM_REQUIRED, (unsigned)max), *o;
    int64_t defaults = 0;
    size_t i;

    if (list && (int64_t)json_array_size(list) < min)
        form_error(
            x, "options", "BASE_TYPE_BAD_LENGTH",
            arena_printf(x->arena, "Must be between %lld and %lld in length.", (long long)min, (long long)max).p);
    json_array_foreach(list, i, o)
    {
        struct form_scope before = form_enter(x, o, "options.%zu", i);
        option_check(x, list, i);
        form_leave(x, before);
        defaults += json_is_true(json_object_get(o, "default"));
    }
    if (defaults > defaults_max)
        form_error(x, "options", "COMPONENT_DEFAULTS_EXCEEDED", "More options are chosen by default than can be");
    return (int64_t)json_array_size(list);
}

/* How many may be chosen: both bounds up to `most`. In a modal what is required cannot do without. */
static void bounds_read(struct component_checker *k, int64_t most, int64_t *min, int64_t *max)
{
    struct api_ctx *x = k->x;
    bool required = true;

    (void)form_bool(x, "required", FORM_NULLABLE, &required);
    if (given(x, "min_values"))
        (void)form_i64(x, "min_values", FORM_OPTIONAL, 0, most, min);
    if (given(x, "max_values"))
        (void)form_i64(x, "max_values", FORM_OPTIONAL, 1, most, max);
    if (*min > *max)
        form_error(x, "min_values", "SELECT_COMPONENT_MIN_MAX_INVALID", "min_values must not be above max_values");
    if (k->kind == COMPONENTS_MODAL && required && *min < 1)
        form_error(x, "min_values", "NUMBER_TYPE_MIN", "int value should be greater than or equal to 1.");
}

static bool default_fits(int64_t select, const char *type)
{
    bool user = strcmp(type, "user") == 0, role = strcmp(type, "role") == 0;

    return select == COMPONENT_USER_SELECT          ? user
           : select == COMPONENT_ROLE_SELECT        ? role
           : select == COMPONENT_MENTIONABLE_SELECT ? user || role
                                                    : strcmp(type, "channel") == 0;
}

static void defaults_check(struct api_ctx *x, int64_t select, int64_t min, int64_t max)
{
    json_t *list = form_array(x, "default_values", FORM_NULLABLE, 25), *o;
    size_t i;

    if (json_array_size(list) && ((int64_t)json_array_size(list) < min || (int64_t)json_array_size(list) > max))
        form_error(
            x, "default_values", "BASE_TYPE_BAD_LENGTH",
            arena_printf(x->arena, "Must be between %lld and %lld in length.", (long long)min, (long long)max).p);
    json_array_foreach(list, i, o)
    {
        struct form_scope before = form_enter(x, o, "default_values.%zu", i);
        struct str type = STR("");
        uint64_t id;
        (void)form_id(x, "id", FORM_REQUIRED, &id);
        if (form_str(x, "type", FORM_REQUIRED, 1, 16, &type) && !default_fits(select, type.p))
            form_error(x, "type", "BASE_TYPE_CHOICES", "A select of this type has no such default.");
        form_leave(x, before);
    }
}

static void channel_types_check(struct api_ctx *x)
{
    json_t *list = form_array(x, "channel_types", FORM_NULLABLE, 32), *v;
    size_t i;

    json_array_foreach(list, i, v) if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > 16)
        form_error(x, arena_printf(x->arena, "channel_types.%zu", i).p, "BASE_TYPE_CHOICES",
                   "Value must be one of the channel types.");
}

static void select_check(struct component_checker *k, int64_t type)
{
    struct api_ctx *x = k->x;
    int64_t min = 1, max = 1;

    custom_id_read(k);
    component_text(x, "placeholder", 150);
    component_flag(x, "disabled");
    if (k->kind == COMPONENTS_MODAL && json_is_true(json_object_get(x->body, "disabled")))
        form_error(x, "disabled", "COMPONENT_DISABLED_IN_MODAL", "Components of a modal cannot be disabled");
    bounds_read(k, 25, &min, &max);
    if (type == COMPONENT_STRING_SELECT) {
        (void)options_check(x, max, 25, max);
        return;
    }
    if (type == COMPONENT_CHANNEL_SELECT)
        channel_types_check(x);
    defaults_check(x, type, min, max);
}

static void radio_check(struct component_checker *k)
{
    custom_id_read(k);
    component_flag(k->x, "required");
    (void)options_check(k->x, 2, 10, 1);
}

static void checkboxes_check(struct component_checker *k)
{
    json_t *list = json_object_get(k->x->body, "options");
    int64_t min = 1, max = json_array_size(list) ? (int64_t)json_array_size(list) : 1;

    custom_id_read(k);
    bounds_read(k, 10, &min, &max);
    (void)options_check(k->x, 1, 10, max);
}

/* --- what is typed or sent -------------------------------------------------------------------------------------------
 */
static void input_check(struct component_checker *k)
{
    struct api_ctx *x = k->x;
    int64_t n, min = 0, max = 4000;
    struct str s;

    custom_id_read(k);
    (void)form_i64(x, "style", FORM_REQUIRED, 1, 2, &n);
    if (given(x, "label"))
        (void)form_str(x, "label", FORM_OPTIONAL, 1, 45, &s);
    if (given(x, "min_length"))
        (void)form_i64(x, "min_length", FORM_OPTIONAL, 0, 4000, &min);
    if (given(x, "max_length"))
        (void)form_i64(x, "max_length", FORM_OPTIONAL, 1, 4000, &max);
    if (min > max)
        form_error(x, "min_length", "TEXT_INPUT_COMPONENT_MIN_MAX_INVALID", "min_length must not be above max_length");
    component_flag(x, "required");
    component_text(x, "value", 4000);
    component_text(x, "placeholder", 100);
}

bool file_types_check(struct api_ctx *x, const char *key)
{
    json_t *list = form_array(x, key, FORM_NULLABLE, 10), *v;
    bool good = true;
    size_t i;

    json_array_foreach(list, i, v)
    {
        const char *s = json_string_value(v);
        bool fits = s && (strcmp(s, "image") == 0 || strcmp(s, "video") == 0 || strcmp(s, "audio") == 0 ||
                          (s[0] == '.' && s[1] && strlen(s) <= 32));
        if (!fits)
            form_error(x, arena_printf(x->arena, "%s.%zu", key, i).p, "BASE_TYPE_CHOICES",
                       "Value must be one of ('image', 'video', 'audio') or an extension like '.pdf'.");
        good &= fits;
    }
    return good;
}

static void upload_check(struct component_checker *k)
{
    int64_t min = 1, max = 1;

    custom_id_read(k);
    bounds_read(k, 10, &min, &max);
    (void)file_types_check(k->x, "file_types");
}

/* --- media -----------------------------------------------------------------------------------------------------------
 */
static void media_check(struct component_checker *k, const char *key, bool own_only)
{
    struct api_ctx *x = k->x;
    json_t *media = form_object(x, key, FORM_REQUIRED);
    struct str s;

    if (!media)
        return;
    struct form_scope before = form_enter(x, media, "%s", key);
    if (!form_str(x, "url", FORM_REQUIRED, 1, 2048, &s))
        ;
    else if (str_starts(s, STR("attachment://"))) {
        if (!attachment_named(x, k->attachments, k->stored, s))
            form_error(x, "", "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
                       "The referenced attachment was not found");
    } else if (own_only) {
        form_error(x, "url", "URL_TYPE_INVALID_SCHEME", "Scheme must be one of ('attachment').");
    } else if (!str_starts(s, STR("http://")) && !str_starts(s, STR("https://"))) {
        form_error(x, "url", "URL_TYPE_INVALID_SCHEME", "Scheme must be one of ('http', 'https', 'attachment').");
    }
    form_leave(x, before);
}

static void picture_check(struct component_checker *k)
{
    media_check(k, "media", false);
    component_text(k->x, "description", 1024);
    component_flag(k->x, "spoiler");
}

static void gallery_check(struct component_checker *k)
{
    struct api_ctx *x = k->x;
    json_t *items = form_array(x, "items", FORM_REQUIRED, 10), *item;
    size_t i;

    if (items && !json_array_size(items))
        form_error(x, "items", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 10 in length.");
    json_array_foreach(items, i, item)
    {
        struct form_scope before = form_enter(x, item, "items.%zu", i);
        picture_check(k);
        form_leave(x, before);
    }
}

static void text_check(struct component_checker *k)
{
    struct str s;

    if (form_str(k->x, "content", FORM_REQUIRED, 1, 4000, &s))
        k->text_chars += (size_t)utf8_count(s);
}

static void separator_check(struct api_ctx *x)
{
    int64_t n;

    component_flag(x, "divider");
    (void)form_i64(x, "spacing", FORM_NULLABLE, 1, 2, &n);
}

void component_fields_check(struct component_checker *k, int64_t type)
{
    switch ((enum component_type)type) {
    case COMPONENT_BUTTON:
        button_check(k);
        break;
    case COMPONENT_STRING_SELECT:
    case COMPONENT_USER_SELECT:
    case COMPONENT_ROLE_SELECT:
    case COMPONENT_MENTIONABLE_SELECT:
    case COMPONENT_CHANNEL_SELECT:
        select_check(k, type);
        break;
    case COMPONENT_TEXT_INPUT:
        input_check(k);
        break;
    case COMPONENT_FILE_UPLOAD:
        upload_check(k);
        break;
    case COMPONENT_RADIO_GROUP:
        radio_check(k);
        break;
    case COMPONENT_CHECKBOX_GROUP:
        checkboxes_check(k);
        break;
    case COMPONENT_CHECKBOX:
        custom_id_read(k);
        component_flag(k->x, "default");
        break;
    case COMPONENT_TEXT:
        text_check(k);
        break;
    case COMPONENT_THUMBNAIL:
        picture_check(k);
        break;
    case COMPONENT_GALLERY:
        gallery_check(k);
        break;
    case COMPONENT_FILE:
        media_check(k, "file", true);
        component_flag(k->x, "spoiler");
        break;
    case COMPONENT_SEPARATOR:
        separator_check(k->x);
        break;
    case COMPONENT_ROW:
    case COMPONENT_SECTION:
    case COMPONENT_CONTAINER:
    case COMPONENT_LABEL:
        break;
    }
}
