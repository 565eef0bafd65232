/* The PostgreSQL driver: a bounded queue of batches, handed once a loop turn to the connections that have the least in
 * flight; reads have connections of their own, so they wait for nobody's commit and a batch of them sees one moment. No
 * batch ever waits for us while it holds a lock. Loop thread; scripts run on the thread pool. */
#include "platform/io/sql_pg.h"
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"

#include <errno.h>

#define TICK_MS      250
#define SHARED_DEPTH 2  /* one that the server works on, one for it to find next */
#define STALL_MS     50 /* a connection silent for so long waits for a lock or for a slow statement: others come first */

METRIC_DEFINE(metric_queued, METRIC_GAUGE, "guildhall_sql_queued", "Batches waiting for a PostgreSQL connection");

static struct pg *pg_of(struct sql *db)
{
    return (struct pg *)(void *)db;
}

/* --- statements ------------------------------------------------------------------------------------------------- */

struct pg_stmt *pg_stmt_get(struct pg *pool, const struct sql_stmt *stmt)
{
    CHECK(stmt->rows_min >= 0 && stmt->rows_min < 256);
    uint64_t key = (uint64_t)(uintptr_t)stmt->text << 8 | (uint64_t)stmt->rows_min;
    struct pg_stmt *st = map_get(&pool->stmts, key);
    if (st) {
        CHECK_MSG(strcmp(st->source, stmt->text) == 0, "SQL text is not static: %.100s", stmt->text);
        return st;
    }
    CHECK_MSG(pool->stmt_count < LIMIT_SQL_STATEMENTS, "too many SQL statements: %.100s", stmt->text);
    BUF_AUTO struct buf text = BUF_INIT(0);
    st = MEM_NEW(struct pg_stmt);
    st->id = pool->stmt_count++;
    st->source = mem_strdup(stmt->text);
    st->shape = sql_text_rewrite(SQL_DIALECT_POSTGRES, stmt->text, stmt->rows_min, &text);
    st->plain_insert = stmt->rows_min <= 1 && sql_text_is_plain_insert(stmt->text);
    st->text = buf_steal(&text, NULL);
    CHECK(st->text);
    map_put(&pool->stmts, key, st);
    return st;
}

static void stmts_free(struct pg *pool)
{
    struct pg_stmt *st;
    for (size_t i = 0; (st = map_next(&pool->stmts, &i)) != NULL;) {
        mem_free(st->source);
        mem_free(st->text);
        mem_free(st);
    }
    map_done(&pool->stmts);
}

/* --- the queue -------------------------------------------------------------------------------------------------- */

static bool any_up(const struct pg *pool, bool reads)
{
    for (int i = 0; i < pool->conn_count; i++)
        if (pool->conns[i].state == PG_UP && pool->conns[i].reads == reads)
            return true;
    return false;
}

static bool may_share(struct pg *pool, const struct sql_request *r)
{
    bool plain = !r->read_only && !r->alone;
    for (int i = 0; i < r->count && plain; i++)
        plain = pg_stmt_get(pool, &r->stmts[i])->plain_insert;
    return plain;
}

static bool has_room(const struct pg_conn *c, unsigned depth)
{
    return c->state == PG_UP && c->batches < depth && !(c->poll_events & UV_WRITABLE);
}

/* The connection that takes the request; NULL when all are full, or slow to take what they have. Who shares waits for
 * a connection that is nearly free, so that groups form by themselves. What was in a deadlock goes to the first: one
 * behind the other, they do not meet again. */
static struct pg_conn *conn_choose(struct pg *pool, const struct sql_request *r, bool shares, int64_t now_ms)
{
    struct pg_conn *best = NULL;
    unsigned best_cost = UINT_MAX;
    for (int i = 0; i < pool->conn_count; i++) {
        struct pg_conn *c = &pool->conns[i];
        if (c->reads != r->read_only || !has_room(c, shares ? SHARED_DEPTH : LIMIT_SQL_PIPELINE))
            continue;
        if (r->retries > 0)
            return c;
        unsigned cost = c->batches + (c->batches && now_ms - c->progress_ms > STALL_MS ? LIMIT_SQL_PIPELINE : 0);
        if (cost < best_cost) {
            best = c;
            best_cost = cost;
        }
    }
    return best;
}

