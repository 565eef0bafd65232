/* Components: which may stand where, and what each must say. They are kept as they came, with ids for those that had
 * none. Loop thread; no I/O. Source: "Component Reference", whose limits these are. */
#include "platform/api/messages/components.h"

#include "platform/api/form.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define IDS_MAX 64

enum place { IN_TOP, IN_ROW, IN_SECTION, IN_ACCESSORY, IN_CONTAINER, IN_LABEL };

struct checker {
    struct api_ctx *x;
    enum components_kind kind;
    unsigned count;
    size_t text_chars;
    struct str custom_ids[IDS_MAX];
    unsigned custom_id_count;
    int64_t ids[IDS_MAX];
    unsigned id_count;
};

#define BIT(type) (1u << (type))
#define SELECTS                                                                                                        \
    (BIT(COMPONENT_STRING_SELECT) | BIT(COMPONENT_USER_SELECT) | BIT(COMPONENT_ROLE_SELECT) |                          \
     BIT(COMPONENT_MENTIONABLE_SELECT) | BIT(COMPONENT_CHANNEL_SELECT))
#define BLOCKS                                                                                                         \
    (BIT(COMPONENT_ROW) | BIT(COMPONENT_SECTION) | BIT(COMPONENT_TEXT) | BIT(COMPONENT_GALLERY) |                      \
     BIT(COMPONENT_FILE) | BIT(COMPONENT_SEPARATOR))

static uint32_t allowed_in(enum place place, enum components_kind kind)
{
    switch (place) {
    case IN_TOP:
        if (kind == COMPONENTS_MODAL)
            return BIT(COMPONENT_ROW) | BIT(COMPONENT_LABEL) | BIT(COMPONENT_TEXT);
        return kind == COMPONENTS_LEGACY ? BIT(COMPONENT_ROW) : BLOCKS | BIT(COMPONENT_CONTAINER);
    case IN_ROW:
        return kind == COMPONENTS_MODAL ? BIT(COMPONENT_TEXT_INPUT) : SELECTS | BIT(COMPONENT_BUTTON);
    case IN_SECTION:
        return BIT(COMPONENT_TEXT);
    case IN_ACCESSORY:
        return BIT(COMPONENT_BUTTON) | BIT(COMPONENT_THUMBNAIL);
    case IN_CONTAINER:
        return BLOCKS;
    case IN_LABEL:
        return SELECTS | BIT(COMPONENT_TEXT_INPUT) | BIT(COMPONENT_FILE_UPLOAD) | BIT(COMPONENT_RADIO_GROUP) |
               BIT(COMPONENT_CHECKBOX_GROUP) | BIT(COMPONENT_CHECKBOX);
    }
    return 0;
}

static void type_error(struct api_ctx *x, uint32_t allowed)
{
    char text[160];
    size_t n = (size_t)snprintf(text, sizeof text, "Value of field \"type\" must be one of (");

    for (unsigned t = 1; t < 32 && n < sizeof text; t++)
        if (allowed & BIT(t))
            n += (size_t)snprintf(text + n, sizeof text - n, "%u, ", t);
    if (n >= 2 && n < sizeof text)
        snprintf(text + n - 2, sizeof text - n + 2, ").");
    form_error(x, "", "UNION_TYPE_CHOICES", text);
}

static void custom_id_read(struct checker *k)
{
    struct str id;

    if (!form_str(k->x, "custom_id", FORM_REQUIRED, 1, 100, &id))
        return;
    for (unsigned i = 0; i < k->custom_id_count; i++)
        if (str_eq(k->custom_ids[i], id)) {
            form_error(k->x, "custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated");
            return;
        }
    if (k->custom_id_count < IDS_MAX)
        k->custom_ids[k->custom_id_count++] = id;
}

static void optional_text(struct api_ctx *x, const char *key, unsigned max)
{
    struct str s;

    (void)form_str(x, key, FORM_NULLABLE, 0, max, &s);
}

