/* The bytes of one entry of a session log: what was dispatched in one loop turn, each event once with everybody who got
 * it. Little-endian:
 *   u8 version 1, u8 anew, then for each event:
 *   u64 event id (0: none), u8 n, n bytes of its name, u32 m (LOG_NO_DATA: left out), m bytes of d, u32 recipients,
 *   and for each of them u32 index of the session, u64 seq, u8 redaction (LOG_ENDED: the session is over).
 * Names, not numbers: nodes of two versions may read each other. Pure; any thread. */
#pragma once

#include "platform/base/buf.h"
#include "platform/protocol/event.h"

#define LOG_ENDED            0xff
#define LOG_EVENT_HEAD_BYTES 17 /* of an event without name, data and recipients */

struct log_recipient {
    uint32_t session;
    uint64_t seq;
    uint8_t redaction; /* enum redaction, or LOG_ENDED */
};

struct log_event {
    uint64_t id;
    struct str name;
    struct str data; /* STR_NONE: left out, being too large or of one moment */
    uint32_t recipient_count;
    const char *recipients; /* encoded */
};

/* anew: every topic's number is in the log again, so that what was lost before it does no harm. */
void log_entry_begin(struct buf *out, bool anew);
/* Then exactly `recipients` calls of log_recipient_write. */
void log_event_write(struct buf *out, uint64_t id, struct str name, struct str data, uint32_t recipients);
void log_recipient_write(struct buf *out, const struct log_recipient *r);

struct log_cursor {
    struct str rest;
    bool anew, broken;
};
/* 0, -EINVAL (not an entry, or of a version to come). */
int log_entry_open(struct str bytes, struct log_cursor *ret);
/* False at the end, and when it is broken: then c->broken. Points into the entry. */
bool log_event_next(struct log_cursor *c, struct log_event *ret);
struct log_recipient log_recipient_at(const struct log_event *e, uint32_t i);
