/* JSON objects as entities and back: tables made of entities.def, walked by one reader and one writer. Loop thread. */
#include "worker-sdk/src/sdk.h"

#include "platform/base/snowflake.h"

#include <stdio.h>

enum kind { ID, TEXT, NUMBER, KEEP, REAL, FLAG, HAS, REF, LIST_OF, IDS, TEXTS, NUMBERS, MAP_OF, PRESENT, RAW, SELF };

struct field {
    enum kind kind;
    enum entity entity; /* HAS, REF, LIST_OF: of what */
    size_t at, count_at;
    const char *key; /* NULL: the last one, at `json` */
};

#define GH_ENTITY(e)                                                                                                   \
    static const struct field *fields_of_##e(void)                                                                     \
    {                                                                                                                  \
        typedef struct gh_##e self;                                                                                    \
        static const struct field fields[] = {
#define FIELD(kind, entity, x, count, key) {kind, entity, offsetof(self, x), count, key},
#define GH_ID(x)                           FIELD(ID, 0, x, 0, #x)
#define GH_TEXT(x)                         FIELD(TEXT, 0, x, 0, #x)
#define GH_NUMBER(x)                       FIELD(NUMBER, 0, x, 0, #x)
#define GH_KEEP(x)                         FIELD(KEEP, 0, x, 0, #x)
#define GH_REAL(x)                         FIELD(REAL, 0, x, 0, #x)
#define GH_FLAG(x)                         FIELD(FLAG, 0, x, 0, #x)
#define GH_FLAG_AS(x, key)                 FIELD(FLAG, 0, x, 0, key)
#define GH_HAS(x, e)                       FIELD(HAS, ENTITY_##e, x, 0, #x)
#define GH_REF(x, e)                       FIELD(REF, ENTITY_##e, x, 0, #x)
#define GH_LIST_OF(x, e)                   FIELD(LIST_OF, ENTITY_##e, x, offsetof(self, x##_count), #x)
#define GH_IDS(x)                          FIELD(IDS, 0, x, offsetof(self, x##_count), #x)
#define GH_TEXTS(x)                        FIELD(TEXTS, 0, x, offsetof(self, x##_count), #x)
#define GH_NUMBERS(x)                      FIELD(NUMBERS, 0, x, offsetof(self, x##_count), #x)
#define GH_MAP_OF(x, e)                    FIELD(MAP_OF, ENTITY_##e, x, offsetof(self, x##_count), #x)
#define GH_PRESENT(x)                      FIELD(PRESENT, 0, x, 0, #x)
#define GH_RAW(x)                          FIELD(RAW, 0, x, 0, #x)
#define GH_END(e)                                                                                                      \
    {                                                                                                                  \
        SELF, 0, offsetof(self, json), 0, NULL                                                                         \
    }                                                                                                                  \
    }                                                                                                                  \
    ;                                                                                                                  \
    return fields;                                                                                                     \
    }
#include <guildhall/entities.def>

static const struct {
    const char *name;
    size_t size;
    const struct field *(*fields)(void);
} entities[] = {
#define GH_ENTITY(e) {#e, sizeof(struct gh_##e), fields_of_##e},
#include <guildhall/entities.def>
};

const char *entity_name(enum entity e)
{
    return entities[e].name;
}

/* --- reading --- */

static const char *text_read(json_t *v)
{
    return json_is_string(v) ? json_string_value(v) : "";
}

static uint64_t *ids_read(struct gh_context *c, json_t *array, size_t count)
{
    uint64_t *ids = ARENA_ARRAY(&c->arena, uint64_t, count ? count : 1);
    for (size_t i = 0; i < count; i++)
        ids[i] = gh_json_id((const struct gh_json *)json_array_get(array, i));
    return ids;
}

static const char **texts_read(struct gh_context *c, json_t *array, size_t count)
{
    const char **texts = ARENA_ARRAY(&c->arena, const char *, count ? count : 1);
    for (size_t i = 0; i < count; i++)
        texts[i] = text_read(json_array_get(array, i));
    return texts;
}

static int64_t *numbers_read(struct gh_context *c, json_t *array, size_t count)
{
    int64_t *numbers = ARENA_ARRAY(&c->arena, int64_t, count ? count : 1);
    for (size_t i = 0; i < count; i++)
        numbers[i] = gh_json_number((const struct gh_json *)json_array_get(array, i));
    return numbers;
}

static void fill(struct gh_context *c, enum entity e, json_t *o, char *to);

static void *list_read(struct gh_context *c, enum entity e, json_t *array, size_t count)
{
    char *all = arena_alloc(&c->arena, entities[e].size * (count ? count : 1));
    for (size_t i = 0; i < count; i++)
        fill(c, e, json_array_get(array, i), all + i * entities[e].size);
    return all;
}

/* A member that stands under its user's id may be without a user. */
static uint64_t *id_of(enum entity e, char *entity)
{
    return e == ENTITY_member ? &((struct gh_member *)(void *)entity)->user.id
                              : (uint64_t *)(void *)(entity + entities[e].fields()->at);
}

static void *map_read(struct gh_context *c, enum entity e, json_t *object, size_t count)
{
    const char *key;
    json_t *v;
    char *all = arena_alloc(&c->arena, entities[e].size * (count ? count : 1)), *at = all;
    json_object_foreach(object, key, v)
    {
        fill(c, e, v, at);
        if (!*id_of(e, at) && str_to_u64(str_c(key), id_of(e, at)) < 0)
            *id_of(e, at) = 0;
        at += entities[e].size;
    }
    return all;
}

