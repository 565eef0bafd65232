/* Entities by table: which members a struct has, where, of what kind. Reading and writing walk the table. */
#pragma once

#include <guildhall/entities.h>

#include <jansson.h>

enum entity {
#define GH_ENTITY(e) ENTITY_##e,
#include <guildhall/entities.def>
    ENTITY_COUNT,
};

struct gh_context;

/* A struct gh_<e>, allocated in the context. What it points into must be kept by the context (context_keep). NULL or
 * what is no object: all absent. */
void *entity_read(struct gh_context *c, enum entity e, json_t *object);
/* An array of them. */
void *entity_read_list(struct gh_context *c, enum entity e, json_t *array, size_t *ret_count);
/* A new object of what is set. */
json_t *entity_write(enum entity e, const void *from);
const char *entity_name(enum entity e);

#define ENTITY_READ(c, e, object) ((struct gh_##e *)entity_read((c), ENTITY_##e, (object)))
