/* Settings: one table (settings.def) gives name, commands, type, unit, range, default and help. Read in this order,
 * later wins: default, file (--config, `name = value` lines, `#` comments), environment (GUILDHALL_NAME, or where that
 * is not set the field's own name such as DISCORD_TOKEN), flag (--name-with-dashes VALUE or --name-with-dashes=VALUE; a
 * BOOL may stand alone; --tls takes two words, kept with a newline between). A file may hold the settings of other
 * commands too, so that one file serves all processes. Loop thread. */
#pragma once

#include "platform/base/buf.h"
#include "platform/base/str.h"

/* The commands a setting belongs to; a command refuses the settings of others. */
enum settings_command {
    CMD_DEV = 1 << 0,
    CMD_API = 1 << 1,
    CMD_GATEWAY = 1 << 2,
    CMD_SHARD = 1 << 3,
    CMD_PROXY = 1 << 4,
    CMD_CTL = 1 << 5,
    CMD_WORKER = 1 << 6, /* the SDK's own reading of environment variables */
    CMD_ALL = (1 << 7) - 1,
};

/* One enumerator for each setting: SETTING_listen, SETTING_database_url, ... */
enum setting {
#define SETTING(name, commands, type, def, min, max, unit, env_alias, help) SETTING_##name,
#include "platform/base/settings.def"
#undef SETTING
    SETTING_COUNT,
};

/* Reads all sources. argv: the words after the command. Words that are not flags go to ret_rest (pointers into argv,
 * *ret_rest_count of them, room for argc). 0, or -EINVAL with one clear line in err naming the setting and the source.
 */
int settings_load(enum settings_command command, int argc, char **argv, char **ret_rest, int *ret_rest_count,
                  struct buf *err);

/* Reads all sources of the last settings_load once more (its argv must still be there): what may have changed is the
 * file. On -EINVAL nothing has changed. Who has copied a value asks again. */
int settings_reload(struct buf *err);

const char *setting_str(enum setting s); /* "" when unset; valid for the process's life */
int64_t setting_int(enum setting s);
bool setting_bool(enum setting s);                        /* on|off|true|false|1|0|yes|no */
void setting_override(enum setting s, const char *value); /* tests and `dev`; CHECKs the value */

/* The table of one command for --help: flag, environment name, default, range, help. */
void settings_help(enum settings_command command, struct buf *out);
