/* The SQLite driver's own shapes: lanes (sql_sqlite.c, loop thread), each with one connection that works on the thread
 * pool (sql_sqlite_conn.c). */
#pragma once

#include "platform/base/limits.h"
#include "platform/base/map.h"
#include "platform/io/sql_driver.h"

#include <sqlite3.h>

enum lite_role {
    LITE_WRITER, /* of a file: one transaction for each group of batches */
    LITE_READER, /* of a file: sees what was committed */
    LITE_MEMORY, /* does both, alone: every connection to :memory: has a database of its own */
};

/* One thread at a time uses it: the lane's work item. */
struct lite_conn {
    enum lite_role role;
    const char *path;
    sqlite3 *db;      /* NULL: not open, or it has to be opened again */
    struct map stmts; /* prepared statements by text address */
    char error[160];  /* why it could not be opened */
};

/* Opens it when it is not. 0, -EHOSTDOWN. */
int lite_conn_open(struct lite_conn *c);
/* Runs requests (links of struct sql_request) and sets each one's error; at most LIMIT_SQL_GROUP, a script alone. */
void lite_conn_run(struct lite_conn *c, struct list *requests);
void lite_conn_close(struct lite_conn *c);
