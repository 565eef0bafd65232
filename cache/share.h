/* Numbered slots (shards, partitions) shared evenly among the processes of a group, as leases with fencing in Redis:
 * one script at each tick renews what a member holds, drops members that stopped ticking, and tells each how many slots
 * it should hold; members give up and take one by one until that holds. Loop thread only.
 *
 * Redis: {NAME}:members (sorted set, member -> when its membership ends), {NAME}:caps (hash, member -> slots at most),
 * {NAME}:slots (hash, slot -> "epoch:expires_ms:owner"; `run`: the server's run_id; `reborn`: when Redis was found
 * empty or begun anew). A slot's epoch rises with each new owner, also when Redis came back empty (it is at least
 * Redis' clock in ms). Members claim what they hold from each new run of Redis, which may have forgotten it or let it
 * lapse, and keep it under the same epoch; for ttl_ms after that nobody takes what seems free. */
#pragma once

#include "platform/io/redis.h"

struct share;

struct share_options {
    struct redis *redis;
    const char *name;   /* the group's; the same for all members */
    const char *member; /* unique to this process's life */
    unsigned slots;
    unsigned slots_max; /* this member holds at most */
    int64_t ttl_ms, tick_ms;
    int64_t settle_ms; /* takes nothing for so long after its start, so that members that start together share */
    /* A slot is ours, under this epoch. */
    void (*gained)(unsigned slot, uint64_t epoch, void *arg);
    /* It should go to another member: finish, then call share_released. Until then it is still ours. */
    void (*leave)(unsigned slot, void *arg);
    /* It is another's already: stop at once. */
    void (*lost)(unsigned slot, void *arg);
    void *arg;
};

struct share *share_new(const struct share_options *o);
/* False while nobody can know whether the lease still stands (no answer from Redis for as long as it is good). */
bool share_holds(const struct share *s, unsigned slot);
void share_released(struct share *s, unsigned slot);
unsigned share_held(const struct share *s);
bool share_known(const struct share *s); /* Redis answered within the lease's time */
/* Holds what it should: the last answer gave nothing to take and nothing to give up. */
bool share_settled(const struct share *s);
/* leave() is called for every slot held; when all are released the member signs off, the
 * share frees itself and done(arg) is called. */
void share_stop(struct share *s, void (*done)(void *arg), void *arg);
void share_free(struct share *s); /* without a word: the leases expire */
