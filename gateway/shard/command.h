/* A worker's command to the gateway: what may be sent. Pure; any thread.
 * Source: Discord API documentation, "Gateway Events: Send Events". */
#pragma once

#include "platform/base/buf.h"

#define COMMAND_GUILDS_MAX 100 /* of one op 31 */

struct command {
    int op;
    uint64_t guilds[COMMAND_GUILDS_MAX]; /* that it is about; none: a presence */
    unsigned guild_count;
};

/* 0, or -EINVAL and *ret_reason, a static text. What passes does not close a connection. */
int shard_command_read(struct str body, struct command *ret, const char **ret_reason);
/* op 31 for one guild. */
void shard_command_sounds(struct buf *out, uint64_t guild);

static inline unsigned command_shard(uint64_t guild, unsigned shard_count)
{
    return (unsigned)((guild >> 22) % shard_count);
}
