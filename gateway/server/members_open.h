/* Requests for members (op 8) that are under way when their session goes to another node: they stand in kv beside its
 * record, and the next node goes on with them. When a node lets go of a session, with the chunk that comes next; when
 * it dies, with the first one that it had to send, so that chunks come again rather than never. Loop thread. */
#pragma once

#include "gateway/server/requests.h"
#include "platform/base/list.h"

struct session;
struct kv;

/* How far it is: the next chunk, and the member after whom it begins. */
struct members_at {
    uint64_t after;
    unsigned index, count;
};

struct members_open {
    struct list item; /* in session.members_open */
    struct members_request r;
    struct members_at begun, at; /* when this node began, and now */
};

/* All of the session's as JSON, in the arena; STR_NONE: there are none. */
struct str members_open_texts(const struct session *s, struct arena *a, bool now);
/* One of them. 0, -EINVAL. */
int members_open_read(const struct json_t *o, struct arena *a, struct members_open *ret);

/* Coroutine: this request takes more than one chunk, and its session may be taken over at any moment. */
void members_open_keep(struct session *s, struct members_open *o);
/* Coroutine: it is answered. */
void members_open_end(struct session *s, struct members_open *o);
/* Coroutine: what a session that is let go of has, or that it has none any more. 0, kv's errors. */
int members_open_put(const struct session *s, struct str texts);
/* Coroutine: what another node has left of a session; STR_NONE: nothing. 0, kv's errors. */
int members_open_get(struct kv *kv, struct arena *a, const char *session_id, struct str *ret);
