/* Reading what a channel is made of from a body, for creating and changing. */
#pragma once

#include "platform/api/api.h"

/* Reads the members that fit the channel's type into *ch; name only when present. Errors go to the form. siblings: the
 * guild's channels, for parent_id. */
void channel_read(struct api_ctx *x, struct channel *ch, const struct channel *siblings, unsigned sibling_count);

/* Reads permission_overwrites, the whole list, into *ch. Every bit that changes must be one that the caller holds here
 * (MANAGE_ROLES: an administrator). MISSING_PERMISSIONS, or form errors recorded. */
enum api_error channel_overwrites_read(struct api_ctx *x, const struct api_access *access, struct channel *ch);

/* True when both lists say the same. */
bool overwrites_equal(const struct channel *a, const struct channel *b);

/* After the overwrites of a category changed: its children that were in step with `before` follow. */
void category_sync(struct commit *c, const struct channel *before, const struct channel *after,
                   const struct channel *siblings, unsigned sibling_count);

/* Channels which the caller may view. */
bool channel_visible(const struct api_access *access, const struct channel *ch);
