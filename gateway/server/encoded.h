/* One dispatch, encoded at most once for each (encoding and compression, redaction) and shared by every session that
 * gets it and by their replay buffers. All encoded events of a node stand in one log, oldest first; over its limit in
 * bytes the oldest are emptied, whoever still holds them, and a RESUME that needs one gets op 9. Loop thread. */
#pragma once

#include "gateway/server/encoder.h"
#include "platform/base/list.h"
#include "platform/protocol/event.h"

struct encoded;

enum redaction {
    REDACTION_NONE,
    REDACTION_KEEP_REFERENCE, /* all but referenced_message */
    REDACTION_ALL,
    REDACTION_COUNT,
};

struct encoded_log {
    struct encoder_context encoders;
    struct list events;
    size_t bytes, bytes_max;
};
void encoded_log_init(struct encoded_log *log, size_t bytes_max);
/* Every event must have been unreferenced before. */
void encoded_log_done(struct encoded_log *log);

/* `data` (copied) is the dispatch's d. One reference, the caller's. */
struct encoded *encoded_new(struct encoded_log *log, enum event_type type, struct str data);
struct encoded *encoded_ref(struct encoded *e);
void encoded_unref(struct encoded *e); /* NULL is fine */

/* Bytes of the JSON form. */
size_t encoded_bytes(const struct encoded *e);
enum event_type encoded_type(const struct encoded *e);
/* Borrowed, valid while the reference is held and nothing new is encoded. NULL: emptied. */
struct ws_shared *encoded_share(struct encoded *e, enum encoder_kind kind, enum redaction redaction);

/* The id of the event it comes from; 0: none. */
uint64_t encoded_event_id(const struct encoded *e);
void encoded_event_id_put(struct encoded *e, uint64_t id);
/* The d; STR_NONE when it was emptied. Borrowed. */
struct str encoded_data(const struct encoded *e);
/* Where it stands in the entry `entry` of the session log; false: not there. */
bool encoded_slot(const struct encoded *e, uint64_t entry, uint32_t *ret);
void encoded_slot_put(struct encoded *e, uint64_t entry, uint32_t slot);

/* What a user without MESSAGE_CONTENT may read of this message event that neither is its own nor mentions it. */
enum redaction encoded_redaction_for(struct encoded *e, uint64_t user_id);
