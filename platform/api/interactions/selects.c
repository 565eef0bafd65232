/* Components that people use: selects and their values, modals and what was filled in. Loop thread.
 * Source: "Component Reference". */
#include "platform/api/interactions/interactions.h"

#include "platform/api/form.h"
#include "platform/api/messages/components.h"
#include "platform/base/jw.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static bool has_id(json_t *component, struct str custom_id)
{
    json_t *v = json_object_get(component, "custom_id");

    return json_is_string(v) && str_eq(custom_id, (struct str){json_string_value(v), json_string_length(v)});
}

/* Depth is bounded by the reader of JSON. */
json_t *component_find(json_t *list, struct str custom_id)
{
    json_t *c, *found = NULL;
    size_t i;

    json_array_foreach(list, i, c)
    {
        json_t *accessory = json_object_get(c, "accessory"), *inner = json_object_get(c, "component");
        if (has_id(c, custom_id))
            return c;
        found = component_find(json_object_get(c, "components"), custom_id);
        if (!found && has_id(accessory, custom_id))
            found = accessory;
        if (!found && has_id(inner, custom_id))
            found = inner;
        if (found)
            return found;
    }
    return NULL;
}

/* What a select of this type picks, as an option's type; 0: texts. */
static int kind_of(int component_type)
{
    switch (component_type) {
    case COMPONENT_USER_SELECT:
        return OPTION_USER;
    case COMPONENT_ROLE_SELECT:
        return OPTION_ROLE;
    case COMPONENT_MENTIONABLE_SELECT:
        return OPTION_MENTIONABLE;
    case COMPONENT_CHANNEL_SELECT:
        return OPTION_CHANNEL;
    default:
        return 0;
    }
}

static bool offered(json_t *component, json_t *value)
{
    json_t *o;
    size_t i;

    json_array_foreach(json_object_get(component, "options"), i,
                       o) if (json_equal(json_object_get(o, "value"), value)) return true;
    return false;
}

static int64_t number_at(json_t *o, const char *key, int64_t otherwise)
{
    json_t *v = json_object_get(o, key);

    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

void select_values_read(struct api_ctx *x, struct resolver *r, json_t *component, json_t *values, struct buf *out)
{
    int kind = kind_of((int)number_at(component, "type", 0));
    int64_t count = (int64_t)json_array_size(values);
    bool optional = json_is_false(json_object_get(component, "required"));
    json_t *v;
    size_t i;

    if (!json_is_array(values) || (!(optional && !count) && count < number_at(component, "min_values", 1)) ||
        count > number_at(component, "max_values", 1))
        form_error(x, "values", "BASE_TYPE_BAD_LENGTH", "So many values cannot be chosen.");
    jw_arr(out);
    json_array_foreach(values, i, v)
    {
        uint64_t id = 0;
        bool fits = kind ? json_value_id(v, &id) == 0 : json_is_string(v) && offered(component, v);
        if (fits && kind == OPTION_CHANNEL)
            fits = resolve_channel_fits(r, component, id);
        if (!fits)
            form_error(x, "values", "COMPONENT_SELECT_VALUE_INVALID", "This value cannot be chosen.");
        else if (kind)
            resolve_want(r, kind, id);
        if (json_is_string(v))
            jw_str(out, (struct str){json_string_value(v), json_string_length(v)});
    }
    jw_arr_end(out);
}

/* --- what came back in a modal ---------------------------------------------------------------------------------------
 */
static void text_value(struct api_ctx *x, json_t *input, json_t *given, struct buf *out)
{
    json_t *v = json_object_get(given, "value");
    struct str s = json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)} : STR("");
    int64_t n = utf8_count(s);
    bool required = !json_is_false(json_object_get(input, "required"));

    if (!n && !required)
        ;
    else if (!n)
        form_error(x, "value", "BASE_TYPE_REQUIRED", "This field is required");
    else if (n < number_at(input, "min_length", 0) || n > number_at(input, "max_length", 4000))
        form_error(x, "value", "BASE_TYPE_BAD_LENGTH", "The value is too short or too long.");
    jw_kstr(out, "value", s);
}

/* The chosen ones of a group, each once, as texts. */
static void group_values(struct api_ctx *x, json_t *input, json_t *values, struct buf *out)
{
    int64_t options = (int64_t)json_array_size(json_object_get(input, "options"));
    int64_t count = (int64_t)json_array_size(values);
    bool required = !json_is_false(json_object_get(input, "required"));
    json_t *v;
    size_t i;

    if ((count || required) &&
        (count < number_at(input, "min_values", 1) || count > number_at(input, "max_values", options)))
        form_error(x, "values", "BASE_TYPE_BAD_LENGTH", "So many values cannot be chosen.");
    jw_karr(out, "values");
    json_array_foreach(values, i, v)
    {
        if (!json_is_string(v) || !offered(input, v))
            form_error(x, "values", "COMPONENT_SELECT_VALUE_INVALID", "This value cannot be chosen.");
        else
            jw_str(out, (struct str){json_string_value(v), json_string_length(v)});
    }
    jw_arr_end(out);
}

