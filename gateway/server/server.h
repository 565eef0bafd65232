/* Private to gateway/server: the objects and who owns them. All on the loop thread.
 *
 *   gateway  one node: its lease in kv, its queue on the bus, everything below
 *   conn     one WebSocket: encoder, heartbeat, step of the handshake; may have a session
 *   session  one identified client: intents, shard, sequence, replay; outlives its connection for RESUME
 *   topic    a guild or a user as this node follows it: numbers, state, subscriptions
 *   sub      a session in a topic, with what it may see there
 *
 * conn and session are counted references, because coroutines hold them over awaits; each says itself when it is over
 * (conn->ws is NULL, session->ended). A topic lives while it has subs or pins, and LIMIT_TOPIC_IDLE_MS longer. */
#pragma once

#include "gateway/server/control.h"
#include "gateway/server/encoded.h"
#include "gateway/server/gateway.h"
#include "gateway/server/guild_state.h"
#include "gateway/server/numbers.h"
#include "gateway/server/past.h"
#include "gateway/server/replay.h"
#include "gateway/server/session_log.h"
#include "gateway/server/standing.h"
#include "platform/base/map.h"
#include "platform/io/loop.h"
#include "platform/io/ws.h"
#include "platform/ports/bus.h"
#include "platform/protocol/gateway.h"

#define SESSION_ID_CHARS 32

struct gateway {
    struct gateway_options options; /* its strings are below */
    char *base_id, *node_id, *public_url;
    char *voice_endpoint; /* NULL: there is no media server */
    const struct ports *ports;
    struct encoded_log log;
    struct gateway_control *control; /* control.c */
    struct session_log *session_log; /* NULL: sessions live and die with this process */
    struct list readers;             /* logs of other nodes (log_reader.c) */
    struct list pasts;               /* what other nodes dispatched (past.c) */
    struct smap silent;              /* nodes that did not answer -> since when (adopt.c) */
    struct smap adopting;            /* session ids under way from another node */
    struct list recents;             /* topics that keep their latest events (recent.c) */

    struct map topics;   /* id -> struct topic */
    struct list repairs; /* topics that miss a number, longest first */
    struct list idle;    /* topics without subs and pins, longest first */
    struct standings *standings;
    struct list members_kept; /* guilds with all members in memory, by last use */
    struct list actives;      /* large guilds with those members in memory that GUILD_CREATE lists, by last use */
    unsigned actives_count;   /* such members */
    struct smap sessions;     /* id -> struct session */
    struct list detached;     /* sessions that wait for RESUME, longest first */
    struct list conns;        /* by when they were heard, longest ago first */
    unsigned conn_count;

    bool ready, stopping, draining;
    unsigned released;    /* sessions that draining has left to other nodes */
    uint64_t incarnation; /* of kv, as this node counts them */
    bool verify_wanted, verifying;
    int64_t interest_renewed_ms;
    bool bus_was_ready;
    unsigned running; /* coroutines */
    unsigned repairing;
    struct loop_timer *tick;
};

/* --- gateway.c -------------------------------------------------------------------------------------------------------
 */
/* Runs fn(arg) on a coroutine that gateway_stop waits for. 0, -EBUSY. The coroutine ends with gateway_leave. */
int gateway_spawn(struct gateway *g, void (*fn)(void *arg), void *arg);
void gateway_leave(struct gateway *g);

/* --- metrics.c: what is counted when the page is written -------------------------------------------------------------
 */
void gateway_metrics_start(struct gateway *g);
void gateway_metrics_stop(const struct gateway *g);

/* --- node.c: lease and interest of the node --------------------------------------------------------------------------
 */
int node_start(struct gateway *g);  /* coroutine */
void node_stop(struct gateway *g);  /* coroutine */
void node_leave(struct gateway *g); /* coroutine: its registration is taken back */
void node_forget(struct gateway *g);
void node_tick(struct gateway *g, int64_t now_ms);

