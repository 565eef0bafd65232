/* What the permission check of a message needs, kept in the process: of a channel its guild's owner, roles and
 * overwrites, of a user its member and roles, each with the version its rows had. It is never trusted alone: the insert
 * checks both versions in its own transaction (store_message_insert_checked), and whoever is refused on what is kept
 * here reads again before saying so. Loop thread.
 * Limits: LIMIT_ACCESS_CHANNELS, LIMIT_ACCESS_MEMBERS; the longest unused go. */
#pragma once

#include "platform/model/model.h"

struct access_cache;
struct access_cache *access_cache_new(void);
void access_cache_free(struct access_cache *c); /* NULL is fine */

/* Copied into the arena: guild (id and owner), roles (without texts), the channel (id, guild, type, slow mode,
 * overwrites), the member, the versions. False: not all of it is here. */
bool access_cache_get(struct access_cache *c, struct arena *a, uint64_t channel_id, uint64_t user_id,
                      struct guild_snapshot *ret);
/* Keeps a copy of what store_channel_for_member read; a DM or a stranger is not kept. */
void access_cache_put(struct access_cache *c, const struct guild_snapshot *snap);
void access_cache_drop(struct access_cache *c, uint64_t channel_id, uint64_t user_id);
