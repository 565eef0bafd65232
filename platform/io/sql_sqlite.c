/* The SQLite driver: a queue for writes and one for reads, and lanes that take from them. A lane is one connection and
 * at most one work item on the thread pool; what waits when it becomes free is run together. Loop thread. */
#include "platform/io/sql_sqlite.h"
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/io/loop.h"

#include <errno.h>

#define READERS       2  /* leaves threads of the pool to others */
#define READ_GROUP    16 /* reads a lane takes at once: more are shared with the other */
#define OPEN_RETRY_MS 1000

struct lite_lane {
    struct lite *pool;
    struct lite_conn conn;
    struct list running; /* with the thread */
    bool busy;
};

struct lite {
    struct sql sql;
    char *path;
    struct list writes, reads; /* of one in memory, all are writes: they take turns */
    unsigned queued;
    bool ready, memory, pump_posted, failed_logged;
    struct loop_timer *reopen;
    int lane_count;
    struct lite_lane lanes[1 + READERS]; /* the first is the writer, or the one in memory */
};

static void pump_later(struct lite *pool);

static struct lite *lite_of(struct sql *db)
{
    return (struct lite *)(void *)db;
}

/* --- lanes ------------------------------------------------------------------------------------------------------ */

static void lane_work(void *arg)
{
    struct lite_lane *lane = arg;
    if (list_empty(&lane->running))
        (void)lite_conn_open(&lane->conn);
    else
        lite_conn_run(&lane->conn, &lane->running);
}

static void queue_fail(struct lite *pool, struct list *queue, struct list *finished)
{
    LIST_FOREACH_SAFE(it, queue)
    {
        list_remove(it);
        pool->queued--;
        LIST_ENTRY(it, struct sql_request, link)->error = -EHOSTDOWN;
        list_append(finished, it);
    }
}

/* The writer's connection decides: a reader is only opened once the file is there. */
static void ready_update(struct lite *pool, struct list *finished)
{
    const struct lite_conn *c = &pool->lanes[0].conn;
    pool->ready = c->db != NULL;
    if (pool->ready) {
        pool->failed_logged = false;
        return;
    }
    if (!pool->failed_logged)
        LOG_WARN("sql_unreachable", "driver=sqlite path=\"%s\" reason=\"%s\"", pool->path, c->error);
    pool->failed_logged = true;
    queue_fail(pool, &pool->writes, finished);
    queue_fail(pool, &pool->reads, finished);
    if (!pool->sql.closing)
        loop_timer_start(pool->reopen, OPEN_RETRY_MS, 0);
}

static void lane_done(void *arg)
{
    struct lite_lane *lane = arg;
    struct lite *pool = lane->pool;
    struct list finished = LIST_INIT(finished);
    lane->busy = false;
    LIST_FOREACH_SAFE(it, &lane->running)
    {
        list_remove(it);
        list_append(&finished, it);
    }
    if (lane == &pool->lanes[0])
        ready_update(pool, &finished);
    if (pool->queued)
        pump_later(pool);
    sql_finish_all(&finished);
    sql_unref(&pool->sql);
}

static void lane_start(struct lite_lane *lane)
{
    lane->busy = true;
    sql_ref(&lane->pool->sql);
    loop_work(lane_work, lane_done, lane);
}

/* --- queues ----------------------------------------------------------------------------------------------------- */

static bool is_script(const struct list *link)
{
    return LIST_ENTRY(link, struct sql_request, link)->script != NULL;
}

/* Moves up to `max` requests to the lane, expired ones to `finished`; a script goes alone. */
static void lane_take(struct lite_lane *lane, struct list *queue, int max, struct list *finished)
{
    int64_t now_ms = clock_mono_ms();
    for (int taken = 0; taken < max && !list_empty(queue);) {
        struct list *it = list_first(queue);
        struct sql_request *r = LIST_ENTRY(it, struct sql_request, link);
        if (taken > 0 && (is_script(it) || is_script(list_first(&lane->running))))
            return;
        list_remove(it);
        lane->pool->queued--;
        bool late = now_ms >= r->deadline_ms;
        r->error = -EAGAIN;
        list_append(late ? finished : &lane->running, it);
        taken += !late;
    }
}