/* --- conn.c ----------------------------------------------------------------------------------------------------------
 */
enum conn_step {
    CONN_HELLO = 1,       /* waits for IDENTIFY or RESUME */
    CONN_IDENTIFYING = 2, /* a coroutine is at it */
    CONN_LIVE = 4,        /* has a session */
    CONN_CLOSING = 8,
};

struct conn {
    struct gateway *g;
    struct ws_conn *ws; /* NULL: the connection is over */
    int refs;
    enum conn_step step;
    struct encoder_stream stream;
    int version;
    struct session *session; /* with CONN_LIVE */
    struct list item;        /* in gateway.conns */
    int64_t heard_ms;        /* last heartbeat, or the beginning */
    int64_t window_ms;       /* begin of the minute in which `sends` were counted */
    int sends;
};

int conn_accept(struct gateway *g, struct http_request *req, enum encoder_kind encoder, int version);
struct conn *conn_ref(struct conn *c);
void conn_unref(struct conn *c);
void conn_send(struct conn *c, const struct buf *json); /* small payloads; nothing happens on a closed one */
void conn_send_op(struct conn *c, int op);
/* False: the event cannot be encoded any more; without it the session would have a hole. */
bool conn_dispatch(struct conn *c, uint64_t seq, struct encoded *e, enum redaction redaction);
/* Op 9, and back to waiting for IDENTIFY. Its session must have been let go. */
void conn_invalidate(struct conn *c, bool resumable);
/* Sends the close frame; the session, when there is one, is detached and waits for RESUME. */
void conn_close(struct conn *c, int code);
/* Closes a connection that takes too little with 4000; what it was not sent waits for RESUME. */
void conn_cut_slow(struct conn *c);
void conn_tick(struct gateway *g, int64_t now_ms);

/* --- identify.c, resume.c, members.c: what the steps start. Each 0 or a close code
 * ------------------------------------
 */
struct json_t;
int identify_begin(struct conn *c, const struct json_t *d);
int resume_begin(struct conn *c, const struct json_t *d);
int members_begin(struct conn *c, const struct json_t *d);
/* Chunks are on their way to the socket: a chunk is too large for the log, so a drain waits for them. */
bool members_unsent(const struct session *s);
/* Goes on with what another node has left (members_open.h). */
void members_continue(struct session *s, struct str texts);
int sounds_begin(struct conn *c, const struct json_t *d);       /* asks.c */
int channel_info_begin(struct conn *c, const struct json_t *d); /* asks.c */

/* --- flush.c: from sessions to their sockets
 * ---------------------------------------------------------------------------------
 */
/* What goes to many sessions waits for what goes to few, but has half of the time. */
enum flush_class { FLUSH_FEW, FLUSH_MANY, FLUSH_CLASSES };
#define FLUSH_FEW_MAX 64 /* sessions */

/* The session has something unsent and a connection. */
void flush_add(struct session *s, enum flush_class class);
/* Gives the connection what is unsent, now. */
void flush_session(struct session *s);
void flush_remove(struct session *s);
void flush_start(void); /* once the loop is there; again is fine */

/* --- session.c -------------------------------------------------------------------------------------------------------
 */
