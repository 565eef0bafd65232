/* The front of the SQL drivers: chooses one by URL, checks what callers pass, parks the calling coroutine until the
 * driver answers, tries again what the database asks to try again. Loop thread. */
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/sql_driver.h"

#include <errno.h>

#define RETRIES_MAX 4

METRIC_DEFINE_BY(metric_batches, METRIC_HISTOGRAM, "guildhall_sql_batch_seconds", "kind",
                 "Time from sql_run or sql_read to its answer");
METRIC_DEFINE_BY(metric_errors, METRIC_COUNTER, "guildhall_sql_errors_total", "error",
                 "Batches that failed, by errno name");
METRIC_DEFINE(metric_retries, METRIC_COUNTER, "guildhall_sql_retries_total",
              "Batches run again after a deadlock or its like");

struct sql *sql_open(const char *url, int connections, struct buf *err)
{
    struct str u = str_c(url);
    if (str_starts(u, STR("sqlite:")))
        return sql_sqlite_open(url + strlen("sqlite:"), err);
    if (str_starts(u, STR("postgresql://")) || str_starts(u, STR("postgres://")))
        return sql_pg_open(url, connections, err);
    buf_adds(err, "database url: want postgresql://..., sqlite:PATH or sqlite::memory:");
    return NULL;
}

void sql_ref(struct sql *db)
{
    db->refs++;
}

void sql_unref(struct sql *db)
{
    CHECK(db->refs > 0);
    if (--db->refs == 0)
        db->driver->destroy(db);
}

void sql_close(struct sql *db)
{
    if (!db)
        return;
    CHECK(!db->closing);
    db->closing = true;
    db->driver->stop(db);
    sql_unref(db);
}

bool sql_is_sqlite(const struct sql *db)
{
    return db->driver->sqlite;
}

bool sql_ready(const struct sql *db)
{
    return db->driver->ready(db);
}

void sql_request_finish(struct sql_request *r, int error)
{
    CHECK(!r->done);
    r->error = error;
    r->done = true;
    if (r->waiting)
        co_resume(r->co);
}

void sql_finish_all(struct list *finished)
{
    while (!list_empty(finished)) {
        struct list *first = list_first(finished);
        list_remove(first);
        struct sql_request *r = LIST_ENTRY(first, struct sql_request, link);
        sql_request_finish(r, r->error);
    }
}

void sql_log_text(const char *in, char out[256])
{
    size_t n = 0;
    for (; in[n] && n < 255; n++)
        out[n] = in[n] == '"' ? '\'' : (unsigned char)in[n] < ' ' ? ' ' : in[n];
    while (n && out[n - 1] == ' ')
        n--;
    out[n] = 0;
}

void sql_log_failure(const char *driver, const char *code, const char *message, const char *text)
{
    char message_line[256], text_line[256];
    sql_log_text(message, message_line);
    sql_log_text(text, text_line);
    LOG_ERROR("sql_failed", "driver=%s code=%s message=\"%s\" statement=\"%s\"", driver, code, message_line, text_line);
}

void sql_cell_number(struct sql_value *cell)
{
    if (cell->s.n == 0 || cell->s.n > 20)
        return;
    int64_t number;
    if (str_to_i64(cell->s, &number) == 0)
        cell->i = number;
}

static bool text_is_storable(struct str s)
{
    return s.n == 0 || (s.n <= LIMIT_SQL_PARAM_BYTES && memchr(s.p, 0, s.n) == NULL && utf8_count(s) >= 0);
}

static bool params_are_storable(const struct sql_stmt *stmts, int count)
{
    for (int i = 0; i < count; i++) {
        CHECK(stmts[i].text && stmts[i].param_count >= 0 && stmts[i].param_count <= SQL_PARAMS_MAX);
        for (int k = 0; k < stmts[i].param_count; k++)
            if (stmts[i].params[k].kind == SQL_TEXT && !text_is_storable(stmts[i].params[k].s))
                return false;
    }
    return true;
}

static const char *error_label(int error)
{
    switch (error) {
    case -ENODATA:
        return "error=\"ENODATA\"";
    case -EEXIST:
        return "error=\"EEXIST\"";
    case -ENOENT:
        return "error=\"ENOENT\"";
    case -EHOSTDOWN:
        return "error=\"EHOSTDOWN\"";
    case -ENOSPC:
        return "error=\"ENOSPC\"";
    case -EAGAIN:
        return "error=\"EAGAIN\"";
    case -EINVAL:
        return "error=\"EINVAL\"";
    default:
        return "error=\"EIO\"";
    }
}

static int submit_and_wait(struct sql *db, struct sql_request *r)
{
    r->done = r->waiting = false;
    r->queued_ms = clock_mono_ms();
    if (db->closing)
        return -EHOSTDOWN;
    db->driver->submit(db, r);
    if (!r->done) {
        r->waiting = true;
        co_suspend();
    }
    CHECK(r->done);
    return r->error;
}

static int run(struct sql *db, struct sql_request *r)
{
    sql_ref(db);
    int error = submit_and_wait(db, r);
    while (error == SQL_RETRY && r->retries++ < RETRIES_MAX) {
        metric_add(&metric_retries, 1);
        error = submit_and_wait(db, r);
    }
    sql_unref(db);
    return error == SQL_RETRY ? -EAGAIN : error;
}

static void observe(bool read_only, uint64_t start_ns)
{
    static struct metric *kinds[2]; /* metric_with takes a lock: once is enough */
    if (!kinds[read_only])
        kinds[read_only] = metric_with(&metric_batches, read_only ? "kind=\"read\"" : "kind=\"write\"");
    metric_observe_us(kinds[read_only], (int64_t)((clock_mono_ns() - start_ns) / 1000));
}

static int run_batch(struct sql *db, struct arena *a, const struct sql_stmt *stmts, int count, struct sql_result *ret,
                     bool read_only)
{
    CHECK(co_self() && count > 0);
    uint64_t start_ns = clock_mono_ns();
    struct sql_request r = {.co = co_self(), .arena = a, .stmts = stmts, .count = count, .read_only = read_only};
    r.deadline_ms = clock_mono_ms() + LIMIT_SQL_DEADLINE_MS;
    if (ret)
        r.results = ARENA_ARRAY(a, struct sql_result, (size_t)count);
    int error = params_are_storable(stmts, count) ? run(db, &r) : -EINVAL;
    observe(read_only, start_ns);
    if (error)
        metric_add(metric_with(&metric_errors, error_label(error)), 1);
    else if (ret)
        memcpy(ret, r.results, sizeof(*ret) * (size_t)count);
    return error;
}

int sql_run(struct sql *db, struct arena *a, const struct sql_stmt *stmts, int count, struct sql_result *ret)
{
    return run_batch(db, a, stmts, count, ret, false);
}

int sql_read(struct sql *db, struct arena *a, const struct sql_stmt *stmts, int count, struct sql_result *ret)
{
    return run_batch(db, a, stmts, count, ret, true);
}

int sql_script(struct sql *db, const char *text)
{
    CHECK(co_self());
    if (db->closing)
        return -EHOSTDOWN;
    sql_ref(db);
    int error;
    if (db->driver->script) {
        error = db->driver->script(db, text);
    } else {
        struct sql_request r = {.co = co_self(), .script = text, .deadline_ms = INT64_MAX};
        error = submit_and_wait(db, &r);
    }
    sql_unref(db);
    return error == SQL_RETRY ? -EAGAIN : error;
}
