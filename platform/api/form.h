/* Reading and checking a JSON body's members. Every reader takes the member of x->body named `key`; what is wrong is
 * collected as Discord's nested `errors` and the handler ends with `return form_result(x)` or goes on when it is
 * API_OK. Unknown members are ignored. Source: "Reference: Error Messages". */
#pragma once

#include "platform/api/api.h"

/* Present at all (null counts as present). */
bool form_has(struct api_ctx *x, const char *key);
bool form_is_null(struct api_ctx *x, const char *key);

enum form_need { FORM_OPTIONAL, FORM_REQUIRED, FORM_NULLABLE /* optional, null reads as absent value (STR_NONE, 0) */ };

/* Each returns true when a value was read into *ret; *ret is untouched otherwise. Lengths count code points. */
bool form_str(struct api_ctx *x, const char *key, enum form_need need, unsigned min, unsigned max, struct str *ret);
bool form_i64(struct api_ctx *x, const char *key, enum form_need need, int64_t min, int64_t max, int64_t *ret);
bool form_bool(struct api_ctx *x, const char *key, enum form_need need, bool *ret);
bool form_id(struct api_ctx *x, const char *key, enum form_need need, uint64_t *ret); /* string or number; null: 0 */
bool form_bits(struct api_ctx *x, const char *key, enum form_need need,
               uint64_t *ret); /* permissions: decimal string or number */
bool form_ids(struct api_ctx *x, const char *key, enum form_need need, unsigned max, uint64_t **ret,
              unsigned *ret_count);
/* A member that must be an object (array); NULL when absent or wrong (reported). Borrowed from the body. */
struct json_t *form_object(struct api_ctx *x, const char *key, enum form_need need);
struct json_t *form_array(struct api_ctx *x, const char *key, enum form_need need, unsigned max);

/* Reads an object inside the body for a while: the readers above take its members, and errors are told at its path.
 * `fmt`: the path from where one is now ("options.0"). Scopes nest; each is left in turn. */
struct form_scope {
    struct json_t *body;
    const char *path;
};
struct form_scope form_enter(struct api_ctx *x, struct json_t *object, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void form_leave(struct api_ctx *x, struct form_scope before);

/* Records an error at a path like "embeds.0.title": code e.g. "BASE_TYPE_REQUIRED". */
void form_error(struct api_ctx *x, const char *path, const char *code, const char *message);
/* API_OK, or API_ERROR_INVALID_FORM_BODY when anything was recorded. */
enum api_error form_result(struct api_ctx *x);

/* Query parameters, the same way. */
bool query_i64(struct api_ctx *x, const char *key, int64_t min, int64_t max, int64_t *ret);
bool query_id(struct api_ctx *x, const char *key, uint64_t *ret);
bool query_bool(struct api_ctx *x, const char *key, bool *ret);

/* One JSON value: integers may also be decimal strings, ids also numbers. 0, -EINVAL (nothing is recorded). */
int json_value_i64(const struct json_t *v, int64_t *ret);
int json_value_id(const struct json_t *v, uint64_t *ret);
int json_value_bits(const struct json_t *v, uint64_t *ret); /* permissions; bits that do not exist are dropped */