struct session {
    /* what every dispatch and its sending touch stands together */
    struct conn *conn; /* NULL: waits for RESUME */
    uint64_t seq;
    uint64_t sent_seq; /* given to the connection; what follows stands in `replay` */
    struct replay replay;
    /* flush.c */
    bool out_waits; /* something is unsent */
    uint8_t out_class;
    uint32_t out_place;
    struct gateway *g;
    int refs;
    bool ended, is_bot, compress; /* compress: payloads, where the connection is plain JSON */
    bool starting;                /* READY is not sent yet: only control events count */
    /* session_log.c: */
    bool logged;   /* dispatches wait until they are in the log */
    bool loaded;   /* its first guilds have been announced */
    bool recorded; /* kv has a record of it */
    bool adopted;  /* came from another node: its id does not tell where it is, so it has a record, logged or not */
    bool handed;   /* another node's from now on: nothing is dispatched any more */
    uint32_t log_index;
    uint64_t released;  /* of a logged session: sent, or to be replayed, up to here */
    size_t gated_bytes; /* dispatched and not released */
    struct list record_item;
    int64_t recorded_ms;
    struct map *known;       /* events that came with it from another node, while it is caught up; NULL */
    struct past_home *homes; /* where it lived before, latest first; NULL: nowhere else */
    unsigned home_count;
    char id[SESSION_ID_CHARS + 1];
    char *token; /* what it identified with */
    uint64_t user_id;
    uint32_t intents, shard, shard_count;
    unsigned large_threshold;
    uint64_t acked_seq; /* by a heartbeat at acked_ms */
    int64_t acked_ms;
    struct list subs; /* of struct sub */
    unsigned sub_count;
    struct list item; /* in gateway.detached while it waits */
    int64_t since_ms, detached_ms;
    unsigned requests, requests_open; /* op 8 under way; the same and those that wait */
    struct list members_open;         /* these (members_open.h) */
    bool members_kept;                /* kv has some of them */
    struct session_presence presence;
    struct session_voice voice;
    /* guilds to be loaded and announced (loader.c) */
    struct load {
        uint64_t guild_id;
        bool startup;
        bool adopt; /* the client knows the guild: only what came after `after` is told */
        uint64_t after;
    } * loads;
    unsigned load_at, load_count, load_cap, loaders; /* the next one, how many there are from there on */
};

/* One reference, which session_end gives back. id NULL: a new one; its first characters tell the node. */
struct session *session_new(struct gateway *g, const char *id);
#define SESSION_NODE_CHARS 8
void session_node_chars(const char *node_id, char out[SESSION_NODE_CHARS + 1]);
struct session *session_ref(struct session *s);
void session_unref(struct session *s);
struct session *session_find(struct gateway *g, struct str id);
/* Gives the connection its session. */
void session_attach(struct session *s, struct conn *c);
/* The connection is over; the session waits for RESUME. */
void session_detach(struct session *s);
/* Leaves its topics and forgets everything. The connection, when it has one, is left without a session. */
void session_end(struct session *s);
/* session_end, and the connection gets op 9. */
void session_invalidate(struct session *s);
/* The next sequence number; kept for RESUME; when connected, sent by flush.c at the turn's end. */
void session_dispatch(struct session *s, struct encoded *e, enum redaction redaction, enum flush_class class);
/* The same for one session only: `data` is d. It is with the connection's queue already. */
void session_dispatch_own(struct session *s, enum event_type type, const struct buf *data);
/* A heartbeat says that the client has everything up to seq. */
void session_acked(struct session *s, uint64_t seq);
/* The last sequence number that may have been sent. */
uint64_t session_sent(const struct session *s);
/* It is caught up with what came from another node. */
void session_known_forget(struct session *s);
/* Bytes that wait for its socket. */
size_t session_unsent_bytes(const struct session *s);
bool session_wants(const struct session *s, enum event_type type, bool in_guild);
void session_tick(struct gateway *g, int64_t now_ms);
void session_metrics(void); /* what was counted in this turn */

static inline bool session_has_guild(const struct session *s, uint64_t guild_id)
{
    return (guild_id >> 22) % s->shard_count == s->shard;
}

/* --- loader.c --------------------------------------------------------------------------------------------------------
 */
/* Has the guild loaded, subscribes the session and sends GUILD_CREATE. Nothing when it is there already. */
void loader_add(struct session *s, uint64_t guild_id, bool startup);
/* The same for a guild that its client knows from another node, up to the event numbered `after`. */
void loader_adopt(struct session *s, uint64_t guild_id, uint64_t after);
/* READY is sent: the guilds it named are brought, and those that control events named meanwhile. */
void loader_begin(struct session *s, const uint64_t *guild_ids, unsigned count);

