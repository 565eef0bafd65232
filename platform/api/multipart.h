/* multipart/form-data: finds the parts of a body without copying it. Pure. Limits: LIMIT_MULTIPART_*.
 * Source: RFC 7578, RFC 2046. */
#pragma once

#include "platform/base/arena.h"

struct multipart_part {
    struct str name, filename /* STR_NONE: not a file */, content_type, bytes;
};

/* The boundary of a Content-Type header's value; STR_NONE when it is no multipart/form-data or has none. */
struct str multipart_boundary(struct arena *a, struct str content_type);

/* Parts in order, pointing into `body`. 0, -EINVAL (malformed, no end), -E2BIG (too many parts, a head too long). */
int multipart_parse(struct str body, struct str boundary, struct arena *a, struct multipart_part **ret,
                    unsigned *ret_count);
