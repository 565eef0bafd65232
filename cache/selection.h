/* What an operator wants cached (--cache): which entities, and which of their fields. Any thread. */
#pragma once

#include "cache/keys.h"

struct cache_selection {
    unsigned entities;                      /* bits, 1 << CACHE_x */
    struct str *fields[CACHE_ENTITY_COUNT]; /* NULL: all; else ends with STR_NONE; what entities.def demands included */
};

/* text: "all", "none", or entities separated by commas; each may say its fields: `channels:id|name|type`. `all`
 * followed by others is everything, trimmed as they say; `-name` takes one out. 0, or -EINVAL and one line in err. */
int cache_selection_read(struct cache_selection *s, const char *text, struct buf *err);
void cache_selection_done(struct cache_selection *s);
bool cache_selection_has(const struct cache_selection *s, enum cache_entity e, struct str field);
