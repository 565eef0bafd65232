/* An upstream under the test's control: the two HTTP questions a shard asks, and a gateway that numbers dispatches,
 * keeps them for RESUME, and misbehaves when it is told to (its first shard, that is). One gateway in a program. Loop
 * thread. */
#pragma once

#include "platform/base/buf.h"

#define FAKE_EVENTS_MAX   20000
#define FAKE_COMMANDS_MAX 1000
#define FAKE_SENDS_MAX    2000

struct fake {
    /* knobs */
    int interval_ms;                                                  /* of heartbeats */
    unsigned shards;                                                  /* that /gateway/bot recommends */
    int starts_total, starts_remaining, starts_reset_ms, concurrency; /* its session_start_limit */
    bool refuse_resume;                                               /* op 9 */
    bool no_ack;                                                      /* heartbeats stay unanswered */
    bool mute;                                                        /* HELLO waits for fake_speak() */
    bool keep_old; /* the socket that a RESUME replaces stays open and gets the same events */
    /* Sessions of a set of lag_shards are this many dispatches behind, until a heartbeat or a RESUME asks; */
    unsigned lag_shards, lag;
    unsigned at_beat;     /* and get so many messages of their own, once, before the answer to a heartbeat */
    bool hold_guilds;     /* READY names a guild, whose GUILD_CREATE waits for fake_guilds_come() */
    char gateway_url[64]; /* what /gateway/bot tells */
    char resume_url[64];  /* what READY tells */
    /* what happened */
    unsigned connects, identifies, resumes;
    unsigned ended;                                     /* sessions closed by their owner */
    unsigned ended_bare;                                /* and no other set was live as a whole */
    int64_t beside_ms;                                  /* the least that one was, at such an end */
    int64_t lagged_most_ms;                             /* that a message was held by lag */
    uint64_t resume_seq;                                /* asked for by the last RESUME */
    int64_t identified_ms, refused_ms, identify_gap_ms; /* gap: between the last two IDENTIFYs */
    bool live;                                          /* READY or RESUMED was sent on the current socket */
    unsigned commands;                                  /* op 8 so far, in nonce[] */
    unsigned nonces[FAKE_COMMANDS_MAX];                 /* of each, as a number */
    unsigned presences;                                 /* op 3 so far */
    char presence[256];                                 /* the last op 3's d */
    char identify_presence[256];                        /* the last IDENTIFY's; empty: none */
    int64_t sent_ms[FAKE_SENDS_MAX];                    /* when each payload came, of whatever op, on any socket */
    unsigned sends;
    unsigned emitted; /* messages so far, in all sessions */
};
extern struct fake fake;

void fake_start(void); /* resets everything above */
void fake_stop(void);
int fake_port(void);

/* Sessions of a set of so many shards that are live. */
unsigned fake_live(unsigned shard_count);
/* Dispatches `count` more messages, with ids from fake.emitted + 1, in the session of each set whose shard has the
 * guild (8 guilds in turn). */
void fake_emit(unsigned count);
/* The same in the sessions of a set of so many shards only, and in a guild that nothing else is in. */
void fake_emit_alone(unsigned shard_count, unsigned count);
/* The GUILD_CREATEs that were held, and no more of that. */
void fake_guilds_come(void);
/* A TYPING_START and a PRESENCE_UPDATE in the guild of the next message. */
void fake_fleeting(void);
/* The last seq of a shard's session. */
uint64_t fake_last_seq(unsigned shard, unsigned shard_count);
/* The seq a message had in its session; 0 when it was not dispatched. */
uint64_t fake_seq_of(unsigned message);
void fake_op(int op, const char *data); /* on the current socket; nothing when there is none */
void fake_close(int code);
void fake_cut(void);
void fake_speak(void);
