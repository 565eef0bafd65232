/* Private to a shard's connection: connection.c (life, what Redis keeps), connection_steps.c (the machine),
 * connection_wire.c (payloads). Loop thread. */
#pragma once

#include "gateway/shard/budget.h"
#include "gateway/shard/connection.h"
#include "gateway/shard/pipeline.h"
#include "platform/base/map.h"
#include "platform/io/loop.h"
#include "platform/io/ws_client.h"

#define CLOSE_KEEP       4900 /* ours: any code but 1000 and 1001 keeps the session */
#define BACKOFF_FIRST_MS 500
#define GOODBYE_MS       2000 /* for the answer to a close */
#define GENERATION_BITS  9    /* sessions that may begin under one lease, so that generations stay exact in Lua */

enum step { LOADING, WAITING, CONNECTING, GREETING, PERMIT, STARTING, LIVE, DOWN, STEP_COUNT };

struct connection {
    struct connection_options o;
    enum step step;
    struct ws_client *ws;
    struct decompress *decompress;
    struct pipeline *pipeline;
    struct command_queue *commands; /* NULL: none are taken */
    struct budget budget;
    char *presence; /* op 3's d, the last that workers had sent, or NULL: what the next session begins with */
    bool presence_own, presence_to_all; /* it came here (or for another shard); and to every shard */
    bool presence_late;                 /* too long for IDENTIFY */
    struct loop_timer *presence_timer;
    struct shard_session session; /* what a RESUME uses; id empty: IDENTIFY */
    uint64_t seq;                 /* the last one received */
    unsigned generations;         /* sessions begun under this lease */
    unsigned attempts;            /* since the last time it was live */
    bool paused, acked, skip_wait, fenced, starts_blocked;
    int64_t beat_ms, beat_interval_ms;
    struct loop_timer *step_timer, *beat_timer, *store_timer;
    bool storing, store_again;
    char stored_run[48]; /* of Redis, that was told last how far it is */
    unsigned calls;      /* answers of Redis that are awaited */
    void (*left)(unsigned shard, void *arg);
    bool leaving, dropped;

    struct loop_timer *finish_timer; /* NULL: not finishing */
    int64_t finish_end_ms, finish_ms;
    bool asked_last, ended;
    bool retired; /* another set publishes */
    bool spent;   /* and there is no session to RESUME */
    int64_t ended_ms;
    unsigned beats; /* heartbeats without their answer */

    struct map missing; /* guilds of READY that did not come yet; of a silent connection only */
    bool publishes;
    int64_t guild_ms;      /* when the last one came */
    unsigned ready_guilds; /* that READY named */
};

/* --- connection.c --- */
void connection_store(struct connection *c); /* how far it is, in Redis */
void connection_end_check(struct connection *c);

/* --- connection_next.c: beside another set of shards --- */
void connection_guilds_begin(struct connection *c, struct str guilds); /* READY's */
void connection_guilds_event(struct connection *c, struct str type, struct str data);

/* --- connection_presence.c --- */
/* From Redis; then connection_loading goes on, or the step's timer. */
void connection_presence_load(struct connection *c);
void connection_presence_take(struct connection *c, struct str data, bool to_all);
void connection_presence_keep(struct connection *c); /* in a Redis that forgot, or would forget */
void connection_presence_send(struct connection *c);
/* What was sent to all shards while the other set took the commands. */
void connection_presence_again(struct connection *c);
void connection_presence_done(struct connection *c);

/* --- connection_steps.c --- */
void connection_loading(struct connection *c);
void connection_enter(struct connection *c, enum step step);
/* Closes what is open, keeping the session, and comes back. */
void connection_reconnect(struct connection *c, bool at_once);
void connection_on_step(void *arg);                                 /* the step timer */
bool connection_is_over(const struct connection *c);                /* what comes from the socket is no longer wanted */
void connection_starts_blocked(struct connection *c, bool blocked); /* counted for readiness */
void connection_live_add(int n);                                    /* to the metric */

/* --- connection_wire.c --- */
void connection_payload(struct connection *c, struct str json);
void connection_identify(struct connection *c);
void connection_on_beat(void *arg);
void connection_beat(struct connection *c);
/* As command_send_fn. */
int64_t connection_command(struct str payload, bool to_all, void *arg);
