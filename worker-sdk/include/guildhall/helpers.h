/* Small things every bot needs: permissions, mentions, timestamps, cooldowns. Texts live as long as the context. */
#ifndef GUILDHALL_HELPERS_H
#define GUILDHALL_HELPERS_H

#include <guildhall/bot.h>

GH_BEGIN_DECLS

enum gh_permission_bit {
#define GH_PERMISSION_LINE(name, bit) GH_PERMISSION_BIT_##name = bit,
#include <guildhall/permissions.def>
    GH_PERMISSION_BIT_NONE = 64
};
#define GH_PERMISSION(name) ((uint64_t)1 << GH_PERMISSION_BIT_##name)
#define GH_PERMISSIONS_ALL  UINT64_MAX

/* What a member may do in the guild, or with `channel` in it (for a thread give its parent): owner, roles, overwrites,
 * implied denials (without VIEW_CHANNEL nothing; without SEND_MESSAGES no mentions, files, embeds), and a timeout as of
 * now_s (Unix time). roles: the guild's. Source: Discord API documentation, "Permissions". */
GH_API uint64_t gh_permissions(uint64_t guild_id, uint64_t owner_id, const struct gh_role *roles, size_t roles_count,
                               const struct gh_member *member, const struct gh_channel *channel, int64_t now_s);
/* The same from the cache; channel_id 0: in the guild; a thread: its parent. 0, -ENOENT (guild, member or channel not
 * cached), -EHOSTDOWN. */
GH_API int gh_permissions_of(struct gh_context *c, uint64_t guild_id, uint64_t channel_id, uint64_t user_id,
                             uint64_t *ret);
/* What the author of a message that just came may do in its channel, by the member that came with it: the cache needs
 * no members. (Interactions tell it themselves: i->member->permissions, and the bot's own in i->app_permissions.) */
GH_API int gh_author_permissions(struct gh_context *c, const struct gh_message *m, uint64_t *ret);
/* "KICK_MEMBERS, BAN_MEMBERS" */
GH_API const char *gh_permissions_text(struct gh_context *c, uint64_t permissions);

GH_API const char *gh_mention_user(struct gh_context *c, uint64_t id);
GH_API const char *gh_mention_channel(struct gh_context *c, uint64_t id);
GH_API const char *gh_mention_role(struct gh_context *c, uint64_t id);
/* path: "config set" */
GH_API const char *gh_mention_command(struct gh_context *c, const char *path, uint64_t command_id);
/* As it is written in a message, and as gh_create_reaction wants it. */
GH_API const char *gh_emoji_text(struct gh_context *c, const struct gh_emoji *emoji);
GH_API const char *gh_emoji_reaction(struct gh_context *c, const struct gh_emoji *emoji);
/* The first mention of a user, channel or role in a text; 0: none. */
GH_API uint64_t gh_mentioned_user(const char *text);
GH_API uint64_t gh_mentioned_channel(const char *text);
GH_API uint64_t gh_mentioned_role(const char *text);
/* So that what people typed has no markup and mentions nobody. */
GH_API const char *gh_escape(struct gh_context *c, const char *text);
/* style: t T d D f F R, or 0 for the default. */
GH_API const char *gh_timestamp(struct gh_context *c, int64_t unix_s, char style);
/* "2015-04-26T06:26:56.936000+00:00" and back; -1: not a timestamp. */
GH_API const char *gh_iso_time(struct gh_context *c, int64_t unix_ms);
GH_API int64_t gh_iso_read_ms(const char *text);
/* When what has this id was made, and an id for "since then" queries. */
GH_API int64_t gh_id_time_ms(uint64_t id);
GH_API uint64_t gh_id_at(int64_t unix_ms);

/* At most `uses` of `key` (any text, e.g. "roll:<user id>") within `per_ms`, counted in Redis for all workers; a
 * handler that is called again for the same event does not count again. 0; -EAGAIN and in how many ms it is free again;
 * -EHOSTDOWN (Redis unreachable). */
GH_API int gh_cooldown(struct gh_context *c, const char *key, unsigned uses, int64_t per_ms, int64_t *ret_wait_ms);

GH_END_DECLS
#endif
