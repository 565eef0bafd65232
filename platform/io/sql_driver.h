/* What the two SQL drivers and their front (sql.c) share. Loop thread, but for what sql_sqlite_conn.c does with a
 * request while it holds it on the thread pool. */
#pragma once

#include "platform/base/list.h"
#include "platform/io/co.h"
#include "platform/io/sql.h"

/* "Try again at once": deadlock, serialization failure, stale plan. Never leaves sql_run. */
#define SQL_RETRY (-EDEADLK)

/* One batch under way. It lives in sql_run's frame; the driver holds it from submit to sql_request_finish. */
struct sql_request {
    struct list link;
    struct co *co;
    struct arena *arena;
    const struct sql_stmt *stmts;
    int count;
    struct sql_result *results; /* filled as answers come; the caller sees it on success only */
    const char *script;         /* SQLite: instead of statements */
    bool read_only;
    bool waiting, done;
    bool alone; /* was in a group that failed: runs by itself now */
    int error;
    int losses;        /* connections lost under it */
    int retries;       /* after deadlocks and their like */
    int64_t queued_ms; /* monotonic */
    int64_t deadline_ms;
};

struct sql_driver {
    bool sqlite;
    void (*submit)(struct sql *db, struct sql_request *r);
    int (*script)(struct sql *db, const char *text); /* NULL: scripts are submitted like batches */
    bool (*ready)(const struct sql *db);
    void (*stop)(struct sql *db);    /* finish what waits, begin to close */
    void (*destroy)(struct sql *db); /* the last reference is gone */
};

struct sql {
    const struct sql_driver *driver;
    unsigned refs; /* the owner, each running sql_run, and each work item of the driver */
    bool closing;
};

void sql_ref(struct sql *db);
void sql_unref(struct sql *db);

/* Ends the request; its coroutine runs at once, so the driver's own state must be whole again before the call. */
void sql_request_finish(struct sql_request *r, int error);
/* The same for a list of them, each with the `error` it has. */
void sql_finish_all(struct list *finished);

/* Logs a failed statement once: what the database said and the statement's beginning. Any thread. */
void sql_log_failure(const char *driver, const char *code, const char *message, const char *text);

/* As much of a text as a log line takes, without line ends and quotes of its own. */
void sql_log_text(const char *in, char out[256]);

struct sql *sql_pg_open(const char *url, int connections, struct buf *err);
struct sql *sql_sqlite_open(const char *path, struct buf *err);

/* Parses digits into cell->i when the text is an integer. */
void sql_cell_number(struct sql_value *cell);
