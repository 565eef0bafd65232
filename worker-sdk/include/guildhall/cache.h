/* The central cache that the shards keep in Redis: what a worker reads instead of asking the API. Which entities are
 * there follows from the shards' intents and their --cache (cache/README.md). Each call waits for Redis (other handlers
 * go on). NULL: not there, or Redis unreachable. What is returned belongs to the handler's call and ends with it; lists
 * are one array of ret_count structs (set only where there is a list), in no order where none is said. What the shards
 * trimmed away reads as absent. guild_id 0: outside guilds, where it says so. A list of more than 10,000 is NULL, too:
 * the gh_cache_each_* calls read it in slices of about 1,000.
 *
 * An event is in the cache before its handler runs. Later events may be in it, too: a member whose joining is handled
 * may have left again. */
#ifndef GUILDHALL_CACHE_H
#define GUILDHALL_CACHE_H

#include <guildhall/bot.h>

GH_BEGIN_DECLS

GH_API const struct gh_guild *gh_cache_guild(struct gh_context *c, uint64_t guild_id);
/* A channel or an active thread. guild_id 0: it is looked up. */
GH_API const struct gh_channel *gh_cache_channel(struct gh_context *c, uint64_t guild_id, uint64_t channel_id);
GH_API const struct gh_role *gh_cache_role(struct gh_context *c, uint64_t guild_id, uint64_t role_id);
GH_API const struct gh_emoji *gh_cache_emoji(struct gh_context *c, uint64_t guild_id, uint64_t emoji_id);
GH_API const struct gh_sticker *gh_cache_sticker(struct gh_context *c, uint64_t guild_id, uint64_t sticker_id);
GH_API const struct gh_soundboard_sound *gh_cache_soundboard_sound(struct gh_context *c, uint64_t guild_id,
                                                                   uint64_t sound_id);
GH_API const struct gh_member *gh_cache_member(struct gh_context *c, uint64_t guild_id, uint64_t user_id);
GH_API const struct gh_user *gh_cache_user(struct gh_context *c, uint64_t user_id);
/* NULL: offline, too. */
GH_API const struct gh_presence *gh_cache_presence(struct gh_context *c, uint64_t guild_id, uint64_t user_id);
/* NULL: in no voice channel, too. */
GH_API const struct gh_voice_state *gh_cache_voice_state(struct gh_context *c, uint64_t guild_id, uint64_t user_id);
GH_API const struct gh_stage_instance *gh_cache_stage_instance(struct gh_context *c, uint64_t guild_id, uint64_t id);
GH_API const struct gh_scheduled_event *gh_cache_scheduled_event(struct gh_context *c, uint64_t guild_id, uint64_t id);
GH_API const struct gh_thread_member *gh_cache_thread_member(struct gh_context *c, uint64_t guild_id,
                                                             uint64_t thread_id, uint64_t user_id);
/* With its reactions. guild_id 0: of a direct message. */
GH_API const struct gh_message *gh_cache_message(struct gh_context *c, uint64_t guild_id, uint64_t channel_id,
                                                 uint64_t message_id);

/* All of a guild. */
GH_API const struct gh_channel *gh_cache_channels(struct gh_context *c, uint64_t guild_id, size_t *ret_count);
GH_API const struct gh_channel *gh_cache_threads(struct gh_context *c, uint64_t guild_id, size_t *ret_count);
GH_API const struct gh_role *gh_cache_roles(struct gh_context *c, uint64_t guild_id, size_t *ret_count);
GH_API const struct gh_emoji *gh_cache_emojis(struct gh_context *c, uint64_t guild_id, size_t *ret_count);
GH_API const struct gh_sticker *gh_cache_stickers(struct gh_context *c, uint64_t guild_id, size_t *ret_count);
GH_API const struct gh_soundboard_sound *gh_cache_soundboard_sounds(struct gh_context *c, uint64_t guild_id,
                                                                    size_t *ret_count);
GH_API const struct gh_member *gh_cache_members(struct gh_context *c, uint64_t guild_id, size_t *ret_count);
GH_API const struct gh_presence *gh_cache_presences(struct gh_context *c, uint64_t guild_id, size_t *ret_count);
GH_API const struct gh_voice_state *gh_cache_voice_states(struct gh_context *c, uint64_t guild_id, size_t *ret_count);
GH_API const struct gh_stage_instance *gh_cache_stage_instances(struct gh_context *c, uint64_t guild_id,
                                                                size_t *ret_count);
GH_API const struct gh_scheduled_event *gh_cache_scheduled_events(struct gh_context *c, uint64_t guild_id,
                                                                  size_t *ret_count);
GH_API const struct gh_thread_member *gh_cache_thread_members(struct gh_context *c, uint64_t guild_id,
                                                              uint64_t thread_id, size_t *ret_count);
/* A channel's newest messages, newest first, at most `count`. */
GH_API const struct gh_message *gh_cache_messages(struct gh_context *c, uint64_t guild_id, uint64_t channel_id,
                                                  unsigned count, size_t *ret_count);
/* The ids of all guilds that the bot is in. */
GH_API const uint64_t *gh_cache_guild_ids(struct gh_context *c, size_t *ret_count);

/* One after the other, however many there are: fn is called for each until it answers other than 0; what it is given
 * ends with its call. Redis is asked for the next slice when fn had the last one, so no more of them are in memory. One
 * that is there all the while comes at least once; twice only where Redis resizes its table meanwhile. What fn answered
 * last, 0 (also where there are none), or -EHOSTDOWN. */
GH_API int gh_cache_each_member(struct gh_context *c, uint64_t guild_id,
                                int (*fn)(const struct gh_member *member, void *arg), void *arg);
GH_API int gh_cache_each_presence(struct gh_context *c, uint64_t guild_id,
                                  int (*fn)(const struct gh_presence *presence, void *arg), void *arg);
GH_API int gh_cache_each_voice_state(struct gh_context *c, uint64_t guild_id,
                                     int (*fn)(const struct gh_voice_state *state, void *arg), void *arg);
GH_API int gh_cache_each_thread_member(struct gh_context *c, uint64_t guild_id, uint64_t thread_id,
                                       int (*fn)(const struct gh_thread_member *member, void *arg), void *arg);
GH_API int gh_cache_each_guild_id(struct gh_context *c, int (*fn)(uint64_t guild_id, void *arg), void *arg);

/* Is everything in the cache that the shard of this context's event was told up to it, in all of its guilds? 1, 0 (not
 * yet, or the shard has begun a new session), -EHOSTDOWN, -EINVAL in a task, which has no event. The event's own guild
 * always is. */
GH_API int gh_cache_caught_up(struct gh_context *c);

GH_END_DECLS
#endif
