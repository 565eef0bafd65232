/* The PostgreSQL driver's own shapes: a pool with one queue (sql_pg.c), connections (sql_pg_conn.c), what travels on
 * them (sql_pg_pipe.c). Loop thread. */
#pragma once

#include "platform/base/limits.h"
#include "platform/base/map.h"
#include "platform/io/loop.h"
#include "platform/io/sql_driver.h"
#include "platform/io/sql_text.h"

#include <libpq-fe.h>
#include <uv.h>

/* A statement as it is prepared, known to the whole pool. */
struct pg_stmt {
    unsigned id;
    char *source; /* copy of the caller's text: shows one that was not static after all */
    char *text;   /* rewritten */
    enum sql_shape shape;
    bool plain_insert; /* may share a transaction with others of its kind */
};

/* The same on one connection. */
struct pg_prepared {
    enum { PG_NOT_PREPARED, PG_PREPARING, PG_PREPARED } state;
    unsigned generation; /* part of the server-side name */
    int error;           /* why the last prepare failed */
};

/* What goes out between two Syncs: one implicit transaction. Batches that only insert share one, because each commit
 * waits for the disk; when one of them fails, each runs alone. */
struct pg_part {
    struct sql_request *req; /* NULL: given up, its results are dropped */
    int count;               /* statements */
};
struct pg_segment {
    struct list link;
    enum { PG_SEGMENT_SETUP, PG_SEGMENT_PREPARE, PG_SEGMENT_BATCH } kind;
    struct pg_stmt *stmt; /* PREPARE */
    int error;            /* the first one */
    int part, answered;   /* where the next result belongs */
    int part_count;       /* BATCH */
    struct pg_part parts[];
};

struct pg_conn {
    struct pg *pool;
    int index;
    bool reads; /* for sql_read: REPEATABLE READ and READ ONLY; the others for sql_run */
    enum { PG_WAITING, PG_RESOLVING, PG_CONNECTING, PG_SETUP, PG_UP } state;
    PGconn *pg;
    uv_poll_t *poll;
    int poll_events;
    struct loop_timer *timer; /* WAITING: the next try; CONNECTING, SETUP: it takes too long */
    int64_t backoff_ms;
    struct list segments; /* sent, oldest first */
    unsigned batches;     /* of them, segments of kind BATCH */
    int64_t progress_ms;  /* when something came last, or the first was sent */
    bool bad;             /* cut it when this turn's results are read */
    bool ended;           /* the server said FATAL: it ran nothing behind the oldest segment */
    struct pg_prepared prepared[LIMIT_SQL_STATEMENTS];
};

struct pg {
    struct sql sql;
    PQconninfoOption *options;
    struct pg_conn *conns;
    int conn_count;
    struct list queues[2]; /* requests, oldest first: [0] writes, [1] reads */
    unsigned queued[2];
    struct map stmts; /* by text address and rows_min */
    unsigned stmt_count;
    struct loop_timer *tick;
    bool pump_posted, ticking, down_logged;
    struct buf scratch; /* parameters as text */
};

/* sql_pg.c */
void pg_pump_later(struct pg *pool);
/* The prepared form of a statement. */
struct pg_stmt *pg_stmt_get(struct pg *pool, const struct sql_stmt *stmt);
/* Keywords and values for PQconnectStartParams, NULL-terminated; values borrowed from the pool but for the three given.
 */
#define PG_PARAMS_MAX 96
void pg_connect_params(const struct pg *pool, const char *host, const char *hostaddr, const char *port,
                       const char *keywords[PG_PARAMS_MAX], const char *values[PG_PARAMS_MAX]);
const char *pg_option(const struct pg *pool, const char *keyword); /* NULL when not set */

/* sql_pg_address.c: every address of every host, so that libpq need not resolve (it would block). Blocks; any thread.
 * Lists as libpq wants them, separated by commas. False: no address found. */
struct pg_addresses {
    struct buf hosts, addresses, ports;
};
bool pg_addresses_find(const char *hosts, const char *ports, struct pg_addresses *ret);
void pg_addresses_done(struct pg_addresses *a);

/* sql_pg_conn.c */
void pg_conn_init(struct pg_conn *c, struct pg *pool, int index, bool reads);
void pg_conn_start(struct pg_conn *c);
/* Flushes and arms the poll handle; call after something was sent. */
void pg_conn_flush(struct pg_conn *c);
/* Ends the connection and tries again after the backoff. Requests in flight are answered or queued again. */
void pg_conn_lost(struct pg_conn *c, const char *why);
void pg_conn_stop(struct pg_conn *c);
void pg_conn_up(struct pg_conn *c); /* the setup segment was answered */

/* sql_pg_pipe.c */
bool pg_send_setup(struct pg_conn *c);
/* Sends requests as one segment. False: the connection is broken, and without a Sync nothing of them can commit. */
bool pg_send_requests(struct pg_conn *c, struct sql_request **requests, int count);
/* Reads what came; requests that are answered go to `finished`. */
void pg_read_results(struct pg_conn *c, struct list *finished);

/* sql_pg_error.c */
int pg_error_code(const char *sqlstate, const char *message);
