/* What the two halves of reading components share: the tree (components.c), what each component says itself
 * (component_fields.c). */
#pragma once

#include "platform/api/messages/components.h"

#include <jansson.h>

#define COMPONENT_IDS_MAX 64

struct component_checker {
    struct api_ctx *x;
    enum components_kind kind;
    struct str stored;   /* attachments the message has already, in their stored form */
    json_t *attachments; /* the body's list, which may name files otherwise; NULL */
    unsigned count;
    size_t text_chars;
    struct str custom_ids[COMPONENT_IDS_MAX];
    unsigned custom_id_count;
    int64_t ids[COMPONENT_IDS_MAX];
    unsigned id_count;
};

/* x->body is a component that holds no others; errors go to the form. */
void component_fields_check(struct component_checker *k, int64_t type);

/* Optional members, null or absent or right. */
void component_text(struct api_ctx *x, const char *key, unsigned max);
void component_flag(struct api_ctx *x, const char *key);
