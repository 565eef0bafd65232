/* What guilds' handlers share: coming and going, reading of overwrites, looking things up in a snapshot. */
#pragma once

#include "platform/api/api.h"

const struct role *snapshot_role(const struct guild_snapshot *s, uint64_t role_id); /* NULL: none */

/* Adds to the commit what makes `m` a member, and the events: GUILD_MEMBER_ADD to the guild, CONTROL_GUILD_JOINED to
 * the user. Then commit and api errors: -EEXIST from the commit means a member already. */
void guild_join(struct commit *c, const struct member *m);

/* The user leaves, is kicked or banned: with a bot goes its managed role. From the commit -ENODATA: is no member. */
void guild_part_add(struct commit *c, const struct guild_snapshot *s, const struct user *u);

/* USER_BANNED, or API_OK: may become a member. Under the guild's lock. */
enum api_error guild_ban_check(struct api_ctx *x, uint64_t guild_id, uint64_t user_id);

/* The caller's rank. */
struct hierarchy;
void access_rank(const struct api_access *a, struct hierarchy *ret);
/* True when the caller holds all of these bits itself: nobody hands out what it has not. */
bool access_may_grant(const struct api_access *a, uint64_t bits);