/* --- topic.c, repair.c -----------------------------------------------------------------------------------------------
 */
enum topic_state { TOPIC_LOADING, TOPIC_LIVE, TOPIC_CLOSING };

struct sub {
    struct session *session;
    struct topic *topic;
    struct list item; /* in session.subs */
    unsigned index;   /* in topic.subs */
    uint32_t intents;
    uint64_t user_id;
    struct state_member *member; /* of a guild */
    uint64_t *visible;           /* bits of the guild's channel slots */
    unsigned words;
    uint64_t first_word; /* `visible` points here while one word is enough */
};

struct topic {
    struct gateway *g;
    uint64_t id;
    bool is_user, stale; /* stale: of a node id that is no more */
    enum topic_state state;
    struct numbers numbers;
    uint64_t incarnation;      /* of kv */
    int64_t begun_ms;          /* wall clock: what was made before is in the snapshot */
    struct guild_state *guild; /* NULL for a user's topic */
    struct standing *standing; /* the same */
    struct sub **subs;
    unsigned sub_count, sub_cap, pins;
    struct list idle_item; /* in gateway.idle without subs and pins */
    int64_t idle_ms;       /* since when */
    struct list miss_item; /* in gateway.repairs while a number is missing */
    int64_t miss_ms;
    bool repairing, overflow; /* overflow: more came while loading than is held */
    uint64_t expected;        /* kv's last number when it was asked last */
    struct list suspects;     /* held events with old numbers that were not seen: of a new incarnation? */
    unsigned suspect_count;
    struct list waiters;
    struct list members_item; /* in gateway.members_kept: all members are in memory */
    int64_t members_used_ms;
    struct list actives_item; /* in gateway.actives (actives.c) */
    int64_t actives_used_ms;
    unsigned actives_count;
    unsigned logged;       /* subs of logged sessions */
    uint64_t seen_logged;  /* of numbers.seen_count: those up to there are in the session log */
    struct list log_item;  /* in the session log's lists: its number is to be written */
    struct recent *recent; /* NULL: nobody asked */
};

/* Coroutine. The topic, live and pinned: release it. 0, -ENOENT (no such guild), store's and kv's errors. */
int topic_acquire(struct gateway *g, uint64_t id, bool is_user, struct topic **ret);
/* Coroutine. Loads those of the guilds that this node does not follow yet, in one batch: with the user's own member,
 * and all members of guilds of at most list_max. Answers how many of them are live; each in ret (room for count) is
 * pinned: release it. What failed or is being loaded by somebody else, topic_acquire tells. */
unsigned topics_preload(struct gateway *g, const uint64_t *guild_ids, unsigned count, uint64_t user_id,
                        unsigned list_max, struct topic **ret);
void topic_pin(struct topic *t);
void topic_release(struct topic *t);
/* Coroutine: until the topic changed; 0 or what it failed with. The topic may be gone afterwards. */
int topic_wait(struct topic *t);
void topic_wake(struct topic *t, int error);
void topic_deliver(struct topic *t, const struct bus_delivery *d);
/* Dispatches what is held and due; what is still missing is waited for. */
void topic_drain(struct topic *t);
/* A number up to `expected` should have come by now. */
void topic_miss(struct topic *t, uint64_t expected);
/* A repair is over: waits anew for what is missing still. */
void topic_repaired(struct topic *t);
/* Its sessions get op 9; the topic is forgotten. */
void topic_fail(struct topic *t, const char *why);
void topic_forget_all(struct gateway *g); /* every topic becomes stale; sessions must have ended */
void topic_tick(struct gateway *g, int64_t now_ms);
void topics_free(struct gateway *g);
/* All members of the guild are in memory and were asked for. */
void topic_members_used(struct topic *t);
/* The topic has reached this number. */
void topic_advance(struct topic *t, uint64_t number, uint64_t event_id);
/* Dispatches an event that came outside the order, unless it was seen. */
void topic_dispatch_unordered(struct topic *t, const struct event *e);
void topic_ack(struct topic *t, const struct held_event *h);
bool repair_start(struct topic *t); /* false: no coroutine to be had now */

