/* Private to the store: column lists and what reads them, shared where one entity is read together with another. */
#pragma once

#include "platform/ports/store/store.h"

/* Of table alias u, without what only its owner may see. */
#define USER_PUBLIC_COLUMNS                                                                                            \
    "u.id, u.username, u.discriminator, u.global_name, u.avatar, u.banner, u.bot, u.public_flags, u.accent_color"
#define USER_PUBLIC_COLUMN_COUNT 9
void rows_user_public(const struct sql_result *r, int row, int column, struct user *ret);

#define GUILD_COLUMNS                                                                                                  \
    "g.id, g.owner_id, g.name, g.icon, g.banner, g.splash, g.discovery_splash, g.description, g.vanity_url_code, "     \
    "g.preferred_locale, g.features, g.verification_level, g.default_message_notifications, "                          \
    "g.explicit_content_filter, g.mfa_level, g.afk_channel_id, g.afk_timeout, g.system_channel_id, "                   \
    "g.system_channel_flags, g.rules_channel_id, g.public_updates_channel_id, g.nsfw_level, g.premium_tier, "          \
    "g.premium_progress_bar_enabled, g.member_count"
#define GUILD_COLUMN_COUNT 25
void rows_guild(const struct sql_result *r, int row, struct guild *ret);

#define ROLE_COLUMNS                                                                                                   \
    "r.id, r.guild_id, r.name, r.color, r.position, r.permissions, r.hoist, r.mentionable, r.managed, r.icon, "        \
    "r.unicode_emoji, r.bot_id, r.flags"
struct role *rows_roles(const struct sql_result *r, struct arena *a);

#define CHANNEL_COLUMNS                                                                                                \
    "c.id, c.guild_id, c.type, c.name, c.topic, c.rtc_region, c.position, c.parent_id, c.owner_id, c.nsfw, "           \
    "c.rate_limit_per_user, c.bitrate, c.user_limit, c.flags, c.default_auto_archive_duration, "                       \
    "(SELECT MAX(lm.id) FROM messages lm WHERE lm.channel_id = c.id), "                                                \
    "c.last_pin_ms"
struct channel *rows_channels(const struct sql_result *r, struct arena *a);

#define OVERWRITE_COLUMNS "o.channel_id, o.target_id, o.type, o.allow, o.deny"
/* Shares the rows, those of a channel together, out to their channels. */
void rows_overwrites(const struct sql_result *r, struct arena *a, struct channel *channels, unsigned channel_count);

#define RECIPIENT_COLUMNS "cr.channel_id, " USER_PUBLIC_COLUMNS
void rows_recipients(const struct sql_result *r, struct arena *a, struct channel *channels, unsigned channel_count);

#define MEMBER_COLUMNS                                                                                                 \
    "m.guild_id, m.nick, m.avatar, m.joined_ms, m.premium_since_ms, m.communication_disabled_until_ms, m.deaf, "       \
    "m.mute, m.pending, m.flags, " USER_PUBLIC_COLUMNS
struct member *rows_members(const struct sql_result *r, struct arena *a);
/* Rows of (user_id, role_id), both in rising order of user_id, to the members' role lists. */
void rows_member_roles(const struct sql_result *r, struct arena *a, struct member *members, unsigned member_count);

/* The rows a member is (or a user's memberships are) searched by: dropped before a change of name or membership, put
 * after it. */
void rows_member_names_drop(struct commit *c, uint64_t guild_id, uint64_t user_id);
void rows_member_names_put(struct commit *c, uint64_t guild_id, uint64_t user_id);
void rows_user_names_drop(struct commit *c, uint64_t user_id);
void rows_user_names_put(struct commit *c, uint64_t user_id);

/* Reads with one parameter. 0 or sql_read's errors; rows_one also -ENOENT when there is no row. */
int rows_all(struct sql *db, struct arena *a, const char *text, struct sql_value key, struct sql_result *ret);
int rows_one(struct sql *db, struct arena *a, const char *text, struct sql_value key, struct sql_result *ret);
