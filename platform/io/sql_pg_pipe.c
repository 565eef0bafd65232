/* What travels on a PostgreSQL connection. A batch is one segment: its statements, then one Sync, which the server
 * runs as one implicit transaction that ends at the Sync without waiting for us. A prepare is a segment of its own, so
 * that a batch's failure cannot undo it. Source: PostgreSQL documentation, "libpq: Pipeline Mode". Loop thread. */
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/mem.h"
#include "platform/io/sql_pg.h"

#include <errno.h>

/* Type oids are fixed. Source: PostgreSQL, pg_type.dat. */
enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23 };

#define STRINGIFY(x) #x
#define STRING_OF(x) STRINGIFY(x)

/* --- sending ---------------------------------------------------------------------------------------------------- */

static struct pg_segment *segment_add(struct pg_conn *c, int kind, int part_count)
{
    struct pg_segment *s = mem_zalloc(sizeof(*s) + sizeof(s->parts[0]) * (size_t)part_count);
    s->kind = (typeof(s->kind))kind;
    s->part_count = part_count;
    if (list_empty(&c->segments))
        c->progress_ms = clock_mono_ms();
    list_append(&c->segments, &s->link);
    return s;
}

/* A deadlock is looked for after deadlock_timeout (1 s by default, which holds up all that is behind it on two
 * connections); only a superuser may make it shorter. */
#define SETUP                                                                                                          \
    "SELECT set_config('lock_timeout', '" STRING_OF(                                                                   \
        LIMIT_SQL_LOCK_MS) "', false),"                                                                                \
                           " set_config('statement_timeout', '" STRING_OF(                                             \
                               LIMIT_SQL_STATEMENT_MS) "', false),"                                                    \
                                                       " set_config('idle_in_transaction_session_timeout', '10000', "  \
                                                       "false),"                                                       \
                                                       " set_config('client_min_messages', 'error', false),"           \
                                                       " set_config('jit', 'off', false),"                             \
                                                       " CASE WHEN (SELECT rolsuper FROM pg_roles WHERE rolname = "    \
                                                       "current_user)"                                                 \
                                                       " THEN set_config('deadlock_timeout', '100', false) END,"

bool pg_send_setup(struct pg_conn *c)
{
    static const char writes[] = SETUP " set_config('default_transaction_isolation', 'read committed', false)";
    static const char reads[] = SETUP " set_config('default_transaction_isolation', 'repeatable read', false),"
                                      " set_config('default_transaction_read_only', 'on', false)";
    const char *text = c->reads ? reads : writes;
    if (!PQsendQueryParams(c->pg, text, 0, NULL, NULL, NULL, NULL, 0) || !PQpipelineSync(c->pg))
        return false;
    segment_add(c, PG_SEGMENT_SETUP, 0);
    return true;
}

static void prepared_name(const struct pg_conn *c, const struct pg_stmt *st, char out[32])
{
    snprintf(out, 32, "s%u_%u", st->id, c->prepared[st->id].generation);
}

static bool send_prepare(struct pg_conn *c, struct pg_stmt *st)
{
    char name[32];
    prepared_name(c, st, name);
    if (!PQsendPrepare(c->pg, name, st->text, 0, NULL) || !PQpipelineSync(c->pg))
        return false;
    segment_add(c, PG_SEGMENT_PREPARE, 0)->stmt = st;
    c->prepared[st->id].state = PG_PREPARING;
    return true;
}

/* All parameters go as text: the server infers their types from where they stand. */
static void params_as_text(const struct sql_stmt *s, struct buf *scratch, const char *values[SQL_PARAMS_MAX])
{
    size_t offsets[SQL_PARAMS_MAX];
    buf_clear(scratch);
    for (int i = 0; i < s->param_count; i++) {
        offsets[i] = scratch->len;
        if (s->params[i].kind == SQL_INT)
            buf_addf(scratch, "%lld", (long long)s->params[i].i);
        else if (s->params[i].kind == SQL_TEXT && s->params[i].s.p)
            buf_add_str(scratch, s->params[i].s);
        buf_addc(scratch, 0);
    }
    CHECK(!buf_failed(scratch)); /* 32 parameters of LIMIT_SQL_PARAM_BYTES fit */
    for (int i = 0; i < s->param_count; i++) {
        bool null = s->params[i].kind == SQL_NULL || (s->params[i].kind == SQL_TEXT && !s->params[i].s.p);
        values[i] = null ? NULL : scratch->data + offsets[i];
    }
}

