/* JSON values of the public interface: jansson's, kept by the context. Loop thread. */
#include "worker-sdk/src/sdk.h"

#include "platform/base/snowflake.h"
#include "platform/protocol/json_read.h"

#include <stdio.h>
#include <stdlib.h>

static json_t *in(const struct gh_json *v)
{
    return (json_t *)(uintptr_t)v;
}

static struct gh_json *out(json_t *v)
{
    return (struct gh_json *)v;
}

struct gh_json *gh_json_read(struct gh_context *c, const char *text)
{
    json_t *o = NULL;
    return json_read(str_c(text), &o, NULL) == 0 ? out(context_keep(c, o)) : NULL;
}

const char *gh_json_write(struct gh_context *c, const struct gh_json *value)
{
    char *text = value ? json_dumps(in(value), JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    const char *kept = text ? arena_strdup(&c->arena, str_c(text)) : "";
    free(text);
    return kept;
}

const struct gh_json *gh_json_get(const struct gh_json *object, const char *key)
{
    json_t *v = json_object_get(in(object), key);
    return json_is_null(v) ? NULL : out(v);
}

bool gh_json_has(const struct gh_json *object, const char *key)
{
    return json_object_get(in(object), key) != NULL;
}

const struct gh_json *gh_json_at(const struct gh_json *array, size_t i)
{
    json_t *v = json_array_get(in(array), i);
    return json_is_null(v) ? NULL : out(v);
}

size_t gh_json_count(const struct gh_json *v)
{
    return json_is_array(in(v)) ? json_array_size(in(v)) : json_object_size(in(v));
}

const char *gh_json_text(const struct gh_json *v)
{
    return json_is_string(in(v)) ? json_string_value(in(v)) : "";
}

int64_t gh_json_number(const struct gh_json *v)
{
    if (json_is_real(in(v))) {
        double real = json_real_value(in(v));
        return real > -9e18 && real < 9e18 ? (int64_t)real : 0;
    }
    return json_integer_value(in(v));
}

double gh_json_real(const struct gh_json *v)
{
    return json_number_value(in(v));
}

bool gh_json_flag(const struct gh_json *v)
{
    return json_is_true(in(v));
}

uint64_t gh_json_id(const struct gh_json *v)
{
    uint64_t id = 0;
    if (json_is_integer(in(v)))
        return (uint64_t)json_integer_value(in(v));
    return json_is_string(in(v)) && str_to_u64(str_c(json_string_value(in(v))), &id) == 0 ? id : 0;
}

/* --- writing --- */

struct gh_json *gh_json_object(struct gh_context *c)
{
    return out(context_keep(c, json_object()));
}

struct gh_json *gh_json_array(struct gh_context *c)
{
    return out(context_keep(c, json_array()));
}

static struct gh_json *set(struct gh_json *object, const char *key, json_t *v)
{
    json_object_set_new(in(object), key, v);
    return object;
}

static struct gh_json *append(struct gh_json *array, json_t *v)
{
    json_array_append_new(in(array), v);
    return array;
}

static json_t *id_text(uint64_t id)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    return json_string(text);
}

struct gh_json *gh_json_set(struct gh_json *object, const char *key, const struct gh_json *value)
{
    return set(object, key, value ? json_incref(in(value)) : json_null());
}

struct gh_json *gh_json_set_text(struct gh_json *object, const char *key, const char *text)
{
    return set(object, key, json_string(text));
}

struct gh_json *gh_json_set_number(struct gh_json *object, const char *key, int64_t number)
{
    return set(object, key, json_integer(number));
}

struct gh_json *gh_json_set_real(struct gh_json *object, const char *key, double real)
{
    return set(object, key, json_real(real));
}

struct gh_json *gh_json_set_flag(struct gh_json *object, const char *key, bool flag)
{
    return set(object, key, json_boolean(flag));
}

struct gh_json *gh_json_set_id(struct gh_json *object, const char *key, uint64_t id)
{
    return set(object, key, id_text(id));
}

struct gh_json *gh_json_set_null(struct gh_json *object, const char *key)
{
    return set(object, key, json_null());
}

struct gh_json *gh_json_append(struct gh_json *array, const struct gh_json *value)
{
    return append(array, value ? json_incref(in(value)) : json_null());
}

struct gh_json *gh_json_append_text(struct gh_json *array, const char *text)
{
    return append(array, json_string(text));
}

struct gh_json *gh_json_append_number(struct gh_json *array, int64_t number)
{
    return append(array, json_integer(number));
}

struct gh_json *gh_json_append_id(struct gh_json *array, uint64_t id)
{
    return append(array, id_text(id));
}
