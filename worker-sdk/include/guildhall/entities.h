/* Entities as a worker sees them. Each struct comes from one list of fields: GH_<NAME>_FIELDS(ID, TEXT, NUMBER, FLAG)
 * names the member and the key of Discord's object. What is absent or null reads as 0, "" or false; everything else of
 * the object is in `json`, which is always there. All pointers belong to the handler call and end with it. Source:
 * Discord API documentation, "User", "Channel", "Guild", "Message", "Gateway Events". */
#ifndef GUILDHALL_ENTITIES_H
#define GUILDHALL_ENTITIES_H

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
#define GH_USER_FIELDS(ID, TEXT, NUMBER, FLAG) \
    ID(id, "id") TEXT(username, "username") TEXT(global_name, "global_name") TEXT(avatar, "avatar") \
    FLAG(bot, "bot")

#define GH_MEMBER_FIELDS(ID, TEXT, NUMBER, FLAG) \
    ID(guild_id, "guild_id") TEXT(nick, "nick") TEXT(joined_at, "joined_at") FLAG(deaf, "deaf") \
    FLAG(mute, "mute")

#define GH_MESSAGE_FIELDS(ID, TEXT, NUMBER, FLAG) \
    ID(id, "id") ID(channel_id, "channel_id") ID(guild_id, "guild_id") TEXT(content, "content") \
    NUMBER(type, "type") NUMBER(flags, "flags") FLAG(pinned, "pinned") \
    FLAG(mention_everyone, "mention_everyone")

#define GH_CHANNEL_FIELDS(ID, TEXT, NUMBER, FLAG) \
    ID(id, "id") ID(guild_id, "guild_id") ID(parent_id, "parent_id") TEXT(name, "name") TEXT(topic, "topic") \
    NUMBER(type, "type") NUMBER(position, "position") FLAG(nsfw, "nsfw")

#define GH_GUILD_FIELDS(ID, TEXT, NUMBER, FLAG) \
    ID(id, "id") ID(owner_id, "owner_id") TEXT(name, "name") NUMBER(member_count, "member_count") \
    FLAG(unavailable, "unavailable")

#define GH_ROLE_FIELDS(ID, TEXT, NUMBER, FLAG) \
    ID(id, "id") TEXT(name, "name") TEXT(permissions, "permissions") NUMBER(position, "position") \
    NUMBER(color, "color") FLAG(managed, "managed") FLAG(mentionable, "mentionable")

#define GH_REACTION_FIELDS(ID, TEXT, NUMBER, FLAG) \
    ID(user_id, "user_id") ID(channel_id, "channel_id") ID(message_id, "message_id") ID(guild_id, "guild_id")

#define GH_DELETION_FIELDS(ID, TEXT, NUMBER, FLAG) \
    ID(id, "id") ID(channel_id, "channel_id") ID(guild_id, "guild_id")
/* clang-format on */

#define GH_FIELD_ID(name, key)     uint64_t name;
#define GH_FIELD_TEXT(name, key)   const char *name;
#define GH_FIELD_NUMBER(name, key) int64_t name;
#define GH_FIELD_FLAG(name, key)   bool name;
#define GH_STRUCT(FIELDS)          FIELDS(GH_FIELD_ID, GH_FIELD_TEXT, GH_FIELD_NUMBER, GH_FIELD_FLAG) const char *json;

struct gh_user {
    GH_STRUCT(GH_USER_FIELDS)
};

struct gh_member {
    GH_STRUCT(GH_MEMBER_FIELDS)
    struct gh_user user;
};

struct gh_message {
    GH_STRUCT(GH_MESSAGE_FIELDS)
    struct gh_user author;
};

struct gh_channel {
    GH_STRUCT(GH_CHANNEL_FIELDS)
};

struct gh_guild {
    GH_STRUCT(GH_GUILD_FIELDS)
};

struct gh_role {
    GH_STRUCT(GH_ROLE_FIELDS)
};

struct gh_emoji {
    uint64_t id; /* 0: a Unicode emoji, which is `name` */
    const char *name;
};

struct gh_reaction {
    GH_STRUCT(GH_REACTION_FIELDS)
    struct gh_emoji emoji;
};

/* MESSAGE_DELETE, CHANNEL_DELETE, GUILD_DELETE: what is gone. */
struct gh_deletion {
    GH_STRUCT(GH_DELETION_FIELDS)
};

/* The typed events: GH_EVENTS(E) lists E(function suffix, dispatch name, entity). */
#define GH_EVENTS(E)                                                                                                   \
    E(message_create, "MESSAGE_CREATE", gh_message)                                                                    \
    E(message_update, "MESSAGE_UPDATE", gh_message)                                                                    \
    E(message_delete, "MESSAGE_DELETE", gh_deletion)                                                                   \
    E(reaction_add, "MESSAGE_REACTION_ADD", gh_reaction)                                                               \
    E(reaction_remove, "MESSAGE_REACTION_REMOVE", gh_reaction)                                                         \
    E(guild_create, "GUILD_CREATE", gh_guild)                                                                          \
    E(guild_update, "GUILD_UPDATE", gh_guild)                                                                          \
    E(guild_delete, "GUILD_DELETE", gh_deletion)                                                                       \
    E(channel_create, "CHANNEL_CREATE", gh_channel)                                                                    \
    E(channel_update, "CHANNEL_UPDATE", gh_channel)                                                                    \
    E(channel_delete, "CHANNEL_DELETE", gh_channel)                                                                    \
    E(member_add, "GUILD_MEMBER_ADD", gh_member)                                                                       \
    E(member_update, "GUILD_MEMBER_UPDATE", gh_member)                                                                 \
    E(member_remove, "GUILD_MEMBER_REMOVE", gh_member)

#endif