/* Takes the first request off the queue, and those behind it that may share its transaction: an even part of what is
 * queued for each connection. */
static int group_take(struct pg *pool, bool reads, bool shares, struct sql_request *group[LIMIT_SQL_GROUP])
{
    unsigned writers = 0, count = 0;
    for (int i = 0; i < pool->conn_count; i++)
        writers += pool->conns[i].state == PG_UP && !pool->conns[i].reads;
    unsigned want = shares && writers ? (pool->queued[reads] + writers - 1) / writers : 1;
    while (count < want && count < LIMIT_SQL_GROUP && !list_empty(&pool->queues[reads])) {
        struct sql_request *r = LIST_ENTRY(list_first(&pool->queues[reads]), struct sql_request, link);
        if (count > 0 && !may_share(pool, r))
            break;
        list_remove(&r->link);
        pool->queued[reads]--;
        group[count++] = r;
    }
    return (int)count;
}

static void send_queued(struct pg *pool, bool reads)
{
    struct sql_request *group[LIMIT_SQL_GROUP];
    int64_t now_ms = clock_mono_ms();
    while (!pool->sql.closing && !list_empty(&pool->queues[reads])) {
        struct sql_request *first = LIST_ENTRY(list_first(&pool->queues[reads]), struct sql_request, link);
        bool shares = may_share(pool, first);
        struct pg_conn *c = conn_choose(pool, first, shares, now_ms);
        if (!c)
            return;
        int count = group_take(pool, reads, shares, group);
        if (pg_send_requests(c, group, count)) {
            pg_conn_flush(c);
            continue;
        }
        while (count-- > 0) { /* in front again, in order */
            list_append(pool->queues[reads].next, &group[count]->link);
            pool->queued[reads]++;
        }
        pg_conn_lost(c, PQerrorMessage(c->pg));
    }
}

static void pump(void *arg)
{
    struct pg *pool = arg;
    pool->pump_posted = false;
    send_queued(pool, false);
    send_queued(pool, true);
    metric_set(&metric_queued, pool->queued[0] + pool->queued[1]);
    sql_unref(&pool->sql);
}

void pg_pump_later(struct pg *pool)
{
    if (pool->pump_posted || pool->sql.closing || pool->queued[0] + pool->queued[1] == 0)
        return;
    pool->pump_posted = true;
    sql_ref(&pool->sql);
    loop_post(pump, pool);
}

static void pg_submit(struct sql *db, struct sql_request *r)
{
    struct pg *pool = pg_of(db);
    if (pool->queued[0] + pool->queued[1] >= LIMIT_SQL_QUEUE) {
        sql_request_finish(r, -EAGAIN);
        return;
    }
    list_append(&pool->queues[r->read_only], &r->link);
    pool->queued[r->read_only]++;
    if (!pool->ticking)
        loop_timer_start(pool->tick, TICK_MS, TICK_MS);
    pool->ticking = true;
    pg_pump_later(pool);
}

/* --- deadlines -------------------------------------------------------------------------------------------------- */

static void expire_queued(struct pg *pool, bool reads, int64_t now_ms, struct list *finished)
{
    bool up = any_up(pool, reads);
    LIST_FOREACH_SAFE(it, &pool->queues[reads])
    {
        struct sql_request *r = LIST_ENTRY(it, struct sql_request, link);
        if (now_ms < r->deadline_ms && (up || now_ms - r->queued_ms < LIMIT_SQL_DOWN_MS))
            continue;
        list_remove(it);
        pool->queued[reads]--;
        r->error = up ? -EAGAIN : -EHOSTDOWN;
        list_append(finished, it);
    }
}

