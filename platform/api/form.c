/* Reading JSON bodies and query strings, collecting what is wrong. Loop thread.
 * Source: Discord API documentation, "Reference: Error Messages". */
#include "platform/api/form.h"

#include "platform/api/api_private.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* Errors wait in form_errors as path NUL code NUL message NUL, at most LIMIT_API_FORM_ERRORS of them. */
void form_error(struct api_ctx *x, const char *path, const char *code, const char *message)
{
    unsigned nuls = 0;

    if (x->form_path)
        path = arena_printf(x->arena, "%s%s%s", x->form_path, *path ? "." : "", path).p;
    const char *parts[] = {path, code, message};

    for (size_t i = 0; i < x->form_errors.len; i++)
        nuls += x->form_errors.data[i] == 0;
    if (nuls >= 3 * LIMIT_API_FORM_ERRORS)
        return;
    for (int i = 0; i < 3; i++)
        buf_add(&x->form_errors, parts[i], strlen(parts[i]) + 1);
}

enum api_error form_result(struct api_ctx *x)
{
    return x->form_errors.len ? API_ERROR_INVALID_FORM_BODY : API_OK;
}

struct form_scope form_enter(struct api_ctx *x, json_t *object, const char *fmt, ...)
{
    struct form_scope before = {x->body, x->form_path};
    char path[96];
    va_list args;

    va_start(args, fmt);
    vsnprintf(path, sizeof path, fmt, args); // NOLINT(clang-analyzer-valist.Uninitialized): va_start is above
    va_end(args);
    x->form_path = arena_printf(x->arena, "%s%s%s", before.path ? before.path : "", before.path ? "." : "", path).p;
    x->body = object;
    return before;
}

void form_leave(struct api_ctx *x, struct form_scope before)
{
    x->body = before.body;
    x->form_path = before.path;
}

/* The object at "a.0.b" below root, made on the way. Borrowed. */
static json_t *error_node(json_t *root, const char *path)
{
    while (*path) {
        size_t n = strcspn(path, ".");
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)(n < sizeof key ? n : sizeof key - 1), path);
        json_t *child = json_object_get(root, key);
        if (!child) {
            child = json_object();
            json_object_set_new(root, key, child);
        }
        root = child;
        path += n;
        path += *path == '.';
    }
    return root;
}

json_t *form_errors_tree(const struct buf *errors)
{
    json_t *root = json_object();
    const char *p = errors->data, *end = errors->len ? p + errors->len : p;

    while (p < end) {
        const char *path = p, *code = path + strlen(path) + 1, *message = code + strlen(code) + 1;
        json_t *node = error_node(root, path), *list = json_object_get(node, "_errors");
        if (!list) {
            list = json_array();
            json_object_set_new(node, "_errors", list);
        }
        json_array_append_new(list, json_pack("{s:s, s:s}", "code", code, "message", message));
        p = message + strlen(message) + 1;
    }
    return root;
}

static json_t *member(struct api_ctx *x, const char *key)
{
    return json_is_object(x->body) ? json_object_get(x->body, key) : NULL;
}

bool form_has(struct api_ctx *x, const char *key)
{
    return member(x, key) != NULL;
}

bool form_is_null(struct api_ctx *x, const char *key)
{
    return json_is_null(member(x, key));
}

enum presence { PRESENT, AS_NONE, ABSENT };

static enum presence member_find(struct api_ctx *x, const char *key, enum form_need need, json_t **ret)
{
    *ret = member(x, key);
    if (*ret && !json_is_null(*ret))
        return PRESENT;
    if (*ret && need == FORM_NULLABLE)
        return AS_NONE;
    if (need == FORM_REQUIRED)
        form_error(x, key, "BASE_TYPE_REQUIRED", "This field is required");
    return ABSENT;
}

