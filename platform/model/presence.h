/* Presences: the object {"status","client_status","activities"} as clients get it, of one session or of several merged.
 * Who is offline or invisible has none. Pure.
 * Source: Discord API documentation, "Gateway Events: Presence Update", "Client Status Object". */
#pragma once

#include "platform/base/buf.h"

enum presence_status { PRESENCE_OFFLINE, PRESENCE_IDLE, PRESENCE_ONLINE, PRESENCE_DND };
enum presence_device { PRESENCE_DESKTOP, PRESENCE_MOBILE, PRESENCE_WEB, PRESENCE_VR };

/* "online", "idle", "dnd"; "invisible" and "offline" are PRESENCE_OFFLINE. 0, -EINVAL. */
int presence_status_find(struct str name, enum presence_status *ret);

/* One session's. activities: a JSON array. status is not PRESENCE_OFFLINE. */
void presence_value_write(struct buf *out, enum presence_status status, enum presence_device device,
                          struct str activities);

#define PRESENCE_ACTIVITIES_MAX 16 /* of a user in all sessions */

/* The sessions of one user as one presence: of several devices the one that asks most (dnd, online, idle) is the
 * status, all activities are shown once. At least one. */
void presence_merge(struct buf *out, const struct str *values, unsigned count);

/* The d of PRESENCE_UPDATE. guild_id 0: without, as in lists. value STR_NONE: offline. */
void presence_write(struct buf *out, uint64_t user_id, uint64_t guild_id, struct str value);
/* The same with more of the user: a JSON object. */
void presence_write_user(struct buf *out, struct str user, uint64_t guild_id, struct str value);
