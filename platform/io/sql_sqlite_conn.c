/* One SQLite connection: opening, prepared statements, running batches. Works on the thread pool, one work item at a
 * time for a connection. Files: WAL and synchronous=FULL, so a commit that was answered survives a power cut. */
#include "platform/base/check.h"
#include "platform/base/mem.h"
#include "platform/io/sql_sqlite.h"
#include "platform/io/sql_text.h"

#include <errno.h>
#include <stdio.h>

struct lite_stmt {
    char *source; /* copy of the caller's text: shows one that was not static after all */
    sqlite3_stmt *handle;
    int param_index[SQL_PARAMS_MAX]; /* of $1, $2, ...; 0: not in the text */
    bool changes_rows;
};

static int error_code(int rc)
{
    switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return -EEXIST;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return -ENOENT;
    case SQLITE_IOERR_WRITE: /* a quota, a limit on the size of files */
    case SQLITE_IOERR_SHMSIZE:
        return -ENOSPC;
    }
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
        return -EINVAL;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EAGAIN;
    case SQLITE_CANTOPEN:
        return -EHOSTDOWN;
    default:
        return -EIO;
    }
}

/* Turns what the connection says into an error, logging what has no code of its own. */
static int failure(struct lite_conn *c, const char *text)
{
    int rc = sqlite3_extended_errcode(c->db);
    int error = error_code(rc);
    if (error == -EIO) {
        char code[16];
        snprintf(code, sizeof(code), "%d", rc);
        sql_log_failure("sqlite", code, sqlite3_errmsg(c->db), text);
    }
    return error;
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static int pragmas(struct lite_conn *c)
{
    static const char common[] = "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA busy_timeout = 3000;";
    static const char file[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                               "PRAGMA journal_size_limit = 67108864;";
    int rc = sqlite3_exec(c->db, common, NULL, NULL, NULL);
    if (rc == SQLITE_OK && c->role != LITE_MEMORY)
        rc = sqlite3_exec(c->db, file, NULL, NULL, NULL);
    if (rc == SQLITE_OK && c->role == LITE_READER)
        rc = sqlite3_exec(c->db, "PRAGMA query_only = ON", NULL, NULL, NULL);
    return rc;
}

int lite_conn_open(struct lite_conn *c)
{
    if (c->db)
        return 0;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(c->path, &c->db, flags, NULL);
    if (rc == SQLITE_OK)
        rc = pragmas(c);
    if (rc == SQLITE_OK)
        return 0;
    snprintf(c->error, sizeof(c->error), "%s", c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc));
    sqlite3_close(c->db);
    c->db = NULL;
    return -EHOSTDOWN;
}

void lite_conn_close(struct lite_conn *c)
{
    struct lite_stmt *st;
    for (size_t i = 0; (st = map_next(&c->stmts, &i)) != NULL;) {
        sqlite3_finalize(st->handle);
        mem_free(st->source);
        mem_free(st);
    }
    map_done(&c->stmts);
    int rc = sqlite3_close(c->db);
    CHECK(rc == SQLITE_OK);
    c->db = NULL;
}

/* --- statements ------------------------------------------------------------------------------------------------- */

static struct lite_stmt *stmt_prepare(struct lite_conn *c, const char *source)
{
    BUF_AUTO struct buf text = BUF_INIT(0);
    sql_text_rewrite(SQL_DIALECT_SQLITE, source, 0, &text);
    sqlite3_stmt *handle = NULL;
    if (sqlite3_prepare_v3(c->db, text.data, -1, SQLITE_PREPARE_PERSISTENT, &handle, NULL) != SQLITE_OK)
        return NULL;
    struct lite_stmt *st = MEM_NEW(struct lite_stmt);
    st->source = mem_strdup(source);
    st->handle = handle;
    st->changes_rows = !sqlite3_stmt_readonly(handle);
    for (int i = 0; i < SQL_PARAMS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "$%d", i + 1);
        st->param_index[i] = sqlite3_bind_parameter_index(handle, name);
    }
    return st;
}

