/* JSON values: what the typed members of entities do not cover, and bodies made by hand. A value belongs to a context
 * (or to a larger value) and ends with it. Reading a missing or null value gives NULL, and every question put to NULL
 * gives 0, "" or false, so that gh_json_text(gh_json_get(gh_json_get(m->json, "a"), "b")) needs no checks. */
#ifndef GUILDHALL_JSON_H
#define GUILDHALL_JSON_H

#include <guildhall/api.h>

GH_BEGIN_DECLS

struct gh_context;
struct gh_json;

/* NULL: not JSON, or deeper than 64 levels. */
GH_API struct gh_json *gh_json_read(struct gh_context *c, const char *text);
/* "" for NULL. */
GH_API const char *gh_json_write(struct gh_context *c, const struct gh_json *value);

GH_API const struct gh_json *gh_json_get(const struct gh_json *object, const char *key);
GH_API bool gh_json_has(const struct gh_json *object, const char *key); /* also where it is null */
GH_API const struct gh_json *gh_json_at(const struct gh_json *array, size_t i);
GH_API size_t gh_json_count(const struct gh_json *array_or_object);
GH_API const char *gh_json_text(const struct gh_json *value);
GH_API int64_t gh_json_number(const struct gh_json *value); /* of a real: cut off */
GH_API double gh_json_real(const struct gh_json *value);
GH_API bool gh_json_flag(const struct gh_json *value);
/* Snowflakes and permissions, text or number. */
GH_API uint64_t gh_json_id(const struct gh_json *value);

GH_API struct gh_json *gh_json_object(struct gh_context *c);
GH_API struct gh_json *gh_json_array(struct gh_context *c);
/* Each returns the object or array, so that calls can be chained. Text is copied; `value` may be part of another. A
 * later value of a key takes the earlier one's place. */
GH_API struct gh_json *gh_json_set(struct gh_json *object, const char *key, const struct gh_json *value);
GH_API struct gh_json *gh_json_set_text(struct gh_json *object, const char *key, const char *text);
GH_API struct gh_json *gh_json_set_number(struct gh_json *object, const char *key, int64_t number);
GH_API struct gh_json *gh_json_set_real(struct gh_json *object, const char *key, double real);
GH_API struct gh_json *gh_json_set_flag(struct gh_json *object, const char *key, bool flag);
GH_API struct gh_json *gh_json_set_id(struct gh_json *object, const char *key, uint64_t id);
GH_API struct gh_json *gh_json_set_null(struct gh_json *object, const char *key);
GH_API struct gh_json *gh_json_append(struct gh_json *array, const struct gh_json *value);
GH_API struct gh_json *gh_json_append_text(struct gh_json *array, const char *text);
GH_API struct gh_json *gh_json_append_number(struct gh_json *array, int64_t number);
GH_API struct gh_json *gh_json_append_id(struct gh_json *array, uint64_t id);

GH_END_DECLS
#endif
