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
/* wait_ms: 0: the permit is ours for window_ms; more: ask again then; -1: Redis did not answer. */
void identify_permit(const struct session_key *k, unsigned concurrency_key, int64_t window_ms,
                     void (*done)(int64_t wait_ms, void *arg), void *arg);