static bool send_statement(struct pg_conn *c, const struct pg_stmt *st, const struct sql_stmt *s)
{
    const char *values[SQL_PARAMS_MAX];
    char name[32];
    prepared_name(c, st, name);
    params_as_text(s, &c->pool->scratch, values);
    return PQsendQueryPrepared(c->pg, name, s->param_count, values, NULL, NULL, 0);
}

static bool prepare_all(struct pg_conn *c, const struct sql_request *r)
{
    for (int i = 0; i < r->count; i++) {
        struct pg_stmt *st = pg_stmt_get(c->pool, &r->stmts[i]);
        if (c->prepared[st->id].state == PG_NOT_PREPARED && !send_prepare(c, st))
            return false;
    }
    return true;
}

static bool send_all(struct pg_conn *c, const struct sql_request *r)
{
    for (int i = 0; i < r->count; i++)
        if (!send_statement(c, pg_stmt_get(c->pool, &r->stmts[i]), &r->stmts[i]))
            return false;
    return true;
}

bool pg_send_requests(struct pg_conn *c, struct sql_request **requests, int count)
{
    for (int i = 0; i < count; i++)
        if (!prepare_all(c, requests[i]))
            return false;
    for (int i = 0; i < count; i++)
        if (!send_all(c, requests[i]))
            return false;
    if (!PQpipelineSync(c->pg))
        return false;
    struct pg_segment *s = segment_add(c, PG_SEGMENT_BATCH, count);
    for (int i = 0; i < count; i++)
        s->parts[i] = (struct pg_part){.req = requests[i], .count = requests[i]->count};
    c->batches++;
    return true;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static struct sql_value cell_read(const PGresult *res, int row, int column, struct arena *a)
{
    if (PQgetisnull(res, row, column))
        return (struct sql_value){.kind = SQL_NULL};
    struct str text = {PQgetvalue(res, row, column), (size_t)PQgetlength(res, row, column)};
    struct sql_value cell = {.kind = SQL_INT, .s = text};
    Oid type = PQftype(res, column);
    if (type == OID_BOOL)
        cell.i = text.p[0] == 't';
    else
        sql_cell_number(&cell);
    if (type == OID_BOOL || type == OID_INT8 || type == OID_INT4 || type == OID_INT2) {
        cell.s = STR_NONE;
        return cell;
    }
    cell.kind = SQL_TEXT;
    cell.s = arena_str(a, text);
    return cell;
}

static void result_store(struct pg *pool, struct sql_request *r, int index, const PGresult *res)
{
    struct sql_result *out = &r->results[index];
    *out = (struct sql_result){0};
    if (pg_stmt_get(pool, &r->stmts[index])->shape == SQL_SHAPE_COUNTED) {
        out->affected = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
        return;
    }
    out->affected = strtoll(PQcmdTuples((PGresult *)(uintptr_t)res), NULL, 10);
    out->row_count = PQntuples(res);
    out->column_count = PQnfields(res);
    struct sql_value *cells =
        ARENA_ARRAY(r->arena, struct sql_value, (size_t)out->row_count * (size_t)out->column_count + 1);
    for (int row = 0; row < out->row_count; row++)
        for (int column = 0; column < out->column_count; column++)
            cells[row * out->column_count + column] = cell_read(res, row, column, r->arena);
    out->cells = cells;
}

/* A statement that the server does not know as prepared: because preparing it failed (that error is told), or because
 * the connection was handed to another session below us (then it is prepared anew). */
static int not_prepared_error(struct pg_prepared *p)
{
    if (p->state != PG_PREPARED)
        return p->error ? p->error : SQL_RETRY;
    p->state = PG_NOT_PREPARED;
    p->generation++;
    return SQL_RETRY;
}

/* The request that the next result belongs to; NULL when it was given up. */
static struct sql_request *segment_request(const struct pg_segment *s)
{
    return s->kind == PG_SEGMENT_BATCH && s->part < s->part_count ? s->parts[s->part].req : NULL;
}

static void segment_advance(struct pg_segment *s)
{
    s->answered++;
    if (s->kind == PG_SEGMENT_BATCH && s->part < s->part_count && s->answered == s->parts[s->part].count) {
        s->part++;
        s->answered = 0;
    }
}

static int batch_error(struct pg_conn *c, const struct sql_stmt *stmt, const char *state, const char *message)
{
    struct pg_prepared *p = &c->prepared[pg_stmt_get(c->pool, stmt)->id];
    if (state && strcmp(state, "26000") == 0)
        return not_prepared_error(p);
    int error = pg_error_code(state, message);
    if (error == SQL_RETRY && state && strcmp(state, "0A000") == 0) {
        p->state = PG_NOT_PREPARED;
        p->generation++;
    }
    if (state && strcmp(state, "25006") == 0) {
        if (c->reads)
            return -EIO; /* sql_read with a statement that writes */
        c->bad = true;   /* a standby: another of the hosts may be the primary */
    }
    return error;
}

static const char *segment_text(const struct pg_segment *s)
{
    const struct sql_request *r = segment_request(s);
    return r ? r->stmts[s->answered].text : s->stmt ? s->stmt->source : "setup";
}

static void segment_failed(struct pg_conn *c, struct pg_segment *s, const PGresult *res)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    const struct sql_request *r = segment_request(s);
    c->ended |= severity && strcmp(severity, "FATAL") == 0;
    if (s->error)
        return;
    s->error = r ? batch_error(c, &r->stmts[s->answered], state, message) : pg_error_code(state, message);
    bool told = (state && strcmp(state, "26000") == 0) /* when preparing failed */ || s->part_count > 1 /* will be */;
    if (s->error == -EIO && !told)
        sql_log_failure("postgresql", state, message ? message : "", segment_text(s));
}