/* One of a group, or null. */
static void radio_value(struct api_ctx *x, json_t *input, json_t *v, struct buf *out)
{
    bool none = !v || json_is_null(v);

    if (none && !json_is_false(json_object_get(input, "required")))
        form_error(x, "value", "BASE_TYPE_REQUIRED", "This field is required");
    else if (!none && (!json_is_string(v) || !offered(input, v)))
        form_error(x, "value", "COMPONENT_SELECT_VALUE_INVALID", "This value cannot be chosen.");
    jw_kstr(out, "value", json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)} : STR_NONE);
}

/* Files of the request by their index, as an attachment option names them. */
static void upload_values(struct api_ctx *x, struct resolver *r, json_t *input, json_t *values, struct buf *out)
{
    int64_t count = (int64_t)json_array_size(values);
    bool required = !json_is_false(json_object_get(input, "required"));
    json_t *v;
    size_t i;

    if ((count || required) && (count < number_at(input, "min_values", 1) || count > number_at(input, "max_values", 1)))
        form_error(x, "values", "BASE_TYPE_BAD_LENGTH", "So many files cannot be sent.");
    jw_karr(out, "values");
    json_array_foreach(values, i, v)
    {
        json_t *id = resolve_upload(r, json_object_get(input, "file_types"), v, "values");
        if (id)
            jw_str(out, str_c(json_string_value(id)));
        json_decref(id);
    }
    jw_arr_end(out);
}

static void value_write(struct api_ctx *x, struct resolver *r, json_t *input, json_t *given, struct buf *out)
{
    int type = (int)number_at(input, "type", 0);
    json_t *values = json_object_get(given, "values"), *none = json_array();

    switch (type) {
    case COMPONENT_TEXT_INPUT:
        text_value(x, input, given, out);
        break;
    case COMPONENT_FILE_UPLOAD:
        upload_values(x, r, input, values, out);
        break;
    case COMPONENT_RADIO_GROUP:
        radio_value(x, input, json_object_get(given, "value"), out);
        break;
    case COMPONENT_CHECKBOX_GROUP:
        group_values(x, input, values, out);
        break;
    case COMPONENT_CHECKBOX:
        jw_kbool(out, "value", json_is_true(json_object_get(given, "value")));
        break;
    default:
        jw_key(out, "values");
        select_values_read(x, r, input, values ? values : none, out);
        break;
    }
    json_decref(none);
}

/* Errors are told where the person's client has it. */
static void input_write(struct api_ctx *x, struct resolver *r, json_t *input, json_t *given_list, const char *path,
                        struct buf *out)
{
    const char *id = json_string_value(json_object_get(input, "custom_id"));
    json_t *given = id ? component_find(given_list, str_c(id)) : NULL;
    struct form_scope before = form_enter(x, given, "%s", path);

    jw_obj(out);
    jw_ki64(out, "type", number_at(input, "type", 0));
    jw_ki64(out, "id", number_at(input, "id", 0));
    if (id)
        jw_kcstr(out, "custom_id", id);
    value_write(x, r, input, given, out);
    jw_obj_end(out);
    form_leave(x, before);
}

void modal_values_read(struct api_ctx *x, struct resolver *r, json_t *modal, struct buf *out)
{
    json_t *given = form_array(x, "components", FORM_REQUIRED, 10), *c, *inner;
    char path[64];
    size_t i, k;

    jw_karr(out, "components");
    json_array_foreach(json_object_get(modal, "components"), i, c)
    {
        jw_obj(out);
        jw_ki64(out, "type", number_at(c, "type", 0));
        jw_ki64(out, "id", number_at(c, "id", 0));
        if (json_object_get(c, "component")) {
            jw_key(out, "component");
            snprintf(path, sizeof path, "components.%zu.component", i);
            input_write(x, r, json_object_get(c, "component"), given, path, out);
        } else if (json_object_get(c, "components")) {
            jw_karr(out, "components");
            json_array_foreach(json_object_get(c, "components"), k, inner)
            {
                snprintf(path, sizeof path, "components.%zu.components.%zu", i, k);
                input_write(x, r, inner, given, path, out);
            }
            jw_arr_end(out);
        }
        jw_obj_end(out);
    }
    jw_arr_end(out);
}

struct str modal_read(struct api_ctx *x)
{
    struct str custom_id = STR_NONE, title = STR_NONE;
    struct buf b = {0};

    (void)form_str(x, "custom_id", FORM_REQUIRED, 1, 100, &custom_id);
    (void)form_str(x, "title", FORM_REQUIRED, 1, 45, &title);
    struct str components = components_read(x, COMPONENTS_MODAL, STR_NONE);
    jw_obj(&b);
    jw_kstr(&b, "custom_id", custom_id);
    jw_kstr(&b, "title", title);
    jw_kraw(&b, "components", components);
    jw_obj_end(&b);
    struct str s = arena_str(x->arena, buf_str(&b));
    buf_done(&b);
    return s;
}
