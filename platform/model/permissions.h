/* Permissions as documented ("Permissions: Permission Overwrites", "Permission Hierarchy"). Pure. */
#pragma once

#include "platform/model/model.h"

/* What a member may do in the guild: owner and ADMINISTRATOR hold all. member_roles without @everyone. */
uint64_t permissions_in_guild(const struct guild *g, const struct role *roles, unsigned role_count, uint64_t user_id,
                              const uint64_t *member_roles, unsigned member_role_count);

/* Applies a channel's overwrites to the above: @everyone, then roles together, then the member. Implicit denials are
 * applied: without VIEW_CHANNEL nothing is left, without SEND_MESSAGES no mentions, files, embeds or TTS; a timed-out
 * member (now_ms < communication_disabled_until_ms) keeps VIEW_CHANNEL and READ_MESSAGE_HISTORY only. */
uint64_t permissions_in_channel(uint64_t guild_permissions, uint64_t guild_id, const struct channel *c,
                                uint64_t user_id, const uint64_t *member_roles, unsigned member_role_count);
uint64_t permissions_timed_out(uint64_t permissions);

/* All of the above for a member: in the channel (NULL: in the guild), with the timeout as of now_ms. */
uint64_t permissions_of_member(const struct guild *g, const struct role *roles, unsigned role_count,
                               const struct channel *c, const struct member *m, int64_t now_ms);

/* Roles rank by position; equal positions by id: the lower id stands higher. */
bool role_above(const struct role *a, const struct role *b);

/* A member's place in the hierarchy: the owner, or the highest of its roles. One may only change roles and members
 * strictly below one's own. */
struct hierarchy {
    bool is_owner;
    const struct role *top; /* NULL: only @everyone, or the owner */
};
struct hierarchy hierarchy_of(const struct guild *g, const struct role *roles, unsigned role_count, uint64_t user_id,
                              const uint64_t *member_roles, unsigned member_role_count);
bool hierarchy_above_role(const struct hierarchy *h, const struct role *r);
bool hierarchy_above(const struct hierarchy *a, const struct hierarchy *b);

/* The highest position among a member's roles (0: only @everyone); INT64_MAX for the owner. */
int64_t hierarchy_position(const struct guild *g, const struct role *roles, unsigned role_count, uint64_t user_id,
                           const uint64_t *member_roles, unsigned member_role_count);
