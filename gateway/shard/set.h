/* One set of shards (generation, count) as this process takes part in it: its share of the leases, and a connection for
 * each shard it holds. During a reshard a process has two, after it a third for a moment. Loop thread only. */
#pragma once

#include "gateway/shard/connection.h"

struct shard_set;

struct shard_set_options {
    uint64_t generation;
    unsigned count;
    unsigned slots_max; /* shards that this process holds at most */
    const char *member; /* this process, for the leases */
    /* What each connection gets: key, epoch, holds and arg are the set's. */
    struct connection_options connection;
    void (*stale)(void *arg);
    void *arg;
};
/* The set's connections publish nothing where connection.silent is set. */
struct shard_set *shard_set_new(const struct shard_set_options *o);
/* For the silent: from now on all its connections publish. */
void shard_set_publish(struct shard_set *s);
/* Takes workers' commands for its shards; the set frees `commands`. */
void shard_set_take_commands(struct shard_set *s, struct commands *commands);

/* Gives its shards to other processes, their sessions kept; then done(arg), and the set is freed. */
void shard_set_leave(struct shard_set *s, void (*done)(struct shard_set *s, void *arg), void *arg);
/* Ends it, because another set publishes: takes no commands any more, goes on for overlap_ms, then ends each session
 * when all that it had is with the broker. Shards of holders that died come here, until shard_set_over: then, when all
 * that is here has ended, done(arg), and the set is freed. */
void shard_set_finish(struct shard_set *s, int64_t overlap_ms, void (*done)(struct shard_set *s, void *arg), void *arg);
bool shard_set_is_finishing(const struct shard_set *s);
/* These shards have ended elsewhere: '1' for each. */
void shard_set_ended_take(struct shard_set *s, struct str ended);
bool shard_set_has_ended(const struct shard_set *s, unsigned shard);
void shard_set_over(struct shard_set *s);

uint64_t shard_set_generation(const struct shard_set *s);
unsigned shard_set_count(const struct shard_set *s);
unsigned shard_set_held(const struct shard_set *s);
bool shard_set_ready(const struct shard_set *s); /* it holds its share, and all of it is live */
/* The connection of a shard; NULL: not held here. */
struct connection *shard_set_connection(const struct shard_set *s, unsigned shard);
/* Writes the state of each shard held here to /metrics. */
void shard_set_metrics(struct shard_set *s);
void shard_set_redis_check(struct shard_set *s); /* a few times a second; as connection_redis_check */
