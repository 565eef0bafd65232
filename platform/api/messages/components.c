/* Components: which may stand where, and what each must say. They are kept as they came, with ids for those that had
 * none. Loop thread; no I/O. Source: "Component Reference", whose limits these are. */
#include "platform/api/messages/components_private.h"

#include "platform/api/form.h"

#include <stdio.h>
#include <stdlib.h>

enum place { IN_TOP, IN_ROW, IN_SECTION, IN_ACCESSORY, IN_CONTAINER, IN_LABEL };

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

/* --- what holds others
 * ------------------------------------------------------------------------------------------------
 */
static void component_check(struct component_checker *k, json_t *c, enum place place);

static json_t *children_check(struct component_checker *k, const char *key, enum place place, unsigned min,
                              unsigned max)
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

static void child_check(struct component_checker *k, const char *key, enum place place)
{
    json_t *c = form_object(k->x, key, FORM_REQUIRED);

    if (!c)
        return;
    struct form_scope before = form_enter(k->x, c, "%s", key);
    component_check(k, c, place);
    form_leave(k->x, before);
}

/* Five buttons, or one of anything else. */
static void row_check(struct component_checker *k)
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

static void label_check(struct component_checker *k)
{
    struct str s;

    (void)form_str(k->x, "label", FORM_REQUIRED, 1, 45, &s);
    component_text(k->x, "description", 100);
    child_check(k, "component", IN_LABEL);
}

static void container_check(struct component_checker *k)
{
    int64_t color;

    (void)children_check(k, "components", IN_CONTAINER, 1, 40);
    (void)form_i64(k->x, "accent_color", FORM_NULLABLE, 0, 0xFFFFFF, &color);
    component_flag(k->x, "spoiler");
}

static void content_check(struct component_checker *k, int64_t type)
{
    switch (type) {
    case COMPONENT_ROW:
        row_check(k);
        break;
    case COMPONENT_SECTION:
        (void)children_check(k, "components", IN_SECTION, 1, 3);
        child_check(k, "accessory", IN_ACCESSORY);
        break;
    case COMPONENT_CONTAINER:
        container_check(k);
        break;
    case COMPONENT_LABEL:
        label_check(k);
        break;
    default:
        component_fields_check(k, type);
        break;
    }
}

/* 0 is none; a component without one gets a number that no other has. */
static void id_read(struct component_checker *k)
{
    int64_t id = 0;

    if (!form_i64(k->x, "id", FORM_NULLABLE, 0, INT32_MAX, &id) || !id)
        return;
    for (unsigned i = 0; i < k->id_count; i++)
        if (k->ids[i] == id) {
            form_error(k->x, "id", "COMPONENT_ID_DUPLICATED", "Component id cannot be duplicated");
            return;
        }
    if (k->id_count < COMPONENT_IDS_MAX)
        k->ids[k->id_count++] = id;
}

static void component_check(struct component_checker *k, json_t *c, enum place place)
{
    struct api_ctx *x = k->x;
    uint32_t allowed = allowed_in(place, k->kind);
    json_t *type = json_object_get(c, "type");
    int64_t t = json_integer_value(type);

    k->count++;
    if (!json_is_object(c)) {
        form_error(x, "", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType");
        return;
    }
    if (!json_is_integer(type) || t < 1 || t > 31 || !(allowed & BIT((unsigned)t))) {
        type_error(x, allowed);
        return;
    }
    id_read(k);
    content_check(k, t);
}

/* --- ids
 * ---------------------------------------------------------------------------------------------------------------
 */
static int64_t next_id(const struct component_checker *k, int64_t *last)
{
    for (bool taken = true; taken;) {
        taken = false;
        ++*last;
        for (unsigned i = 0; i < k->id_count; i++)
            taken |= k->ids[i] == *last;
    }
    return *last;
}

/* Of media only the URL is the sender's; the rest is found whenever it is written. */
static void media_strip(json_t *holder, const char *key)
{
    json_t *media = json_object_get(holder, key);

    if (json_is_object(media))
        json_object_set_new(holder, key, json_pack("{s:O}", "url", json_object_get(media, "url")));
}

static void strip(json_t *c)
{
    json_t *item;
    size_t i;

    media_strip(c, "media");
    media_strip(c, "file");
    json_array_foreach(json_object_get(c, "items"), i, item) media_strip(item, "media");
    if (json_object_get(c, "file")) {
        json_object_del(c, "name");
        json_object_del(c, "size");
    }
}

static void number(const struct component_checker *k, json_t *c, int64_t *last)
{
    json_t *child;
    size_t i;

    strip(c);

    if (json_integer_value(json_object_get(c, "id")) == 0)
        json_object_set_new(c, "id", json_integer(next_id(k, last)));
    json_array_foreach(json_object_get(c, "components"), i, child) number(k, child, last);
    if (json_is_object(json_object_get(c, "accessory")))
        number(k, json_object_get(c, "accessory"), last);
    if (json_is_object(json_object_get(c, "component")))
        number(k, json_object_get(c, "component"), last);
}

struct str components_read(struct api_ctx *x, enum components_kind kind, struct str attachments)
{
    struct component_checker k = {
        .x = x, .kind = kind, .stored = attachments, .attachments = json_object_get(x->body, "attachments")};
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

static void texts_add(json_t *list, struct buf *out)
{
    json_t *c;
    size_t i;

    json_array_foreach(list, i, c)
    {
        if (json_integer_value(json_object_get(c, "type")) == COMPONENT_TEXT) {
            buf_adds(out, json_string_value(json_object_get(c, "content")));
            buf_addc(out, '\n');
        }
        texts_add(json_object_get(c, "components"), out);
    }
}

struct str components_text(struct arena *a, struct str components)
{
    json_t *list = components.n ? json_loadb(components.p, components.n, 0, NULL) : NULL;
    struct buf b = {0};

    texts_add(list, &b);
    json_decref(list);
    struct str s = arena_str(a, buf_str(&b));
    buf_done(&b);
    return s;
}
