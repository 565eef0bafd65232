/* Reading JSON that strangers sent, with jansson: depth is checked first (LIMIT_JSON_DEPTH), duplicates keep the last.
 */
#pragma once

#include "platform/base/buf.h"

struct json_t;

/* 0 and a new reference (json_decref), -EINVAL (not JSON; err, which may be NULL, gets jansson's text), -E2BIG (too
 * deep), -ENOMEM. */
int json_read(struct str text, struct json_t **ret, struct buf *err);

/* Depth only, without a tree: true when nothing in `text` nests deeper than the limit. */
bool json_depth_ok(struct str text);