static void error_length(struct api_ctx *x, const char *key, unsigned min, unsigned max)
{
    char text[96];

    if (min == 0)
        snprintf(text, sizeof text, "Must be %u or fewer in length.", max);
    else
        snprintf(text, sizeof text, "Must be between %u and %u in length.", min, max);
    form_error(x, key, min ? "BASE_TYPE_BAD_LENGTH" : "BASE_TYPE_MAX_LENGTH", text);
}

static void error_number(struct api_ctx *x, const char *key, const char *kind)
{
    char text[64];

    snprintf(text, sizeof text, "Value is not %s.", kind);
    form_error(x, key, "NUMBER_TYPE_COERCE", text);
}

bool form_str(struct api_ctx *x, const char *key, enum form_need need, unsigned min, unsigned max, struct str *ret)
{
    json_t *v;
    enum presence p = member_find(x, key, need, &v);

    if (p == AS_NONE)
        *ret = STR_NONE;
    if (p != PRESENT)
        return p == AS_NONE;
    if (!json_is_string(v)) {
        form_error(x, key, "STRING_TYPE_CONVERT", "Could not interpret the value as string.");
        return false;
    }
    struct str s = {json_string_value(v), json_string_length(v)};
    int64_t n = utf8_count(s);
    if (need == FORM_REQUIRED && n == 0 && min > 0) {
        form_error(x, key, "BASE_TYPE_REQUIRED", "This field is required");
        return false;
    }
    if (n < min || n > max) {
        error_length(x, key, min, max);
        return false;
    }
    *ret = s;
    return true;
}

int json_value_i64(const json_t *v, int64_t *ret)
{
    if (json_is_integer(v)) {
        *ret = json_integer_value(v);
        return 0;
    }
    if (json_is_real(v)) {
        double d = json_real_value(v);
        if (d != floor(d) || d < -9007199254740992.0 || d > 9007199254740992.0)
            return -EINVAL;
        *ret = (int64_t)d;
        return 0;
    }
    if (json_is_string(v))
        return str_to_i64((struct str){json_string_value(v), json_string_length(v)}, ret);
    return -EINVAL;
}

int json_value_id(const json_t *v, uint64_t *ret)
{
    if (json_is_integer(v) && json_integer_value(v) > 0) {
        *ret = (uint64_t)json_integer_value(v);
        return 0;
    }
    if (json_is_string(v))
        return snowflake_parse((struct str){json_string_value(v), json_string_length(v)}, ret);
    return -EINVAL;
}

int json_value_bits(const json_t *v, uint64_t *ret)
{
    int64_t n;

    if (json_value_i64(v, &n) < 0 || n < 0)
        return -EINVAL;
    *ret = (uint64_t)n & PERMISSIONS_ALL;
    return 0;
}

static bool in_range(struct api_ctx *x, const char *key, int64_t v, int64_t min, int64_t max)
{
    char text[96];

    if (v >= min && v <= max)
        return true;
    if (v < min)
        snprintf(text, sizeof text, "int value should be greater than or equal to %lld.", (long long)min);
    else
        snprintf(text, sizeof text, "int value should be less than or equal to %lld.", (long long)max);
    form_error(x, key, v < min ? "NUMBER_TYPE_MIN" : "NUMBER_TYPE_MAX", text);
    return false;
}

bool form_i64(struct api_ctx *x, const char *key, enum form_need need, int64_t min, int64_t max, int64_t *ret)
{
    json_t *v;
    int64_t n = 0;
    enum presence p = member_find(x, key, need, &v);

    if (p == AS_NONE)
        *ret = 0;
    if (p != PRESENT)
        return p == AS_NONE;
    if (json_value_i64(v, &n) < 0) {
        error_number(x, key, "int");
        return false;
    }
    if (!in_range(x, key, n, min, max))
        return false;
    *ret = n;
    return true;
}

