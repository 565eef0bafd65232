/* jansson behind a depth check: its reader recurses, and a coroutine's stack is small. Any thread. */
#include "platform/protocol/json_read.h"

#include <errno.h>
#include <jansson.h>

int json_read(struct str text, struct json_t **ret, struct buf *err)
{
    json_error_t error;

    if (!json_depth_ok(text)) {
        if (err)
            buf_adds(err, "nested too deeply");
        return -E2BIG;
    }
    json_t *value = json_loadb(text.p ? text.p : "", text.n, 0, &error);
    if (!value) {
        if (err)
            buf_adds(err, error.text);
        return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
    }
    *ret = value;
    return 0;
}
