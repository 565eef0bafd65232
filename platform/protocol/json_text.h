/* Working on JSON as text, without a tree: one member, its number or id, all members but some. For JSON that was
 * checked or written by us. Built on the envelope scanner; any thread. */
#pragma once

#include "platform/base/buf.h"

/* The raw value of a member of one object; STR_NONE when it is not there or the object is broken. */
struct str json_member(struct str object, struct str key);

/* A snowflake, written as a string or (as some clients do) a number. 0, -EINVAL (also for null). */
int json_id(struct str value, uint64_t *ret);
/* json_id of a member; 0 when it has none. */
uint64_t json_member_id(struct str object, struct str key);
/* A decimal number, bare or in quotes. 0, -EINVAL. */
int json_u64(struct str value, uint64_t *ret);

/* Appends the members of `object` without its braces, those of the `skip_count` keys left out, as members of the object
 * being written in `out`. 0, -EINVAL. */
int json_members_copy(struct buf *out, struct str object, const struct str *skip, unsigned skip_count);
