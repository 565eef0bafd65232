/* What users' handlers share with those of applications. */
#pragma once

#include "platform/api/api.h"

/* After the commit that raised the user's token version: older tokens are void here at once, in other processes as
 * soon as they hear of it, and sessions end. */
void token_revoke_tell(struct api_ctx *x, uint64_t user_id, uint64_t version);

/* The DM channel as the caller sees it: without itself among the recipients. */
void dm_write(struct buf *b, const struct channel *ch, uint64_t viewer);
