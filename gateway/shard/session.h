/* A shard's gateway session as it is kept in Redis for whoever holds the shard next, and the permits to IDENTIFY that
 * all processes share. Loop thread only.
 *
 * gh:<application>:{shard:<n>/<count>}:session:<generation of the set> (hash: epoch, generation, session, seq, url); a
 * lower epoch never overwrites a higher one. gh:<application>:{identify}:<k>: taken for as long as no other shard of
 * that key may IDENTIFY. */
#pragma once

#include "platform/io/redis.h"

struct shard_session {
    char id[128];  /* empty: none */
    char url[256]; /* resume_gateway_url */
    uint64_t epoch, generation;
    uint64_t seq; /* the confirmed prefix's last */
};

struct session_key {
    struct redis *redis;
    uint64_t application;
    unsigned shard, shard_count;
    uint64_t set; /* generation of the set of shards */
};

/* error: 0 (s->id empty: none is kept), -EHOSTDOWN. */
void session_load(const struct session_key *k, void (*done)(int error, const struct shard_session *s, void *arg),
                  void *arg);
/* error: 0, -EHOSTDOWN, -ESTALE (a higher epoch has written). */
void session_store(const struct session_key *k, const struct shard_session *s, void (*done)(int error, void *arg),
                   void *arg);
/* The session was ended: nobody may RESUME it. */
void session_forget(const struct session_key *k, void (*done)(int error, void *arg), void *arg);

/* --- permits to IDENTIFY --- */

enum permit { PERMIT_GRANTED, PERMIT_WAIT, PERMIT_RESERVED, PERMIT_UNKNOWN };

struct permit_answer {
    enum permit what; /* WAIT: another shard of that key has it; RESERVED: the day's are used up but for the reserve;
                         UNKNOWN: Redis did not answer */
    int64_t wait_ms;  /* ask again then */
    int remaining;    /* of the day's; -1: not known */
    int reserve;
};
/* Granted: the permit is ours for window_ms, and one of the day's is used. reserve_percent of the day's total are never
 * given out. */
void identify_permit(const struct session_key *k, unsigned concurrency_key, int64_t window_ms, int reserve_percent,
                     void (*done)(const struct permit_answer *a, void *arg), void *arg);
/* What the upstream tells of the day's IDENTIFYs, for all processes. It holds unless a permit was given a moment ago;
 * then the lower number does. Coroutine. 0, -EHOSTDOWN. */
int identify_starts_tell(struct redis *r, uint64_t application, int total, int remaining, int64_t reset_after_ms);