/* Gives the callers up, not the segments: their answers still come and are dropped. */
static void expire_sent(struct pg_conn *c, int64_t now_ms, struct list *finished)
{
    LIST_FOREACH(it, &c->segments)
    {
        struct pg_segment *s = LIST_ENTRY(it, struct pg_segment, link);
        for (int i = 0; i < s->part_count; i++) {
            struct sql_request *r = s->parts[i].req;
            if (!r || now_ms < r->deadline_ms)
                continue;
            r->error = -EHOSTDOWN;
            list_append(finished, &r->link);
            s->parts[i].req = NULL;
        }
    }
}

/* Statements end after LIMIT_SQL_STATEMENT_MS: who says nothing for longer is gone, and those that have nothing to
 * answer now probably are too. */
static void cut_silent(struct pg *pool, int64_t now_ms)
{
    bool any = false;
    for (int i = 0; i < pool->conn_count && !any; i++) {
        const struct pg_conn *c = &pool->conns[i];
        any = c->state == PG_UP && c->batches && now_ms - c->progress_ms > LIMIT_SQL_DEADLINE_MS;
    }
    for (int i = 0; i < pool->conn_count && any && !pool->sql.closing; i++) {
        struct pg_conn *c = &pool->conns[i];
        if (c->state == PG_UP && (!c->batches || now_ms - c->progress_ms > LIMIT_SQL_DEADLINE_MS))
            pg_conn_lost(c, "silent for too long");
    }
}

static void on_tick(void *arg)
{
    struct pg *pool = arg;
    struct list finished = LIST_INIT(finished);
    int64_t now_ms = clock_mono_ms();
    bool busy = pool->queued[0] + pool->queued[1] > 0;
    sql_ref(&pool->sql);
    expire_queued(pool, false, now_ms, &finished);
    expire_queued(pool, true, now_ms, &finished);
    for (int i = 0; i < pool->conn_count; i++) {
        expire_sent(&pool->conns[i], now_ms, &finished);
        busy |= pool->conns[i].batches > 0;
    }
    if (!busy)
        loop_timer_stop(pool->tick);
    pool->ticking = busy;
    cut_silent(pool, now_ms);
    sql_finish_all(&finished);
    sql_unref(&pool->sql);
}

/* --- scripts ---------------------------------------------------------------------------------------------------- */

struct script {
    struct pg *pool;
    const char *text;
    int error;
};

static PGconn *script_connect(struct pg *pool)
{
    const char *keywords[PG_PARAMS_MAX], *values[PG_PARAMS_MAX];
    pg_connect_params(pool, NULL, NULL, NULL, keywords, values);
    int n = 0;
    while (keywords[n])
        n++;
    CHECK(n + 1 < PG_PARAMS_MAX);
    keywords[n] = "connect_timeout";
    values[n] = "5";
    keywords[n + 1] = NULL;
    return PQconnectdbParams(keywords, values, 0);
}

/* Text of several statements sent as one simple query is one implicit transaction. */
static void script_work(void *arg)
{
    struct script *s = arg;
    PGconn *pg = script_connect(s->pool);
    s->error = -EHOSTDOWN;
    if (PQstatus(pg) == CONNECTION_OK) {
        PQclear(PQexec(pg, "SET lock_timeout = '60s'; SET client_min_messages = 'error'"));
        PGresult *res = PQexec(pg, s->text);
        const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
        ExecStatusType status = PQresultStatus(res);
        bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
        s->error = ok ? 0 : pg_error_code(state, PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
        if (s->error == -EIO)
            sql_log_failure("postgresql", state, PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY), s->text);
        PQclear(res);
    }
    PQfinish(pg);
}

static int pg_script(struct sql *db, const char *text)
{
    struct script s = {.pool = pg_of(db), .text = text};
    co_work(script_work, &s);
    return s.error;
}

/* --- opening and closing ---------------------------------------------------------------------------------------- */