static void pump(void *arg)
{
    struct lite *pool = arg;
    struct list finished = LIST_INIT(finished);
    pool->pump_posted = false;
    for (int i = 0; i < pool->lane_count && !pool->sql.closing; i++) {
        struct lite_lane *lane = &pool->lanes[i];
        if (lane->busy || (i > 0 && !pool->ready))
            continue;
        lane_take(lane, i ? &pool->reads : &pool->writes, i ? READ_GROUP : LIMIT_SQL_GROUP, &finished);
        if (!list_empty(&lane->running))
            lane_start(lane);
    }
    sql_finish_all(&finished);
    sql_unref(&pool->sql);
}

static void pump_later(struct lite *pool)
{
    if (pool->pump_posted || pool->sql.closing)
        return;
    pool->pump_posted = true;
    sql_ref(&pool->sql);
    loop_post(pump, pool);
}

static void lite_submit(struct sql *db, struct sql_request *r)
{
    struct lite *pool = lite_of(db);
    if (pool->queued >= LIMIT_SQL_QUEUE) {
        sql_request_finish(r, -EAGAIN);
        return;
    }
    pool->queued++;
    list_append(r->read_only && !pool->memory ? &pool->reads : &pool->writes, &r->link);
    pump_later(pool);
}

static void on_reopen(void *arg)
{
    struct lite *pool = arg;
    if (!pool->lanes[0].busy)
        lane_start(&pool->lanes[0]);
}

/* --- opening and closing ---------------------------------------------------------------------------------------- */

static bool lite_ready(const struct sql *db)
{
    return ((const struct lite *)(const void *)db)->ready;
}

static void lite_stop(struct sql *db)
{
    struct lite *pool = lite_of(db);
    struct list finished = LIST_INIT(finished);
    loop_timer_free(pool->reopen);
    pool->reopen = NULL;
    queue_fail(pool, &pool->writes, &finished);
    queue_fail(pool, &pool->reads, &finished);
    sql_finish_all(&finished);
}

static void lite_destroy(struct sql *db)
{
    struct lite *pool = lite_of(db);
    for (int i = pool->lane_count - 1; i >= 0; i--) /* the writer last: its close folds the log into the file */
        lite_conn_close(&pool->lanes[i].conn);
    mem_free(pool->path);
    mem_free(pool);
}

static const struct sql_driver driver = {
    .sqlite = true, .submit = lite_submit, .ready = lite_ready, .stop = lite_stop, .destroy = lite_destroy};

static void lane_init(struct lite *pool, int index)
{
    struct lite_lane *lane = &pool->lanes[index];
    lane->pool = pool;
    list_init(&lane->running);
    lane->conn.path = pool->path;
    lane->conn.role = pool->memory ? LITE_MEMORY : index ? LITE_READER : LITE_WRITER;
}

struct sql *sql_sqlite_open(const char *path, struct buf *err)
{
    if (!*path) {
        buf_adds(err, "database url: sqlite: wants a path or :memory:");
        return NULL;
    }
    struct lite *pool = MEM_NEW(struct lite);
    pool->sql = (struct sql){.driver = &driver, .refs = 1};
    pool->path = mem_strdup(path);
    pool->memory = strcmp(path, ":memory:") == 0;
    pool->lane_count = pool->memory ? 1 : 1 + READERS;
    pool->reopen = loop_timer_new(on_reopen, pool);
    list_init(&pool->writes);
    list_init(&pool->reads);
    for (int i = 0; i < pool->lane_count; i++)
        lane_init(pool, i);
    lane_start(&pool->lanes[0]);
    return &pool->sql;
}