static void batch_end(struct pg_conn *c, struct pg_segment *s, struct list *finished)
{
    c->batches--;
    for (int i = 0; i < s->part_count; i++) {
        struct sql_request *r = s->parts[i].req;
        if (!r)
            continue;
        r->error = s->error;
        r->alone = s->error != 0;
        bool again = s->error && s->part_count > 1 && s->error != -EHOSTDOWN;
        list_append(again ? &c->pool->queues[0] : finished, &r->link);
        c->pool->queued[0] += again;
    }
}

static void segment_end(struct pg_conn *c, struct pg_segment *s, struct list *finished)
{
    list_remove(&s->link);
    if (s->kind == PG_SEGMENT_BATCH) {
        batch_end(c, s, finished);
    } else if (s->kind == PG_SEGMENT_PREPARE) {
        struct pg_prepared *p = &c->prepared[s->stmt->id];
        p->state = s->error ? PG_NOT_PREPARED : PG_PREPARED;
        p->error = s->error;
    } else if (s->error) {
        c->bad = true;
    } else {
        pg_conn_up(c);
    }
    mem_free(s);
}

/* False: this is the connection's own end, not an answer. */
static bool take_result(struct pg_conn *c, const PGresult *res, struct list *finished)
{
    struct pg_segment *s = LIST_ENTRY(list_first(&c->segments), struct pg_segment, link);
    switch (PQresultStatus(res)) {
    case PGRES_PIPELINE_SYNC:
        segment_end(c, s, finished);
        return true;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        if (segment_request(s) && segment_request(s)->results && !s->error)
            result_store(c->pool, segment_request(s), s->answered, res);
        segment_advance(s);
        return true;
    case PGRES_PIPELINE_ABORTED:
        segment_advance(s);
        return true;
    case PGRES_FATAL_ERROR:
        segment_failed(c, s, res);
        segment_advance(s);
        return PQresultErrorField(res, PG_DIAG_SQLSTATE) != NULL;
    default: /* COPY and its like: no statement of ours does that */
        c->bad = true;
        return false;
    }
}

void pg_read_results(struct pg_conn *c, struct list *finished)
{
    int nulls = 0; /* one ends a statement; two: there is nothing more to be had */
    while (!list_empty(&c->segments) && nulls < 2 && !PQisBusy(c->pg)) {
        PGresult *res = PQgetResult(c->pg);
        nulls = res ? 0 : nulls + 1;
        bool more = !res || take_result(c, res, finished);
        PQclear(res);
        if (!more)
            break;
    }
}