static struct lite_stmt *stmt_get(struct lite_conn *c, const char *source)
{
    uint64_t key = (uint64_t)(uintptr_t)source;
    struct lite_stmt *st = map_get(&c->stmts, key);
    if (st) {
        CHECK_MSG(strcmp(st->source, source) == 0, "SQL text is not static: %.100s", source);
        return st;
    }
    CHECK_MSG(c->stmts.count < LIMIT_SQL_STATEMENTS, "too many SQL statements: %.100s", source);
    st = stmt_prepare(c, source);
    if (st)
        map_put(&c->stmts, key, st);
    return st;
}

/* The values stay where they are: they outlive the statement's run. */
static int stmt_bind(const struct lite_stmt *st, const struct sql_stmt *s)
{
    int rc = SQLITE_OK;
    for (int i = 0; i < s->param_count && rc == SQLITE_OK; i++) {
        const struct sql_value *v = &s->params[i];
        int index = st->param_index[i];
        if (index == 0)
            rc = SQLITE_RANGE; /* PostgreSQL refuses a parameter that is not in the text, too */
        else if (v->kind == SQL_INT)
            rc = sqlite3_bind_int64(st->handle, index, v->i);
        else if (v->kind == SQL_TEXT && v->s.p)
            rc = sqlite3_bind_text64(st->handle, index, v->s.p, v->s.n, SQLITE_STATIC, SQLITE_UTF8);
        else
            rc = sqlite3_bind_null(st->handle, index);
    }
    return rc;
}

static struct sql_value cell_read(sqlite3_stmt *handle, int column, struct arena *a)
{
    int type = sqlite3_column_type(handle, column);
    if (type == SQLITE_NULL)
        return (struct sql_value){.kind = SQL_NULL};
    if (type == SQLITE_INTEGER)
        return (struct sql_value){.kind = SQL_INT, .i = sqlite3_column_int64(handle, column)};
    const char *text = (const char *)sqlite3_column_text(handle, column);
    struct sql_value cell = {.kind = SQL_TEXT};
    cell.s = arena_str(a, (struct str){text ? text : "", (size_t)sqlite3_column_bytes(handle, column)});
    sql_cell_number(&cell);
    return cell;
}

/* Room for the next row: rows of an unknown number double in the arena. */
static struct sql_value *cells_for_row(struct arena *a, struct sql_result *out, struct sql_value *cells, int *cap)
{
    if (out->row_count < *cap)
        return cells;
    int grown_cap = *cap ? *cap * 2 : 4;
    struct sql_value *grown = ARENA_ARRAY(a, struct sql_value, (size_t)grown_cap * (size_t)out->column_count);
    if (cells)
        memcpy(grown, cells, sizeof(*cells) * (size_t)out->row_count * (size_t)out->column_count);
    *cap = grown_cap;
    return grown;
}

static int stmt_step_all(sqlite3_stmt *handle, struct arena *a, struct sql_result *out)
{
    struct sql_value *cells = NULL;
    int cap = 0, rc;
    out->column_count = sqlite3_column_count(handle);
    for (; (rc = sqlite3_step(handle)) == SQLITE_ROW; out->row_count++) {
        if (!a)
            continue;
        cells = cells_for_row(a, out, cells, &cap);
        for (int i = 0; i < out->column_count; i++)
            cells[out->row_count * out->column_count + i] = cell_read(handle, i, a);
    }
    out->cells = cells;
    return rc;
}

