/* The platform's gateway: takes WebSocket connections, gives them sessions, and dispatches the bus's events to those
 * who may see them. One process may hold several (tests do). Loop thread only.
 * Source: Discord API documentation, "Gateway", "Gateway Events". Limits: LIMIT_WS_*, LIMIT_REPLAY_*, LIMIT_TOPIC_*. */
#pragma once

#include "platform/io/http_server.h"
#include "platform/ports/commit.h"
#include "platform/ports/tokens.h"

struct gateway;

struct gateway_options {
    const struct ports *ports;
    struct token_registry *tokens;
    const char *node_id;    /* unique among live nodes; also the name of the node's bus queue */
    const char *public_url; /* how clients reach this node: "ws://host:port/gateway"; READY's resume_gateway_url */
    int heartbeat_interval_ms;
    bool compression_contexts;   /* a compressor for each connection instead of one for all */
    bool limits;                 /* sends a minute, identify concurrency, session starts */
    unsigned max_concurrency;    /* identify buckets of a bot; 0 = 1. The API's /gateway/bot must tell the same */
    const char *voice_endpoint;  /* "host:port" of the media server; NULL or "": none, clients are told null */
    unsigned guilds_per_session; /* more close with 4011; 0 = 2,500, as documented */
    bool session_log;            /* sessions can be taken over by other nodes on the same kv (session_log.h) */
    void (*on_drained)(void);    /* an operator had the node drained; NULL: it goes on, and takes nobody */
};

/* Coroutine: registers the node and subscribes its queue, tries again until both are done. Strings are copied; ports
 * and tokens must outlive it. 0, or -ENOMEM. */
int gateway_new(const struct gateway_options *o, struct gateway **ret);

/* The node's lease is held: connections are taken. While it is not, upgrades answer 503. */
bool gateway_ready(const struct gateway *g);
/* Changes when a lapsed lease made the node take a new id. Valid until the loop's next turn. */
const char *gateway_node_id(const struct gateway *g);

/* An http_upgrade_handler (arg: struct gateway *) for the paths / and /gateway, with or without a slash at the end.
 * 404 for others, 400 for an encoding or compression that is not offered, 503 when not ready. */
int gateway_upgrade(struct http_request *req, void *arg);

/* Coroutine: drains, takes the node's registration back and frees the gateway. Takes two seconds longer at most. */
void gateway_stop(struct gateway *g);

/* Coroutine, for tests: the same as if the process were killed; nobody is told. Frees the gateway. */
void gateway_abandon(struct gateway *g);
/* Coroutine: every session is left to other nodes (the record and what was not received yet in kv, op 7, close 4000),
 * and nothing is taken any more; gateway_stop does this, too. Without session_log the clients must identify again.
 * Takes LIMIT_RELEASE_WAIT_MS and what kv takes. */
void gateway_drain(struct gateway *g);

/* Live connections and sessions (also those that wait for RESUME), for tests and `ctl`. */
struct gateway_counts {
    unsigned connections, sessions, topics;
};
struct gateway_counts gateway_counts(const struct gateway *g);
