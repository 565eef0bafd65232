/* Reading presences that clients send: op 3 and IDENTIFY's `presence`. Pure; jansson's trees are the caller's.
 * Source: Discord API documentation, "Gateway Events: Update Presence", "Activity Object".
 * Limits: LIMIT_PRESENCE_ACTIVITIES, LIMIT_ACTIVITY_CHARS. */
#pragma once

#include "platform/model/presence.h"

struct json_t;

struct presence_source {
    bool is_bot;       /* bots set name, state, type and url of an activity; the rest is left out */
    int64_t now_ms;    /* created_at of what is new */
    struct str former; /* activities before: the same ones keep their created_at. STR_NONE: none */
};

/* Writes the activities as a JSON array. An activity that is too long is left out, as is a field of the wrong type;
 * join secrets are nobody else's business and are left out too. 0 or GATEWAY_CLOSE_UNKNOWN_OPCODE ("an invalid payload
 * for an opcode"), then `activities` may hold anything. */
int presence_read(const struct json_t *d, const struct presence_source *from, enum presence_status *ret_status,
                  struct buf *activities);

/* Which of the user's clients a session is, by IDENTIFY's `properties` (NULL is fine). */
enum presence_device presence_device_read(const struct json_t *properties, bool is_bot);