static int stmt_run(struct lite_conn *c, const struct sql_stmt *s, bool read_only, struct arena *a,
                    struct sql_result *ret)
{
    struct sql_result out = {0};
    struct lite_stmt *st = stmt_get(c, s->text);
    if (!st || stmt_bind(st, s) != SQLITE_OK)
        return failure(c, s->text);
    if (read_only && st->changes_rows) {
        sql_log_failure("sqlite", "8", "sql_read with a statement that writes", s->text);
        return -EIO;
    }
    int error = stmt_step_all(st->handle, ret ? a : NULL, &out) == SQLITE_DONE ? 0 : failure(c, s->text);
    out.affected = out.column_count == 0 && st->changes_rows ? sqlite3_changes64(c->db) : out.row_count;
    sqlite3_reset(st->handle);
    sqlite3_clear_bindings(st->handle);
    if (!error && out.affected < s->rows_min)
        error = -ENODATA;
    if (!error && ret)
        *ret = out;
    return error;
}

/* --- transactions ----------------------------------------------------------------------------------------------- */

static int plain(struct lite_conn *c, const char *text)
{
    struct sql_stmt s = {.text = text};
    return stmt_run(c, &s, false, NULL, NULL);
}

static int begin(struct lite_conn *c)
{
    return plain(c, "BEGIN IMMEDIATE");
}

static int commit(struct lite_conn *c)
{
    return plain(c, "COMMIT");
}

/* Some failures (a full disk, I/O errors) have ended the transaction already. */
static void roll_back(struct lite_conn *c)
{
    if (!sqlite3_get_autocommit(c->db))
        (void)plain(c, "ROLLBACK");
}

static int statements(struct lite_conn *c, struct sql_request *r)
{
    int error = 0;
    for (int i = 0; i < r->count && !error; i++)
        error = stmt_run(c, &r->stmts[i], r->read_only, r->arena, r->results ? &r->results[i] : NULL);
    return error;
}

static int script(struct lite_conn *c, const char *text)
{
    return sqlite3_exec(c->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : failure(c, text);
}

static int run_read(struct lite_conn *c, struct sql_request *r)
{
    if (r->count == 1 || c->role == LITE_MEMORY)
        return statements(c, r);
    int error = plain(c, "BEGIN");
    if (!error)
        error = statements(c, r);
    roll_back(c);
    return error;
}

static int run_write(struct lite_conn *c, struct sql_request *r)
{
    int error = begin(c);
    if (error)
        return error;
    error = r->script ? script(c, r->script) : statements(c, r);
    if (!error)
        error = commit(c);
    if (error)
        roll_back(c);
    return error;
}

static int run_alone(struct lite_conn *c, struct sql_request *r)
{
    return r->read_only ? run_read(c, r) : run_write(c, r);
}

/* A savepoint for each batch, so that one that fails leaves the others be. False: the transaction itself is gone. */
static bool run_in_group(struct lite_conn *c, struct sql_request *r)
{
    if (r->read_only) {
        r->error = statements(c, r);
        return true;
    }
    if (plain(c, "SAVEPOINT batch") != 0)
        return false;
    r->error = statements(c, r);
    if (sqlite3_get_autocommit(c->db))
        return false;
    if (r->error && plain(c, "ROLLBACK TO batch") != 0)
        return false;
    return plain(c, "RELEASE batch") == 0;
}

static bool run_group(struct lite_conn *c, struct list *requests)
{
    LIST_FOREACH(it, requests)
    {
        if (!run_in_group(c, LIST_ENTRY(it, struct sql_request, link)))
            return false;
    }
    return commit(c) == 0;
}

static bool is_group(const struct lite_conn *c, struct list *requests)
{
    return c->role != LITE_READER && requests->next != requests->prev;
}

/* One commit, which is one wait for the disk, for the whole group. When that fails each batch runs alone and gets the
 * error that is its own. */
void lite_conn_run(struct lite_conn *c, struct list *requests)
{
    int error = lite_conn_open(c);
    if (!error && is_group(c, requests)) {
        error = begin(c);
        if (!error && run_group(c, requests))
            return;
        roll_back(c);
    }
    LIST_FOREACH(it, requests)
    {
        struct sql_request *r = LIST_ENTRY(it, struct sql_request, link);
        r->error = error ? error : run_alone(c, r);
    }
}
