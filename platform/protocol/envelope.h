/* The envelope scanner: finds op, s, t and the extent of d in a gateway payload without parsing d. */
#pragma once

#include "platform/base/str.h"

struct envelope {
    int64_t op;      /* -1: absent */
    int64_t seq;     /* -1: absent or null */
    struct str type; /* t, without the quotes; STR_NONE: absent or null */
    struct str data; /* d, raw JSON; STR_NONE: absent */
};

/* 0, or -EINVAL: not one JSON object, unbalanced, deeper than LIMIT_JSON_DEPTH, op not an integer, t not a plain
 * string. Keys may come in any order; unknown ones are skipped; of a key given twice the last counts. */
int envelope_scan(struct str json, struct envelope *ret);

/* Members of one object, for a single level: calls fn for each key (raw, unescaped only if it held no escapes) with
 * its raw value. 0, -EINVAL as above, or what fn returned when not 0. */
int json_members_scan(struct str object, int (*fn)(struct str key, struct str value, void *arg), void *arg);
/* The same for the elements of one array. */
int json_elements_scan(struct str array, int (*fn)(struct str value, void *arg), void *arg);

/* The inside of a raw value that is a string without escapes. 0, -EINVAL. */
int json_str_plain(struct str value, struct str *ret);
