/* The central cache that the shards keep in Redis. NULL: not there, or Redis unreachable. Entities belong to the
 * handler's call. guild_id 0: outside guilds. */
#ifndef GUILDHALL_CACHE_H
#define GUILDHALL_CACHE_H

#include <guildhall/bot.h>

GH_BEGIN_DECLS

GH_API const struct gh_guild *gh_cache_guild(struct gh_context *c, uint64_t guild_id);
GH_API const struct gh_channel *gh_cache_channel(struct gh_context *c, uint64_t guild_id, uint64_t channel_id);
GH_API const struct gh_role *gh_cache_role(struct gh_context *c, uint64_t guild_id, uint64_t role_id);
GH_API const struct gh_member *gh_cache_member(struct gh_context *c, uint64_t guild_id, uint64_t user_id);
GH_API const struct gh_user *gh_cache_user(struct gh_context *c, uint64_t user_id);
GH_API const struct gh_message *gh_cache_message(struct gh_context *c, uint64_t guild_id, uint64_t channel_id,
                                                 uint64_t message_id);
/* All of a guild, in no order. NULL: none there, or Redis unreachable. */
GH_API const struct gh_channel *gh_cache_channels(struct gh_context *c, uint64_t guild_id, size_t *ret_count);
GH_API const struct gh_role *gh_cache_roles(struct gh_context *c, uint64_t guild_id, size_t *ret_count);

GH_END_DECLS
#endif