const char *pg_option(const struct pg *pool, const char *keyword)
{
    for (const PQconninfoOption *o = pool->options; o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0)
            return o->val;
    return NULL;
}

void pg_connect_params(const struct pg *pool, const char *host, const char *hostaddr, const char *port,
                       const char *keywords[PG_PARAMS_MAX], const char *values[PG_PARAMS_MAX])
{
    /* A later value wins in libpq. Kerberos looks for credential files before each try: only for who asks for it. */
    static const char *const defaults[][2] = {
        {"gssencmode", "disable"}, {"keepalives_idle", "30"},     {"keepalives_interval", "5"},
        {"keepalives_count", "3"}, {"tcp_user_timeout", "10000"}, {"fallback_application_name", "guildhall"},
    };
    int n = 0;
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++, n++) {
        keywords[n] = defaults[i][0];
        values[n] = defaults[i][1];
    }
    for (const PQconninfoOption *o = pool->options; o->keyword && n < PG_PARAMS_MAX - 8; o++) {
        if (o->val) {
            keywords[n] = o->keyword;
            values[n++] = o->val;
        }
    }
    const char *const last[][2] = {{"host", host}, {"hostaddr", hostaddr}, {"port", port}, {"client_encoding", "UTF8"}};
    for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++) {
        if (last[i][1]) {
            keywords[n] = last[i][0];
            values[n++] = last[i][1];
        }
    }
    keywords[n] = values[n] = NULL;
}

static bool pg_ready(const struct sql *db)
{
    const struct pg *pool = (const struct pg *)(const void *)db;
    return any_up(pool, false) && any_up(pool, true);
}

static void pg_stop(struct sql *db)
{
    struct pg *pool = pg_of(db);
    struct list finished = LIST_INIT(finished);
    loop_timer_free(pool->tick);
    pool->tick = NULL;
    for (int i = 0; i < 2; i++) {
        LIST_FOREACH_SAFE(it, &pool->queues[i])
        {
            list_remove(it);
            LIST_ENTRY(it, struct sql_request, link)->error = -EHOSTDOWN;
            list_append(&finished, it);
        }
    }
    pool->queued[0] = pool->queued[1] = 0;
    for (int i = 0; i < pool->conn_count; i++)
        pg_conn_stop(&pool->conns[i]);
    sql_finish_all(&finished);
}

static void pg_destroy(struct sql *db)
{
    struct pg *pool = pg_of(db);
    stmts_free(pool);
    buf_done(&pool->scratch);
    PQconninfoFree(pool->options);
    mem_free(pool->conns);
    mem_free(pool);
}

static const struct sql_driver driver = {
    .submit = pg_submit, .script = pg_script, .ready = pg_ready, .stop = pg_stop, .destroy = pg_destroy};

struct sql *sql_pg_open(const char *url, int connections, struct buf *err)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &message);
    if (!options) {
        buf_addf(err, "database url: %.*s", (int)strcspn(message ? message : "", "\n"), message ? message : "");
        PQfreemem(message);
        return NULL;
    }
    CHECK(connections > 0);
    struct pg *pool = MEM_NEW(struct pg);
    pool->sql = (struct sql){.driver = &driver, .refs = 1};
    pool->options = options;
    list_init(&pool->queues[0]);
    list_init(&pool->queues[1]);
    buf_init(&pool->scratch, (size_t)SQL_PARAMS_MAX * (LIMIT_SQL_PARAM_BYTES + 32));
    pool->tick = loop_timer_new(on_tick, pool);
    pool->conn_count = connections + (connections + 1) / 2;
    pool->conns = mem_zalloc(sizeof(*pool->conns) * (size_t)pool->conn_count);
    for (int i = 0; i < pool->conn_count; i++)
        pg_conn_init(&pool->conns[i], pool, i, i >= connections);
    for (int i = 0; i < pool->conn_count; i++)
        pg_conn_start(&pool->conns[i]);
    return &pool->sql;
}
