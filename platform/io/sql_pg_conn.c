/* One PostgreSQL connection: WAITING -> RESOLVING -> CONNECTING -> SETUP -> UP, and from anywhere back to WAITING with
 * a backoff. Non-blocking, driven by one uv_poll handle. Loop thread. */
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/sql_pg.h"

#include <errno.h>

#define BACKOFF_MIN_MS  50
#define BACKOFF_MAX_MS  2000
#define CONNECT_MAX_MS  5000
#define READ_LOSSES_MAX 5 /* a read that was under way on so many lost connections may be what breaks them */

METRIC_DEFINE(metric_up, METRIC_GAUGE, "guildhall_sql_connections", "PostgreSQL connections that are up");
METRIC_DEFINE(metric_lost, METRIC_COUNTER, "guildhall_sql_connections_lost_total", "PostgreSQL connections lost");

static void on_poll(uv_poll_t *handle, int status, int events);
static void on_timer(void *arg);

/* --- polling ---------------------------------------------------------------------------------------------------- */

static void free_handle(uv_handle_t *h)
{
    mem_free(h);
}

static void poll_drop(struct pg_conn *c)
{
    if (!c->poll)
        return;
    uv_poll_stop(c->poll);
    c->poll->data = NULL;
    uv_close((uv_handle_t *)c->poll, free_handle);
    c->poll = NULL;
    c->poll_events = 0;
}

static bool poll_set(struct pg_conn *c, int events)
{
    if (!c->poll) {
        c->poll = mem_zalloc(sizeof(*c->poll));
        if (uv_poll_init(loop_uv(), c->poll, PQsocket(c->pg)) != 0) {
            mem_free(c->poll);
            c->poll = NULL;
            return false;
        }
        c->poll->data = c;
    }
    if (events != c->poll_events)
        uv_poll_start(c->poll, events, on_poll);
    c->poll_events = events;
    return true;
}

void pg_conn_flush(struct pg_conn *c)
{
    int left = PQflush(c->pg);
    if (left < 0 || !poll_set(c, UV_READABLE | (left ? UV_WRITABLE : 0)))
        pg_conn_lost(c, PQerrorMessage(c->pg));
}

/* --- connecting ------------------------------------------------------------------------------------------------- */

struct resolve {
    struct pg_conn *conn;
    struct pg_addresses found;
    const char *hosts, *ports;
    bool ok;
};

