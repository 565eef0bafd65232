/* The record of a session in kv: what another node needs to go on with it. JSON, so that nodes of two versions read
 * each other's. Pure. */
#pragma once

#include "gateway/server/past.h"
#include "platform/base/arena.h"
#include "platform/base/buf.h"

struct session;

struct session_record {
    char node[128], run[40]; /* whose log */
    uint32_t index;          /* of the session in that log */
    uint64_t user_id, seq;
    uint64_t entry; /* the entries after it have what was dispatched after seq */
    uint32_t intents, shard, shard_count;
    unsigned large_threshold;
    bool is_bot, compress;
    struct str presence; /* as the session set it; STR_NONE: offline. Borrowed, or in the arena */
    unsigned device;
    bool released; /* its node has let go of it */
    /* Its topics, and the numbers they had then: when it was released, the last ones it heard of. */
    uint64_t *topics, *numbers;
    unsigned topic_count;
    /* Where it lived before, latest first. */
    struct former_home {
        char run[40];
        uint64_t entry;
        int64_t left_ms;
    } homes[PAST_HOMES_MAX];
    unsigned home_count;
};

/* The record of a session at this moment, with `entry` as the log's last. */
void session_record_fill(struct session_record *r, const struct session *s, uint64_t entry, struct arena *a);
/* Who wrote it, as in kv. */
const char *session_record_owner(const struct session_record *r, struct arena *a);
void session_record_write(const struct session_record *r, struct buf *out);
/* Topics and numbers in the arena. 0, -EINVAL. */
int session_record_read(struct str json, struct arena *a, struct session_record *ret);
