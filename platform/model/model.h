/* The domain's entities as plain structs. Strings and arrays are borrowed (an arena owns them). Ids are snowflakes, 0 =
 * none. Times are Unix milliseconds, 0 = none. Field names and meanings are the documentation's; each `*_write` writes
 * the documented object as one JSON value. Pure: no I/O. */
#pragma once

#include "platform/base/arena.h"
#include "platform/base/buf.h"
#include "platform/protocol/permissions.h"

struct user {
    uint64_t id;
    struct str username, discriminator /* "0" */, global_name, avatar, banner, email, locale, password_hash;
    bool bot, system, verified, mfa_enabled;
    int64_t flags, public_flags, accent_color /* -1: none */;
    int64_t created_ms;
};
void user_write(struct buf *b, const struct user *u);         /* as others see it */
void user_write_private(struct buf *b, const struct user *u); /* as itself sees it: email, verified, flags, locale */

/* Application flags that concern the gateway. Source: "Application: Application Flags". */
enum application_flag {
    APPLICATION_GATEWAY_PRESENCE = 1 << 12,
    APPLICATION_GATEWAY_PRESENCE_LIMITED = 1 << 13,
    APPLICATION_GATEWAY_GUILD_MEMBERS = 1 << 14,
    APPLICATION_GATEWAY_GUILD_MEMBERS_LIMITED = 1 << 15,
    APPLICATION_GATEWAY_MESSAGE_CONTENT = 1 << 18,
    APPLICATION_GATEWAY_MESSAGE_CONTENT_LIMITED = 1 << 19,
};

struct application {
    uint64_t id, owner_id, bot_id /* 0: no bot yet */;
    struct str name, description, icon, verify_key, interactions_endpoint_url, tags_json, redirect_uris_json,
        custom_install_url, integration_types_json /* {"0":{},"1":{}}: installed to guilds, to users; none: guilds */;
    bool bot_public, bot_require_code_grant;
    int64_t flags;
    int64_t secret_version;                  /* of the client secret, which follows from it */
    int64_t max_concurrency, session_starts; /* identify limits of its own; 0: the deployment's */
};

struct overwrite {
    uint64_t id;
    int type; /* 0 role, 1 member */
    uint64_t allow, deny;
};

enum channel_type {
    CHANNEL_GUILD_TEXT = 0,
    CHANNEL_DM = 1,
    CHANNEL_GUILD_VOICE = 2,
    CHANNEL_GROUP_DM = 3,
    CHANNEL_GUILD_CATEGORY = 4,
    CHANNEL_GUILD_ANNOUNCEMENT = 5,
    CHANNEL_ANNOUNCEMENT_THREAD = 10,
    CHANNEL_PUBLIC_THREAD = 11,
    CHANNEL_PRIVATE_THREAD = 12,
    CHANNEL_GUILD_STAGE_VOICE = 13,
    CHANNEL_GUILD_FORUM = 15,
    CHANNEL_GUILD_MEDIA = 16,
};

struct channel {
    uint64_t id, guild_id, parent_id, last_message_id, owner_id;
    enum channel_type type;
    struct str name, topic, rtc_region;
    int64_t position, rate_limit_per_user, bitrate, user_limit, flags, default_auto_archive_duration;
    int64_t last_pin_ms;
    bool nsfw;
    struct overwrite *overwrites;
    unsigned overwrite_count;
    struct user *recipients; /* DM */
    unsigned recipient_count;
};
void channel_write(struct buf *b, const struct channel *c);
void overwrite_write(struct buf *b, const struct overwrite *o);
bool channel_is_text(enum channel_type t); /* messages can be sent to it */
bool channel_is_voice(enum channel_type t);

struct role {
    uint64_t id, guild_id;
    struct str name, icon, unicode_emoji;
    int64_t color, position, flags;
    bool hoist, mentionable, managed;
    uint64_t permissions;
    uint64_t bot_id; /* tags.bot_id of a managed role */
};
void role_write(struct buf *b, const struct role *r);

