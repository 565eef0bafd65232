/* One shard at the upstream's gateway: connect, IDENTIFY or RESUME, heartbeats, dispatches into the pipeline; it comes
 * back by itself. A state machine (steps in connection.c); loop thread only.
 * Source: Discord API documentation, "Gateway: Connections". */
#pragma once

#include "cache/writer.h"
#include "gateway/shard/decompress.h"
#include "gateway/shard/plan.h"
#include "gateway/shard/session.h"
#include "gateway/shard/upstream.h"
#include "platform/io/amqp.h"

struct commands;
struct connection;

struct connection_options {
    struct session_key key; /* which shard, of how many */
    uint64_t epoch;         /* the lease's */
    struct upstream *upstream;
    struct cache_writer *cache;
    struct amqp_publisher *publisher;
    const struct crowd *crowds; /* as the pipeline's */
    const char *ca_file;        /* NULL: the system's */
    uint32_t intents;
    int start_reserve; /* percent of the day's IDENTIFYs that are kept */
    enum transport transport;
    bool silent; /* beside the set of shards that publishes: into the cache only, until connection_publish */
    /* The lease stands. */
    bool (*holds)(unsigned shard, void *arg);
    /* The gateway's address and limits may be out of date: ask again, in the background. */
    void (*stale)(void *arg);
    void *arg;
};

struct connection *connection_new(const struct connection_options *o);
/* Closes without ending the session, lets what was received reach the broker (timeout_ms at most), stores how far it
 * got, then calls left. */
void connection_leave(struct connection *c, int64_t timeout_ms, void (*left)(unsigned shard, void *arg));
/* The shard's successors in another set publish: it takes no commands any more, and begins no session, only RESUMEs. */
void connection_retire(struct connection *c);
/* After that: ends the session once all that the upstream had for it has reached the broker, then calls left. An
 * upstream that does not come back for timeout_ms has nothing more for it. */
void connection_finish(struct connection *c, int64_t timeout_ms, void (*left)(unsigned shard, void *arg));
/* The shard is another's: stops at once. The connection frees itself, here and after left. */
void connection_drop(struct connection *c);

/* What comes from now on is published. */
void connection_publish(struct connection *c);
/* Workers' commands are taken from now on. */
void connection_take_commands(struct connection *c, struct commands *commands);
/* How far a shard of the next set is: ready once its guilds are there. */
enum shard_progress connection_progress(const struct connection *c);

/* Connections of this process that may not IDENTIFY, because only the day's reserve is left. */
unsigned connections_starts_blocked(void);
bool connection_is_live(const struct connection *c);
bool connection_is_down(const struct connection *c); /* the upstream refused for good; an operator has to act */
const char *connection_step(const struct connection *c);
/* A Redis that began anew may have forgotten how far it is: told again, also when no event comes. */
void connection_redis_check(struct connection *c);
/* Redis or RabbitMQ came back, the lease was renewed: what waits goes on. */
void connection_kick(struct connection *c);
