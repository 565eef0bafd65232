/* SQL over two drivers with one dialect: PostgreSQL (libpq pipeline mode on the loop) and SQLite (on the thread pool).
 * A batch is a list of statements that takes effect as one transaction or not at all; decisions are made in SQL, so no
 * transaction ever waits for a client. Parameters are $1, $2, ... in both. Values travel as int64, text or NULL only:
 * columns are BIGINT, INTEGER and TEXT in both. Coroutine only (it awaits). */
#pragma once

#include "platform/base/arena.h"
#include "platform/base/buf.h"

struct sql;

enum sql_kind { SQL_NULL, SQL_INT, SQL_TEXT };
struct sql_value {
    enum sql_kind kind;
    int64_t i;
    struct str s;
};
#define SQL_I(v)       ((struct sql_value){.kind = SQL_INT, .i = (int64_t)(v)})
#define SQL_S(v)       ((struct sql_value){.kind = SQL_TEXT, .s = (v)}) /* STR_NONE (p NULL) binds NULL */
#define SQL_C(v)       SQL_S(str_c(v))
#define SQL_ID(v)      ((v) ? SQL_I(v) : (struct sql_value){.kind = SQL_NULL}) /* 0 binds NULL */
#define SQL_N()        ((struct sql_value){.kind = SQL_NULL})

#define SQL_PARAMS_MAX 32

/* Statements are static strings: the text's address is the key of the prepared statement (CHECKed). One dialect:
 *   - a parameter's type must be clear from where it stands; where it is not, write CAST($1 AS BIGINT);
 *   - a list of ids is one text parameter, "1,2,3" (empty: no ids): FROM sql_ids($1), whose one column is sql_ids.id,
 *     e.g. WHERE id IN (SELECT id FROM sql_ids($1));
 *   - no semicolons, no $$ quotes, no columns or tables named sql_*. */
struct sql_stmt {
    const char *text;
    int param_count;
    struct sql_value params[SQL_PARAMS_MAX];
    /* The batch is rolled back and sql_run returns -ENODATA when this statement affects (or returns) fewer rows. */
    int rows_min;
};

struct sql_result {
    int row_count, column_count;
    int64_t affected;              /* rows inserted, updated, deleted or returned */
    const struct sql_value *cells; /* row by row, in the arena */
};
static inline const struct sql_value *sql_cell(const struct sql_result *r, int row, int column)
{
    return &r->cells[row * r->column_count + column];
}
static inline int64_t sql_int(const struct sql_result *r, int row, int column)
{
    return sql_cell(r, row, column)->i; /* 0 for NULL; text that is a number was converted */
}
static inline uint64_t sql_id(const struct sql_result *r, int row, int column)
{
    return (uint64_t)sql_int(r, row, column);
}
static inline struct str sql_str(const struct sql_result *r, int row, int column)
{
    return sql_cell(r, row, column)->s; /* STR_NONE for NULL and for integers */
}

/* url: "postgresql://..." (all of libpq's parameters), "sqlite:PATH" or "sqlite::memory:". The connection is made in
 * the background and comes back by itself. connections: of PostgreSQL; SQLite uses one to write and two to read. NULL
 * and err when malformed. */
struct sql *sql_open(const char *url, int connections, struct buf *err);
/* Whoever still waits gets -EHOSTDOWN. The last things are freed in later turns of the loop. NULL is fine. */
void sql_close(struct sql *db);
bool sql_ready(const struct sql *db);
bool sql_is_sqlite(const struct sql *db);

/* Runs count statements as one transaction; ret[i] are in `a`, set only on success (ret may be NULL: rows are dropped,
 * `a` is not used). A failed one leaves nothing behind. Deadlocks and serialization failures are tried again a few
 * times in here. Isolation is READ COMMITTED: a decision belongs into the statement that acts on it, with rows_min.
 * 0; -ENODATA (rows_min not met); -EEXIST (unique constraint); -ENOENT (foreign key);
 * -EHOSTDOWN (database unreachable, or lost before the answer: the batch may have committed); -ENOSPC (disk full);
 * -EAGAIN (lock or statement timeout, deadlock, LIMIT_SQL_QUEUE reached: nothing happened, may be retried);
 * -EINVAL (text with a NUL byte or not UTF-8, over LIMIT_SQL_PARAM_BYTES, a number out of its column's range, a NOT
 * NULL or CHECK constraint); -EIO (anything else; logged once with its text). */
int sql_run(struct sql *db, struct arena *a, const struct sql_stmt *stmts, int count, struct sql_result *ret);
/* The same for batches that only read (-EIO otherwise), on connections of their own: without a write lock, seeing one
 * moment, sent again when their connection is lost. What sql_run answered before is seen. */
int sql_read(struct sql *db, struct arena *a, const struct sql_stmt *stmts, int count, struct sql_result *ret);

/* Several statements separated by semicolons, without parameters, in one transaction (migrations). On a connection of
 * its own, without a statement timeout. sql_run's errors. */
int sql_script(struct sql *db, const char *text);
