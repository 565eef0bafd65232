/* What other nodes dispatched before their sessions came here: the ids in their logs. An event may be published again
 * long after it was dispatched (nobody marked it, its process having died), under a new number when kv has begun anew
 * meanwhile; a topic that this node follows only since then cannot tell. One list of ids for each run of another node,
 * shared by the sessions that came from it, emptied LIMIT_PAST_MS after the last of them. Loop thread. */
#pragma once

#include "platform/base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct gateway;
struct past;

#define PAST_HOMES_MAX 4  /* of a session: that it lived there before that is forgotten */
#define PAST_HITS_MAX  32 /* nodes that sessions came from within LIMIT_PAST_MS */

/* One of a session's former homes: what its log has up to `entry`, the session had. */
struct past_home {
    struct past *past; /* a reference */
    uint64_t entry;
    int64_t left_ms; /* wall clock */
};

struct past *past_new(struct gateway *g, const char *run);
struct past *past_ref(struct past *p);
void past_unref(struct past *p);
const char *past_run(const struct past *p);
void past_add(struct past *p, uint64_t id, uint64_t entry);
void past_tick(struct gateway *g, int64_t now_ms);

/* Which of those lists have an event. */
struct past_hits {
    unsigned count;
    struct {
        const struct past *past;
        uint64_t entry;
    } hits[PAST_HITS_MAX];
};
/* Empty for an event that is too young to have been published again. */
void past_find(const struct gateway *g, uint64_t id, struct past_hits *ret);
bool past_had(const struct past_hits *h, const struct past_home *homes, unsigned count);