static void notice_drop(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

static void connect_begin(struct pg_conn *c, const struct pg_addresses *a)
{
    const char *keywords[PG_PARAMS_MAX], *values[PG_PARAMS_MAX];
    pg_connect_params(c->pool, a ? buf_str(&a->hosts).p : NULL, a ? buf_str(&a->addresses).p : NULL,
                      a ? buf_str(&a->ports).p : NULL, keywords, values);
    c->pg = PQconnectStartParams(keywords, values, 0);
    c->state = PG_CONNECTING;
    CHECK(c->pg);
    PQsetNoticeReceiver(c->pg, notice_drop, NULL);
    if (PQstatus(c->pg) == CONNECTION_BAD || !poll_set(c, UV_WRITABLE)) {
        pg_conn_lost(c, PQerrorMessage(c->pg));
        return;
    }
    loop_timer_start(c->timer, CONNECT_MAX_MS, 0);
}

static void resolve_work(void *arg)
{
    struct resolve *r = arg;
    r->ok = pg_addresses_find(r->hosts, r->ports, &r->found);
}

static void resolve_done(void *arg)
{
    struct resolve *r = arg;
    struct pg_conn *c = r->conn;
    struct pg *pool = c->pool;
    if (!pool->sql.closing) {
        if (r->ok)
            connect_begin(c, &r->found);
        else
            pg_conn_lost(c, "no address for the host's name");
    }
    pg_addresses_done(&r->found);
    mem_free(r);
    sql_unref(&pool->sql);
}

void pg_conn_start(struct pg_conn *c)
{
    const char *hosts = pg_option(c->pool, "host");
    if (!hosts || pg_option(c->pool, "hostaddr")) {
        connect_begin(c, NULL);
        return;
    }
    struct resolve *r = MEM_NEW(struct resolve);
    r->conn = c;
    r->hosts = hosts;
    r->ports = pg_option(c->pool, "port");
    c->state = PG_RESOLVING;
    sql_ref(&c->pool->sql);
    loop_work(resolve_work, resolve_done, r);
}

static void setup_begin(struct pg_conn *c)
{
    c->state = PG_SETUP;
    if (PQsetnonblocking(c->pg, 1) != 0 || !PQenterPipelineMode(c->pg) || !pg_send_setup(c)) {
        pg_conn_lost(c, PQerrorMessage(c->pg));
        return;
    }
    pg_conn_flush(c);
}

/* libpq may close its socket and open another (next address, TLS refused), perhaps with the same number: the poll
 * handle is always made anew. */
static void connect_step(struct pg_conn *c)
{
    poll_drop(c);
    PostgresPollingStatusType want = PQconnectPoll(c->pg);
    if (want == PGRES_POLLING_OK)
        setup_begin(c);
    else if (want == PGRES_POLLING_FAILED || !poll_set(c, want == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE))
        pg_conn_lost(c, PQerrorMessage(c->pg));
}

void pg_conn_up(struct pg_conn *c)
{
    c->state = PG_UP;
    c->backoff_ms = BACKOFF_MIN_MS;
    loop_timer_stop(c->timer);
    c->pool->down_logged = false;
    metric_add(&metric_up, 1);
    LOG_INFO("sql_connected", "driver=postgresql connection=%d host=%s port=%s", c->index, PQhost(c->pg),
             PQport(c->pg));
    pg_pump_later(c->pool);
}

/* --- losing ----------------------------------------------------------------------------------------------------- */

/* What may be sent again: reads, everything behind the batch that the server's FATAL answered, and a group that failed
 * before its connection did. */
static bool may_be_sent_again(const struct pg_conn *c, const struct pg_segment *s, struct sql_request *r)
{
    bool lost = !s->error || s->error == -EHOSTDOWN;
    if (c->pool->sql.closing)
        return false;
    if (c->ended && c->segments.next != &s->link)
        return true;
    if (s->part_count > 1 && !lost) {
        r->alone = true;
        return true;
    }
    return c->reads && lost && ++r->losses <= READ_LOSSES_MAX;
}

static void request_drop(struct pg_conn *c, const struct pg_segment *s, struct sql_request *r, struct list *finished)
{
    if (may_be_sent_again(c, s, r)) {
        list_append(c->pool->queues[c->reads].next, &r->link); /* before the first */
        c->pool->queued[c->reads]++;
    } else {
        r->error = s->error ? s->error : -EHOSTDOWN;
        list_append(finished->next, &r->link);
    }
}

/* Answers what was sent, or puts it at the front of the queue, in order. A write without an answer may have happened.
 */
static void segments_drop(struct pg_conn *c, struct list *finished)
{
    while (!list_empty(&c->segments)) {
        struct pg_segment *s = LIST_ENTRY(c->segments.prev, struct pg_segment, link);
        for (int i = s->part_count - 1; i >= 0; i--)
            if (s->parts[i].req)
                request_drop(c, s, s->parts[i].req, finished);
        list_remove(&s->link);
        mem_free(s);
    }
    c->batches = 0;
}

static void disconnect(struct pg_conn *c, struct list *finished)
{
    if (c->state == PG_UP)
        metric_add(&metric_up, -1);
    poll_drop(c);
    PQfinish(c->pg);
    c->pg = NULL;
    c->state = PG_WAITING;
    memset(c->prepared, 0, sizeof(c->prepared));
    segments_drop(c, finished);
    c->bad = c->ended = false;
}

/* One line when a connection goes, one when none can be made; not one for each try. */
static void log_loss(struct pg_conn *c, const char *why)
{
    if (c->state != PG_UP && c->pool->down_logged)
        return;
    const char *event = c->state == PG_UP ? "sql_connection_lost" : "sql_unreachable";
    const char *advice = strstr(why, "\n\t"); /* libpq's guesses stand on lines of their own */
    char *said = advice ? mem_strndup(why, (size_t)(advice - why)) : mem_strdup(why), line[256];
    sql_log_text(said, line);
    mem_free(said);
    LOG_WARN(event, "driver=postgresql connection=%d reason=\"%s\"", c->index, line);
    if (c->state != PG_UP)
        c->pool->down_logged = true;
}

void pg_conn_lost(struct pg_conn *c, const char *why)
{
    struct list finished = LIST_INIT(finished);
    struct pg *pool = c->pool;
    log_loss(c, why);
    metric_add(&metric_lost, c->state == PG_UP);
    sql_ref(&pool->sql);
    disconnect(c, &finished);
    int64_t delay = c->backoff_ms + (int64_t)(clock_mono_ns() % (uint64_t)c->backoff_ms) / 2;
    c->backoff_ms = c->backoff_ms * 2 < BACKOFF_MAX_MS ? c->backoff_ms * 2 : BACKOFF_MAX_MS;
    loop_timer_start(c->timer, delay, 0);
    pg_pump_later(pool);
    sql_finish_all(&finished);
    sql_unref(&pool->sql);
}

static void on_timer(void *arg)
{
    struct pg_conn *c = arg;
    if (c->state == PG_WAITING)
        pg_conn_start(c);
    else if (c->state == PG_CONNECTING || c->state == PG_SETUP)
        pg_conn_lost(c, "connecting took too long");
}

/* --- working ---------------------------------------------------------------------------------------------------- */

static void work_step(struct pg_conn *c)
{
    struct list finished = LIST_INIT(finished);
    bool alive = PQconsumeInput(c->pg);
    c->progress_ms = clock_mono_ms();
    pg_read_results(c, &finished);
    if (!alive || c->bad || c->ended || PQstatus(c->pg) == CONNECTION_BAD)
        pg_conn_lost(c, c->bad ? "this server cannot serve us" : PQerrorMessage(c->pg));
    else
        pg_conn_flush(c);
    pg_pump_later(c->pool);
    sql_finish_all(&finished);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    (void)events;
    struct pg_conn *c = handle->data;
    if (!c)
        return;
    if (status < 0)
        c->poll_events = 0; /* libuv has stopped the handle; what the error is, libpq finds out by reading */
    struct pg *pool = c->pool;
    sql_ref(&pool->sql);
    if (c->state == PG_CONNECTING)
        connect_step(c);
    else
        work_step(c);
    sql_unref(&pool->sql);
}

void pg_conn_init(struct pg_conn *c, struct pg *pool, int index, bool reads)
{
    c->pool = pool;
    c->reads = reads;
    c->index = index;
    c->backoff_ms = BACKOFF_MIN_MS;
    list_init(&c->segments);
    c->timer = loop_timer_new(on_timer, c);
}

void pg_conn_stop(struct pg_conn *c)
{
    struct list finished = LIST_INIT(finished);
    loop_timer_free(c->timer);
    c->timer = NULL;
    disconnect(c, &finished);
    sql_finish_all(&finished);
}
