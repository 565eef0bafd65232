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

/* The highest position among a member's roles (0: only @everyone); INT64_MAX for the owner. Hierarchy: one may only
 * change roles and members strictly below one's own. Equal positions rank by id: the lower id stands higher. */
int64_t hierarchy_position(const struct guild *g, const struct role *roles, unsigned role_count, uint64_t user_id,
                           const uint64_t *member_roles, unsigned member_role_count);