bool form_bool(struct api_ctx *x, const char *key, enum form_need need, bool *ret)
{
    json_t *v;
    enum presence p = member_find(x, key, need, &v);

    if (p == AS_NONE)
        *ret = false;
    if (p != PRESENT)
        return p == AS_NONE;
    if (!json_is_boolean(v)) {
        form_error(x, key, "BOOLEAN_TYPE_CONVERT", "Must be either true or false.");
        return false;
    }
    *ret = json_is_true(v);
    return true;
}

bool form_id(struct api_ctx *x, const char *key, enum form_need need, uint64_t *ret)
{
    json_t *v;
    enum presence p = member_find(x, key, need, &v);

    if (p == AS_NONE)
        *ret = 0;
    if (p != PRESENT)
        return p == AS_NONE;
    if (json_value_id(v, ret) == 0)
        return true;
    error_number(x, key, "snowflake");
    return false;
}

bool form_bits(struct api_ctx *x, const char *key, enum form_need need, uint64_t *ret)
{
    json_t *v;
    enum presence p = member_find(x, key, need, &v);

    if (p == AS_NONE)
        *ret = 0;
    if (p != PRESENT)
        return p == AS_NONE;
    if (json_value_bits(v, ret) == 0)
        return true;
    error_number(x, key, "int");
    return false;
}

json_t *form_object(struct api_ctx *x, const char *key, enum form_need need)
{
    json_t *v;

    if (member_find(x, key, need, &v) != PRESENT)
        return NULL;
    if (json_is_object(v))
        return v;
    form_error(x, key, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType");
    return NULL;
}

json_t *form_array(struct api_ctx *x, const char *key, enum form_need need, unsigned max)
{
    json_t *v;

    if (member_find(x, key, need, &v) != PRESENT)
        return NULL;
    if (!json_is_array(v)) {
        form_error(x, key, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType");
        return NULL;
    }
    if (json_array_size(v) <= max)
        return v;
    error_length(x, key, 0, max);
    return NULL;
}

bool form_ids(struct api_ctx *x, const char *key, enum form_need need, unsigned max, uint64_t **ret,
              unsigned *ret_count)
{
    bool none = need == FORM_NULLABLE && form_is_null(x, key);
    json_t *list = none ? NULL : form_array(x, key, need, max);

    if (!list && !none)
        return false;
    unsigned count = (unsigned)json_array_size(list), n = 0;
    uint64_t *ids = ARENA_ARRAY(x->arena, uint64_t, count);
    for (; n < count; n++)
        if (json_value_id(json_array_get(list, n), &ids[n]) < 0) {
            char path[96];
            snprintf(path, sizeof path, "%s.%u", key, n);
            error_number(x, path, "snowflake");
            return false;
        }
    *ret = ids;
    *ret_count = count;
    return true;
}

/* An empty value counts as absent: clients leave `?limit=` behind. */
static struct str query_value(struct api_ctx *x, const char *key)
{
    return http_request_query(x->req, key);
}

bool query_i64(struct api_ctx *x, const char *key, int64_t min, int64_t max, int64_t *ret)
{
    struct str s = query_value(x, key);
    int64_t n;

    if (s.n == 0)
        return false;
    if (str_to_i64(s, &n) < 0) {
        error_number(x, key, "int");
        return false;
    }
    if (!in_range(x, key, n, min, max))
        return false;
    *ret = n;
    return true;
}

bool query_id(struct api_ctx *x, const char *key, uint64_t *ret)
{
    struct str s = query_value(x, key);

    if (s.n == 0)
        return false;
    if (str_eq(s, STR("0"))) { /* libraries ask for what is after=0: from the beginning */
        *ret = 0;
        return true;
    }
    if (snowflake_parse(s, ret) == 0)
        return true;
    error_number(x, key, "snowflake");
    return false;
}

bool query_bool(struct api_ctx *x, const char *key, bool *ret)
{
    struct str s = query_value(x, key);

    if (s.n == 0)
        return false;
    *ret = str_eq_nocase(s, STR("true")) || str_eq(s, STR("1"));
    return true;
}
