/* The session log: what a node's bots were sent, in kv, so that another node can go on when this one is gone.
 *
 * A dispatch to a logged session goes into the batch of this loop turn and leaves for its socket when kv has confirmed
 * the batch: what a client has received is in the log. An event is in a batch once, however many get it. Beside it
 * stand the numbers that the topics have reached, so that whoever takes over knows where to go on. While kv is away
 * dispatches are sent all the same; the entries' numbers show the hole, and the log begins anew behind it
 * (ARCHITECTURE.md). Sessions of people are not logged; a drain copies their replay buffers into the log at its end
 * (release.c). A batch holds references to sessions and events. Loop thread. Limits: LIMIT_SESSION_LOG_*. */
#pragma once

#include "gateway/server/encoded.h"
#include "platform/base/str.h"

struct gateway;
struct session;
struct session_log;
struct topic;

/* Nothing is logged, and nothing taken over, unless the options ask for it. */
void session_log_start(struct gateway *g);
void session_log_stop(struct gateway *g); /* frees; what is still under way is released at once */
bool session_log_on(const struct gateway *g);
/* How records in kv name this run of this node: "<node id>/<run>"; the run names its log. "" when nothing is logged. */
const char *session_log_owner(const struct gateway *g);
const char *session_log_run(const struct gateway *g);

/* A bot's session is logged from here on. */
void session_log_begin(struct session *s);
/* It is over and must not be taken over. */
void session_log_end(struct session *s);
/* Its guilds have been announced: from now on it can be taken over. */
void session_log_loaded(struct session *s);
/* The dispatch `seq` of a logged session: sent when it is in the log. */
void session_log_add(struct session *s, uint64_t seq, struct encoded *e, enum redaction redaction);
/* The same for one that was sent before. Copies of one event should follow each other. */
void session_log_copy(struct session *s, uint64_t seq, struct encoded *e, enum redaction redaction);
/* The topic has reached another number, or a logged session. */
void session_log_topic(struct topic *t);
/* The same for a topic without logged sessions: a session of it is given away. */
void session_log_topic_once(struct topic *t);
/* What was dispatched to the topic of late, by id: for those who go on with its sessions. */
void session_log_seen(struct topic *t);

/* Closes the batch of this turn with all numbers; the number of the last entry. */
uint64_t session_log_flush(struct gateway *g);
/* There was a hole, and the log has not begun anew behind it. */
bool session_log_behind(const struct gateway *g);
/* Coroutine: until kv has answered for all entries up to `number`. 0, -EIO (one of them may not be there, or the log is
 * behind). */
int session_log_wait(struct gateway *g, uint64_t number);

void session_log_tick(struct gateway *g, int64_t now_ms);
/* kv is there again, or new: everything is written anew. */
void session_log_again(struct gateway *g);
