/* Counts that are not in the store. Coroutine. */
#pragma once

#include "platform/api/api.h"

/* Fills g->presence_count from kv; 0 where kv is away. "Approximate": somebody on several gateway nodes counts for
 * each, but never more than there are members. */
void api_presence_count(struct api_ctx *x, struct guild *g);