struct sub *topic_sub_find(const struct topic *t, const struct session *s);
struct sub *topic_sub_add(struct topic *t, struct session *s, struct state_member *member);
void topic_sub_remove(struct sub *sub);

/* --- actives.c: whom GUILD_CREATE of a large guild lists
 * --------------------------------------------------------------
 */
/* Is the guild so large that not all members are kept, and not too large to list any? */
bool actives_of(const struct topic *t);
/* Coroutine: has those members and the session's own in the guild's state. The topic must be pinned; with nothing
 * awaited afterwards they are there. 0, the store's errors. */
int actives_need(struct topic *t, const struct session *s);
void actives_drop(struct topic *t); /* the topic goes */
void actives_tick(struct gateway *g, int64_t now_ms);

/* --- dispatch.c ------------------------------------------------------------------------------------------------------
 */
/* Applies the event to the topic's state and sends it to those who may have it. */
void dispatch_event(struct topic *t, const struct event *e);
/* VOICE_STATE_UPDATE: `now` to the user and to those who see the channel `to`, `gone` to others who see `from`. 0: no
 * channel. */
void dispatch_voice_state(struct topic *t, uint64_t user_id, uint64_t from, uint64_t to, struct str now,
                          struct str gone);
/* GUILD_CREATE to a new sub. */
void dispatch_guild_create(struct sub *sub, bool startup);
/* A new sub of a session that knows the guild: what it sees, without telling. */
void dispatch_sub_begin(struct sub *sub);
/* What the sub missed before it was there: decided by what it sees now, since what it saw then is not known. True: what
 * it sees may have changed by this; dispatch_visible tells it when all is dispatched. */
bool dispatch_missed(struct sub *sub, const struct event *e);
void dispatch_visible(struct sub *sub);

/* --- recent.c: a topic's latest events, while sessions come from other nodes
 * ------------------------------------------
 */
struct recent;
/* Coroutine: makes sure that the events after number `after` are kept, up to the last one dispatched and from now on.
 * 0, -ENODATA (one of them cannot be had any more), -ETIMEDOUT (this node does not get to that number), kv's and the
 * store's errors. The topic must be pinned. */
int recent_reach(struct topic *t, uint64_t after);
/* Calls fn for each event after `after`, in order. */
void recent_each(struct topic *t, uint64_t after, void (*fn)(const struct event *e, void *arg), void *arg);
void recent_add(struct topic *t, const struct event *e);
void recent_drop(struct topic *t);
void recent_tick(struct gateway *g, int64_t now_ms);

/* --- adopt.c, release.c: sessions come from and go to other nodes
 * -----------------------------------------------------
 */
struct resume_request;
/* RESUME of a session that is not here, or that another node may have taken: a coroutine finds out. 0, or a close code.
 */
int adopt_begin(struct conn *c, const struct resume_request *r, uint64_t user_id);
void adopt_tick(struct gateway *g, int64_t now_ms);
void adopt_stop(struct gateway *g);
/* Another node asks for a session (a control event). */
void release_asked(struct gateway *g, const struct event *e);
/* Coroutine: every session is put into kv and let go of; their clients are told to reconnect. */
void release_all(struct gateway *g);

/* --- resume.c --------------------------------------------------------------------------------------------------------
 */
/* Is everything after `seq` still there? */
bool resume_possible(struct session *s, uint64_t seq, enum encoder_kind encoder);
/* Gives the connection its session, sends what came after seq, then RESUMED. */
void resume_here(struct conn *c, struct session *s, uint64_t seq);
/* One of the two, or op 9. 0, or a close code. */
int resume_local(struct conn *c, struct session *s, uint64_t seq);
/* Op 9, and the end of the session when there is one. 0. */
int resume_refuse(struct conn *c, struct session *s);