static void flag(struct api_ctx *x, const char *key)
{
    bool b;

    (void)form_bool(x, key, FORM_NULLABLE, &b);
}

/* --- buttons, selects, inputs ----------------------------------------------------------------------------------------
 */
static void not_together(struct api_ctx *x, const char *key)
{
    if (form_has(x, key) && !form_is_null(x, key))
        form_error(x, key, "BUTTON_COMPONENT_FIELD_INVALID", "A button of this style cannot have this field");
}

static void button_check(struct checker *k)
{
    struct api_ctx *x = k->x;
    int64_t style = 0;
    struct str s;
    uint64_t id;

    (void)form_i64(x, "style", FORM_REQUIRED, 1, 6, &style);
    optional_text(x, "label", 80);
    (void)form_object(x, "emoji", FORM_NULLABLE);
    flag(x, "disabled");
    if (style == 5) {
        (void)form_str(x, "url", FORM_REQUIRED, 1, 512, &s);
        not_together(x, "custom_id");
    } else if (style == 6) {
        (void)form_id(x, "sku_id", FORM_REQUIRED, &id);
        not_together(x, "custom_id");
        not_together(x, "label");
        not_together(x, "url");
    } else if (style) {
        custom_id_read(k);
        not_together(x, "url");
    }
    json_t *label = json_object_get(x->body, "label"), *emoji = json_object_get(x->body, "emoji");
    if (style && style != 6 && !json_string_length(label) && !json_is_object(emoji))
        form_error(x, "", "BUTTON_COMPONENT_LABEL_OR_EMOJI_REQUIRED", "A button must have a label or an emoji");
}