struct guild {
    uint64_t id, owner_id, afk_channel_id, system_channel_id, rules_channel_id, public_updates_channel_id;
    struct str name, icon, banner, splash, discovery_splash, description, preferred_locale, vanity_url_code;
    struct str features_json; /* array of strings */
    int64_t verification_level, default_message_notifications, explicit_content_filter, mfa_level, afk_timeout,
        system_channel_flags, premium_tier, premium_subscription_count, nsfw_level, member_count;
    int64_t max_members;
    int64_t presence_count; /* who is online; filled where counts are wanted */
    bool premium_progress_bar_enabled;
};
/* The guild object with roles (and empty emojis, stickers). with_counts adds approximate_* counts. */
void guild_write(struct buf *b, const struct guild *g, const struct role *roles, unsigned role_count, bool with_counts);
/* The same members without the braces, for GUILD_CREATE, which adds to them. */
void guild_write_fields(struct buf *b, const struct guild *g, const struct role *roles, unsigned role_count);

struct member {
    uint64_t guild_id;
    struct user user;
    struct str nick, avatar;
    int64_t joined_ms, premium_since_ms, communication_disabled_until_ms, flags;
    bool deaf, mute, pending;
    uint64_t *roles; /* without @everyone */
    unsigned role_count;
};
/* with_user: the `user` member is left out inside MESSAGE_CREATE. */
void member_write(struct buf *b, const struct member *m, bool with_user);
/* The same members without the braces, for events, which add guild_id. */
void member_write_fields(struct buf *b, const struct member *m, bool with_user);

struct invite {
    struct str code;
    uint64_t guild_id, channel_id, inviter_id;
    int64_t max_age_s, max_uses, uses, created_ms;
    bool temporary;
};

/* The text is one Unicode emoji: not two, and nothing else. */
bool emoji_is_one(struct str text);

struct ban {
    struct user user;
    struct str reason;
};

/* Source: "Audit Log: Audit Log Events". Creating, changing and deleting one kind of thing stand beside each other. */
enum audit_action {
    AUDIT_GUILD_UPDATE = 1,
    AUDIT_CHANNEL_CREATE = 10,
    AUDIT_CHANNEL_OVERWRITE_CREATE = 13,
    AUDIT_MEMBER_KICK = 20,
    AUDIT_MEMBER_BAN_ADD = 22,
    AUDIT_MEMBER_BAN_REMOVE = 23,
    AUDIT_MEMBER_UPDATE = 24,
    AUDIT_MEMBER_ROLE_UPDATE = 25,
    AUDIT_BOT_ADD = 28,
    AUDIT_ROLE_CREATE = 30,
    AUDIT_INVITE_CREATE = 40,
    AUDIT_EMOJI_CREATE = 60,
    AUDIT_MESSAGE_DELETE = 72,
    AUDIT_MESSAGE_BULK_DELETE = 73,
    AUDIT_MESSAGE_PIN = 74,
    AUDIT_MESSAGE_UNPIN = 75,
    AUDIT_VOICE_CHANNEL_STATUS_CREATE = 192,
};

struct audit_entry {
    uint64_t id, guild_id, user_id, target_id;
    int action;                            /* enum audit_action, or one or two behind it */
    struct str changes_json, options_json; /* STR_NONE: none */
    struct str reason;
};
void audit_entry_write(struct buf *b, const struct audit_entry *e, bool with_guild);

struct message {
    uint64_t id, channel_id, guild_id, author_id;
    int64_t type, flags, edited_ms;
    struct str content, nonce;
    bool nonce_is_number;
    struct str embeds_json, attachments_json, components_json, sticker_items_json, poll_json; /* arrays, "" = [] */
    struct str reference_json; /* message_reference object, "" = none */
    uint64_t reference_id;     /* message_reference.message_id of a reply */
    uint64_t *mentions, *mention_roles;
    unsigned mention_count, mention_role_count;
    bool tts, pinned, mention_everyone;
    uint64_t webhook_id;         /* the application of a message that answers an interaction; else 0 */
    struct str interaction_json; /* interaction_metadata and interaction, as the members of one object */
};

/* A guild as one reader saw it: what GUILD_CREATE and permission checks are made from. */
struct guild_snapshot {
    struct guild guild;
    struct role *roles; /* roles[0] is @everyone (id = guild id); by position */
    unsigned role_count;
    struct channel *channels;
    unsigned channel_count;
    struct member *members; /* at most as many as were asked for */
    unsigned member_count;
    /* Of store_channel_for_member with a member: what the rows' versions were (see store_message_insert_checked). */
    uint64_t guild_version, user_version;
    uint64_t *counted; /* recent GUILD_MEMBER_ADD and _REMOVE events that guild.member_count knows of */
    unsigned counted_count;
};
