/* What clients send, read strictly where the documentation gives a close code and leniently elsewhere. Strings are
 * copied into the arena. Pure.
 * Source: Discord API documentation, "Gateway Events: Send Events". */
#pragma once

#include "platform/base/arena.h"

struct json_t;

struct identify_request {
    struct str token;
    bool has_intents, has_shard, compress;
    uint32_t intents;
    uint32_t shard, shard_count; /* 0 of 1 when absent */
    unsigned large_threshold;    /* 50..250 */
};
/* Each returns 0 or a close code (enum gateway_close); `d` may be anything, also NULL. */
int identify_read(const struct json_t *d, struct arena *a, struct identify_request *ret);

struct resume_request {
    struct str token, session_id;
    uint64_t seq;
};
int resume_read(const struct json_t *d, struct arena *a, struct resume_request *ret);

#define MEMBERS_REQUEST_USERS_MAX 100

struct members_request {
    uint64_t guild_id;
    bool by_query; /* else by user_ids */
    struct str query;
    unsigned limit; /* of a query; 0: all */
    bool presences;
    uint64_t user_ids[MEMBERS_REQUEST_USERS_MAX];
    unsigned user_count;
    struct str nonce; /* STR_NONE: none, or longer than 32 bytes */
};
int members_request_read(const struct json_t *d, struct arena *a, struct members_request *ret);

#define GUILDS_REQUEST_MAX 200 /* as many ids as fit into one payload */
struct guilds_request {
    uint64_t guild_ids[GUILDS_REQUEST_MAX];
    unsigned guild_count;
};
/* Op 31: {guild_ids}. */
int sounds_request_read(const struct json_t *d, struct guilds_request *ret);
/* Op 43: {guild_id, fields}. */
struct channel_info_request {
    uint64_t guild_id;
    bool status, voice_start_time; /* the fields asked for; unknown ones are not answered */
};
int channel_info_request_read(const struct json_t *d, struct channel_info_request *ret);

/* Op 4. */
struct voice_state_request {
    uint64_t guild_id;   /* 0: none */
    uint64_t channel_id; /* 0: leaves */
    bool self_mute, self_deaf, self_video;
};
int voice_state_read(const struct json_t *d, struct voice_state_request *ret);