static void options_check(struct api_ctx *x)
{
    json_t *list = form_array(x, "options", FORM_REQUIRED, 25), *o;
    size_t i, k;

    if (list && !json_array_size(list))
        form_error(x, "options", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 25 in length.");
    json_array_foreach(list, i, o)
    {
        struct str s;
        struct form_scope before = form_enter(x, o, "options.%zu", i);
        (void)form_str(x, "label", FORM_REQUIRED, 1, 100, &s);
        (void)form_str(x, "value", FORM_REQUIRED, 1, 100, &s);
        optional_text(x, "description", 100);
        flag(x, "default");
        for (k = 0; k < i; k++)
            if (json_equal(json_object_get(o, "value"), json_object_get(json_array_get(list, k), "value")))
                form_error(x, "value", "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
                           "The specified option value is already used");
        form_leave(x, before);
    }
}

static void select_check(struct checker *k, int64_t type)
{
    struct api_ctx *x = k->x;
    int64_t min = 1, max = 1;

    custom_id_read(k);
    optional_text(x, "placeholder", 150);
    flag(x, "disabled");
    flag(x, "required");
    if (form_has(x, "min_values") && !form_is_null(x, "min_values"))
        (void)form_i64(x, "min_values", FORM_OPTIONAL, 0, 25, &min);
    if (form_has(x, "max_values") && !form_is_null(x, "max_values"))
        (void)form_i64(x, "max_values", FORM_OPTIONAL, 1, 25, &max);
    if (min > max)
        form_error(x, "min_values", "SELECT_COMPONENT_MIN_MAX_INVALID", "min_values must not be above max_values");
    if (type == COMPONENT_STRING_SELECT)
        options_check(x);
    else if (type == COMPONENT_CHANNEL_SELECT)
        (void)form_array(x, "channel_types", FORM_NULLABLE, 32);
    (void)form_array(x, "default_values", FORM_NULLABLE, 25);
}

static void input_check(struct checker *k)
{
    struct api_ctx *x = k->x;
    int64_t n, min = 0, max = 4000;
    struct str s;

    custom_id_read(k);
    (void)form_i64(x, "style", FORM_REQUIRED, 1, 2, &n);
    if (form_has(x, "label") && !form_is_null(x, "label"))
        (void)form_str(x, "label", FORM_OPTIONAL, 1, 45, &s);
    if (form_has(x, "min_length") && !form_is_null(x, "min_length"))
        (void)form_i64(x, "min_length", FORM_OPTIONAL, 0, 4000, &min);
    if (form_has(x, "max_length") && !form_is_null(x, "max_length"))
        (void)form_i64(x, "max_length", FORM_OPTIONAL, 1, 4000, &max);
    if (min > max)
        form_error(x, "min_length", "TEXT_INPUT_COMPONENT_MIN_MAX_INVALID", "min_length must not be above max_length");
    flag(x, "required");
    optional_text(x, "value", 4000);
    optional_text(x, "placeholder", 100);
}

/* --- what holds others
 * ------------------------------------------------------------------------------------------------
 */
static void component_check(struct checker *k, json_t *c, enum place place);

static json_t *children_check(struct checker *k, const char *key, enum place place, unsigned min, unsigned max)
{
    struct api_ctx *x = k->x;
    json_t *list = form_array(x, key, FORM_REQUIRED, max), *c;
    size_t i;

    if (list && json_array_size(list) < min)
        form_error(x, key, "BASE_TYPE_BAD_LENGTH",
                   arena_printf(x->arena, "Must be between %u and %u in length.", min, max).p);
    json_array_foreach(list, i, c)
    {
        struct form_scope before = form_enter(x, c, "%s.%zu", key, i);
        component_check(k, c, place);
        form_leave(x, before);
    }
    return list;
}

static void child_check(struct checker *k, const char *key, enum place place)
{
    json_t *c = form_object(k->x, key, FORM_REQUIRED);

    if (!c)
        return;
    struct form_scope before = form_enter(k->x, c, "%s", key);
    component_check(k, c, place);
    form_leave(k->x, before);
}

/* Five buttons, or one of anything else. */
static void row_check(struct checker *k)
{
    json_t *list = children_check(k, "components", IN_ROW, 1, 5), *c;
    size_t i;

    json_array_foreach(list, i, c) if (json_integer_value(json_object_get(c, "type")) != COMPONENT_BUTTON &&
                                       json_array_size(list) > 1)
    {
        form_error(k->x, "components", "COMPONENT_LAYOUT_WIDTH_EXCEEDED", "The maximum row width has been exceeded.");
        return;
    }
}

static void media_check(struct api_ctx *x, const char *key)
{
    json_t *media = form_object(x, key, FORM_REQUIRED);
    struct str s;

    if (!media)
        return;
    struct form_scope before = form_enter(x, media, "%s", key);
    (void)form_str(x, "url", FORM_REQUIRED, 1, 2048, &s);
    form_leave(x, before);
}

static void gallery_check(struct api_ctx *x)
{
    json_t *items = form_array(x, "items", FORM_REQUIRED, 10), *item;
    size_t i;

    if (items && !json_array_size(items))
        form_error(x, "items", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 10 in length.");
    json_array_foreach(items, i, item)
    {
        struct form_scope before = form_enter(x, item, "items.%zu", i);
        media_check(x, "media");
        form_leave(x, before);
    }
}

static void text_check(struct checker *k)
{
    struct str s;

    if (form_str(k->x, "content", FORM_REQUIRED, 1, 4000, &s))
        k->text_chars += (size_t)utf8_count(s);
}

static void label_check(struct checker *k)
{
    struct str s;

    (void)form_str(k->x, "label", FORM_REQUIRED, 1, 45, &s);
    optional_text(k->x, "description", 100);
    child_check(k, "component", IN_LABEL);
}

static void content_check(struct checker *k, int64_t type)
{
    switch ((enum component_type)type) {
    case COMPONENT_ROW:
        row_check(k);
        break;
    case COMPONENT_BUTTON:
        button_check(k);
        break;
    case COMPONENT_TEXT_INPUT:
        input_check(k);
        break;
    case COMPONENT_STRING_SELECT:
    case COMPONENT_USER_SELECT:
    case COMPONENT_ROLE_SELECT:
    case COMPONENT_MENTIONABLE_SELECT:
    case COMPONENT_CHANNEL_SELECT:
        select_check(k, type);
        break;
    case COMPONENT_SECTION:
        (void)children_check(k, "components", IN_SECTION, 1, 3);
        child_check(k, "accessory", IN_ACCESSORY);
        break;
    case COMPONENT_TEXT:
        text_check(k);
        break;
    case COMPONENT_THUMBNAIL:
        media_check(k->x, "media");
        break;
    case COMPONENT_GALLERY:
        gallery_check(k->x);
        break;
    case COMPONENT_FILE:
        media_check(k->x, "file");
        break;
    case COMPONENT_SEPARATOR:
        break;
    case COMPONENT_CONTAINER:
        (void)children_check(k, "components", IN_CONTAINER, 1, 40);
        break;
    case COMPONENT_LABEL:
        label_check(k);
        break;
    case COMPONENT_FILE_UPLOAD:
    case COMPONENT_RADIO_GROUP:
    case COMPONENT_CHECKBOX_GROUP:
    case COMPONENT_CHECKBOX:
        custom_id_read(k);
        break;
    }
}

static void component_check(struct checker *k, json_t *c, enum place place)
{
    struct api_ctx *x = k->x;
    uint32_t allowed = allowed_in(place, k->kind);
    json_t *type = json_object_get(c, "type");
    int64_t t = json_integer_value(type), id = 0;

    k->count++;
    if (!json_is_object(c)) {
        form_error(x, "", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType");
        return;
    }
    if (!json_is_integer(type) || t < 1 || t > 31 || !(allowed & BIT((unsigned)t))) {
        type_error(x, allowed);
        return;
    }
    if (form_i64(x, "id", FORM_NULLABLE, 0, INT32_MAX, &id) && id && k->id_count < IDS_MAX)
        k->ids[k->id_count++] = id;
    content_check(k, t);
}

/* --- ids
 * ---------------------------------------------------------------------------------------------------------------
 */
static int64_t next_id(const struct checker *k, int64_t *last)
{
    for (bool taken = true; taken;) {
        taken = false;
        ++*last;
        for (unsigned i = 0; i < k->id_count; i++)
            taken |= k->ids[i] == *last;
    }
    return *last;
}

static void number(const struct checker *k, json_t *c, int64_t *last)
{
    json_t *child;
    size_t i;

    if (json_integer_value(json_object_get(c, "id")) == 0)
        json_object_set_new(c, "id", json_integer(next_id(k, last)));
    json_array_foreach(json_object_get(c, "components"), i, child) number(k, child, last);
    if (json_is_object(json_object_get(c, "accessory")))
        number(k, json_object_get(c, "accessory"), last);
    if (json_is_object(json_object_get(c, "component")))
        number(k, json_object_get(c, "component"), last);
}

struct str components_read(struct api_ctx *x, enum components_kind kind)
{
    struct checker k = {.x = x, .kind = kind};
    json_t *given = json_object_get(x->body, "components"), *c;
    int64_t last = 0;
    size_t i;

    if (kind != COMPONENTS_MODAL && (!given || json_is_null(given) || !json_array_size(given))) {
        (void)form_array(x, "components", FORM_NULLABLE, 40);
        return STR_NONE;
    }
    unsigned top_max = kind == COMPONENTS_V2 ? 40 : 5;
    json_t *list = children_check(&k, "components", IN_TOP, 1, top_max);
    if (k.count > 40)
        form_error(x, "components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
                   "The total number of components exceeds 40.");
    if (k.text_chars > 4000)
        form_error(x, "components", "COMPONENT_MAX_TEXT_SIZE_EXCEEDED", "The total size of the text exceeds 4000.");
    if (form_result(x) != API_OK)
        return STR_NONE;
    list = json_deep_copy(list);
    json_array_foreach(list, i, c) number(&k, c, &last);
    char *text = json_dumps(list, JSON_COMPACT);
    struct str s = text ? arena_str(x->arena, str_c(text)) : STR_NONE;
    free(text);
    json_decref(list);
    return s;
}
