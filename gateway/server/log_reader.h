/* Reading the log of another node's run: every entry once, kept decoded for a minute, because the sessions of a node
 * that is gone come back together. Coroutine; loop thread. Limits: LIMIT_SESSION_LOG_*. */
#pragma once

#include "gateway/server/encoded.h"
#include "gateway/server/session_record.h"

struct gateway;
struct log_reader;

/* One dispatch of a session. Borrowed from the reader. */
struct log_line {
    uint64_t entry, seq;
    struct log_seen *event; /* NULL: the session was ended */
    uint8_t redaction;
};

/* Reads to the log's end. 0 and a reader to be released; kv's errors; -EINVAL: the log cannot be read. */
int log_reader_open(struct gateway *g, const char *run, struct log_reader **ret);
void log_reader_release(struct log_reader *r);
void log_readers_tick(struct gateway *g, int64_t now_ms);
void log_readers_free(struct gateway *g);

/* What the log says about a session whose record is `rec`: its last dispatch is *ret_last, and those of
 * *ret_lines[0..*ret_count) lead up to it without a hole (count 0: none is known but the last number). -ENODATA: the
 * log does not know how far the session was. */
int log_reader_session(const struct log_reader *r, const struct session_record *rec, const struct log_line **ret_lines,
                       unsigned *ret_count, uint64_t *ret_last);
/* The last entry that was read. */
uint64_t log_reader_last(const struct log_reader *r);
/* The ids of all its events. Borrowed from the reader. */
struct past *log_reader_past(const struct log_reader *r);
/* The event, encoded for this node; NULL: left out of the log, or of a type that this node does not know. Borrowed. */
struct encoded *log_line_encoded(struct log_reader *r, const struct log_line *line);
