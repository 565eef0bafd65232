/* What guilds' handlers share: coming and going, reading of overwrites, looking things up in a snapshot. */
#pragma once

#include "platform/api/api.h"

const struct role *snapshot_role(const struct guild_snapshot *s, uint64_t role_id); /* NULL: none */

/* Adds to the commit what makes `m` a member, and the events: GUILD_MEMBER_ADD to the guild, CONTROL_GUILD_JOINED to
 * the user. Then commit and api errors: -EEXIST from the commit means a member already. */
void guild_join(struct commit *c, const struct member *m);

/* The user leaves or is kicked: with a bot goes its managed role. Commits. */
enum api_error guild_part(struct api_ctx *x, const struct guild_snapshot *s, const struct user *u);

/* The caller's rank. */
struct hierarchy;
void access_rank(const struct api_access *a, struct hierarchy *ret);
/* True when the caller holds all of these bits itself: nobody hands out what it has not. */
bool access_may_grant(const struct api_access *a, uint64_t bits);
