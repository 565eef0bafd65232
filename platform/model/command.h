/* Application commands: an object whose few searchable members are fields and whose others stay JSON. Pure.
 * Source: Discord API documentation, "Application Commands". */
#pragma once

#include "platform/base/buf.h"

enum command_type { COMMAND_CHAT_INPUT = 1, COMMAND_USER = 2, COMMAND_MESSAGE = 3 };

enum command_option_type {
    OPTION_SUB_COMMAND = 1,
    OPTION_SUB_COMMAND_GROUP = 2,
    OPTION_STRING = 3,
    OPTION_INTEGER = 4,
    OPTION_BOOLEAN = 5,
    OPTION_USER = 6,
    OPTION_CHANNEL = 7,
    OPTION_ROLE = 8,
    OPTION_MENTIONABLE = 9,
    OPTION_NUMBER = 10,
    OPTION_ATTACHMENT = 11,
};

struct application_command {
    uint64_t id, application_id, guild_id /* 0: global */, version;
    int type; /* enum command_type */
    struct str name;
    struct str definition_json; /* an object: description, localizations, options, default_member_permissions, ... */
};
/* The documented object. */
void application_command_write(struct buf *b, const struct application_command *c);

/* Permissions of one command (or, with the application's id, of all) in a guild. */
struct command_permissions {
    uint64_t application_id, guild_id, command_id;
    struct str permissions_json; /* array of {id, type, permission} */
};
void command_permissions_write(struct buf *b, const struct command_permissions *p);

/* ^[-_'\p{L}\p{N}\p{sc=Deva}\p{sc=Thai}]{1,32}$, in lower case where the letters have one. Any thread. */
bool command_name_valid(struct str name);
/* One of the documentation's locales ("Reference: Locales"). */
bool locale_known(struct str locale);