static void field_read(struct gh_context *c, const struct field *f, json_t *v, char *to)
{
    void *at = to + f->at;
    size_t count = json_array_size(v);
    switch (f->kind) {
    case ID:
        *(uint64_t *)at = gh_json_id((const struct gh_json *)v);
        break;
    case TEXT:
        *(const char **)at = text_read(v);
        break;
    case NUMBER:
    case KEEP:
        *(int64_t *)at = gh_json_number((const struct gh_json *)v);
        break;
    case REAL:
        *(double *)at = json_number_value(v);
        break;
    case FLAG:
        *(bool *)at = json_is_true(v);
        break;
    case HAS:
        fill(c, f->entity, v, at);
        break;
    case REF:
        *(void **)at = json_is_object(v) ? entity_read(c, f->entity, v) : NULL;
        break;
    case LIST_OF:
        *(void **)at = json_is_array(v) ? list_read(c, f->entity, v, count) : NULL;
        break;
    case IDS:
        *(uint64_t **)at = json_is_array(v) ? ids_read(c, v, count) : NULL;
        break;
    case TEXTS:
        *(const char ***)at = json_is_array(v) ? texts_read(c, v, count) : NULL;
        break;
    case NUMBERS:
        *(int64_t **)at = json_is_array(v) ? numbers_read(c, v, count) : NULL;
        break;
    case MAP_OF:
        count = json_object_size(v);
        *(void **)at = json_is_object(v) ? map_read(c, f->entity, v, count) : NULL;
        break;
    case PRESENT:
        *(bool *)at = json_is_null(v);
        break;
    case RAW:
    case SELF:
        *(const json_t **)at = json_is_null(v) ? NULL : v;
        break;
    }
    if (f->count_at)
        *(size_t *)(to + f->count_at) = count;
}

static void fill(struct gh_context *c, enum entity e, json_t *o, char *to)
{
    const struct field *f = entities[e].fields();
    for (; f->key; f++)
        field_read(c, f, json_object_get(o, f->key), to);
    field_read(c, f, o, to);
}

void *entity_read(struct gh_context *c, enum entity e, json_t *object)
{
    void *to = arena_alloc(&c->arena, entities[e].size);
    fill(c, e, object, to);
    return to;
}

void *entity_read_list(struct gh_context *c, enum entity e, json_t *array, size_t *ret_count)
{
    *ret_count = json_array_size(array);
    return list_read(c, e, array, *ret_count);
}

/* --- writing --- */

static json_t *id_write(uint64_t id)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    return json_string(text);
}

static json_t *ids_write(const uint64_t *ids, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, id_write(ids[i]));
    return array;
}

static json_t *texts_write(const char *const *texts, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_string(texts[i]));
    return array;
}

static json_t *numbers_write(const int64_t *numbers, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_integer(numbers[i]));
    return array;
}

static json_t *map_write(enum entity e, const char *all, size_t count)
{
    char key[24];
    json_t *o = json_object();
    for (size_t i = 0; i < count; i++) {
        const char *one = all + i * entities[e].size;
        snprintf(key, sizeof key, "%llu", (unsigned long long)*id_of(e, (char *)(uintptr_t)one));
        json_object_set_new(o, key, entity_write(e, one));
    }
    return o;
}

static json_t *list_write(enum entity e, const char *all, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, entity_write(e, all + i * entities[e].size));
    return array;
}

static json_t *has_write(enum entity e, const void *from)
{
    json_t *o = entity_write(e, from);
    if (json_object_size(o))
        return o;
    json_decref(o);
    return NULL;
}

static const void *pointer(const void *at)
{
    return *(const void *const *)at;
}

/* NULL: not set. A list with a place and no items is written: [] empties what was there. */
static json_t *field_write(const struct field *f, const char *from)
{
    const void *at = from + f->at;
    size_t count = f->count_at ? *(const size_t *)(from + f->count_at) : 0;
    switch (f->kind) {
    case ID:
        return *(const uint64_t *)at ? id_write(*(const uint64_t *)at) : NULL;
    case TEXT:
        return pointer(at) && *(const char *)pointer(at) ? json_string(pointer(at)) : NULL;
    case NUMBER:
    case KEEP:
        return *(const int64_t *)at || f->kind == KEEP ? json_integer(*(const int64_t *)at) : NULL;
    case REAL:
        return *(const double *)at != 0 ? json_real(*(const double *)at) : NULL;
    case FLAG:
        return *(const bool *)at ? json_true() : NULL;
    case HAS:
        return has_write(f->entity, at);
    case REF:
        return pointer(at) ? entity_write(f->entity, pointer(at)) : NULL;
    case LIST_OF:
        return pointer(at) ? list_write(f->entity, pointer(at), count) : NULL;
    case IDS:
        return pointer(at) ? ids_write(pointer(at), count) : NULL;
    case TEXTS:
        return pointer(at) ? texts_write(pointer(at), count) : NULL;
    case NUMBERS:
        return pointer(at) ? numbers_write(pointer(at), count) : NULL;
    case MAP_OF:
        return pointer(at) ? map_write(f->entity, pointer(at), count) : NULL;
    case PRESENT:
        return *(const bool *)at ? json_null() : NULL;
    case RAW:
        return json_incref((json_t *)(uintptr_t)pointer(at));
    case SELF:
        break;
    }
    return NULL;
}

json_t *entity_write(enum entity e, const void *from)
{
    json_t *o = json_object();
    const struct field *f = entities[e].fields();
    for (; f->key; f++) {
        json_t *v = field_write(f, from);
        if (v)
            json_object_set_new(o, f->key, v);
    }
    json_t *more = *(json_t *const *)((const char *)from + f->at);
    if (json_is_object(more))
        json_object_update(o, more);
    return o;
}
