/* Queues of buckets. Loop thread. A queue exists while jobs stand in it; jobs are their callers' memory. */
#include "rest-proxy/scheduler.h"

#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"

#define GONE_SWEEP_MS 500

METRIC_DEFINE(metric_queued, METRIC_GAUGE, "guildhall_proxy_queued", "Requests waiting for a permit");
METRIC_DEFINE(metric_withdrawn, METRIC_COUNTER, "guildhall_proxy_withdrawn_total",
              "Requests whose caller hung up before they were sent");

/* Queues of one token that wait for its global limit. Each gets one permit in its turn and goes to the end. While the
 * line stands, queues that come join it. */
struct token_line {
    struct scheduler *scheduler;
    struct list queues[PRIORITY_COUNT]; /* by their first job */
    struct loop_timer *timer;
    bool blocked; /* the limiter said wait: until the timer, or the next report */
    bool running;
};

struct queue {
    struct scheduler *scheduler;
    char *id;
    struct list jobs[PRIORITY_COUNT];
    unsigned length;
    struct loop_timer *timer;
    struct list line_link;
    struct token_line *line; /* where it stands; NULL: nowhere */
    bool turn;               /* it asks because it was its turn in the line */
    bool busy;               /* its loop runs below us on the stack, or waits for the limiter's answer */
    bool in_call, answered, go_on;
};

struct scheduler {
    struct limiter *limiter;
    struct smap queues; /* bucket id -> struct queue */
    struct smap lines;  /* token -> struct token_line */
    unsigned queued;
    bool draining;
    struct loop_timer *sweep;
};

static bool queue_kick(struct queue *q);
static void line_run(struct token_line *line);

/* --- jobs leave their queue --- */

static void job_resume(void *co)
{
    co_resume(co);
}

static void job_finish(struct job *j, enum job_result result, int64_t wait_ms)
{
    struct scheduler *s = j->scheduler;

    list_remove(&j->link);
    j->queue->length--;
    j->queue = NULL;
    metric_set(&metric_queued, --s->queued);
    loop_timer_free(j->timer);
    j->timer = NULL;
    j->result = result;
    j->wait_ms = wait_ms;
    if (result == JOB_GO && j->wait)
        metric_observe_us(j->wait, (int64_t)(clock_mono_ns() - j->queued_ns) / 1000);
    if (result == JOB_GONE)
        metric_add(&metric_withdrawn, 1);
    j->done = true;
    if (j->parked)
        loop_post(job_resume, j->co);
}

static bool job_gone(const struct job *j)
{
    return j->gone && j->gone(j->gone_arg);
}

/* Takes a job out of the line. While the limiter is being asked for its queue's head, it only is marked. */
static void job_leave(struct job *j, enum job_result result, int64_t wait_ms)
{
    if (j->queue->busy) {
        j->leaving = true;
        j->result = result;
        j->wait_ms = wait_ms;
    } else {
        job_finish(j, result, wait_ms);
    }
}

static void on_deadline(void *arg)
{
    struct job *j = arg;
    struct queue *q = j->queue;
    int64_t wait = j->scheduler->limiter->ops->estimate_ms(j->scheduler->limiter, str_c(q->id), 1);

    job_leave(j, JOB_DEADLINE, wait);
    queue_kick(q);
}

/* --- queues --- */

static void on_queue_timer(void *arg)
{
    queue_kick(arg);
}

static struct queue *queue_get(struct scheduler *s, struct str id)
{
    struct queue *q = smap_get(&s->queues, id);

    if (q)
        return q;
    q = MEM_NEW(struct queue);
    q->scheduler = s;
    q->id = mem_strndup(id.p, id.n);
    q->timer = loop_timer_new(on_queue_timer, q);
    for (int p = 0; p < PRIORITY_COUNT; p++)
        list_init(&q->jobs[p]);
    list_init(&q->line_link);
    smap_put(&s->queues, id, q);
    return q;
}

static void queue_leave_line(struct queue *q)
{
    list_remove(&q->line_link);
    q->line = NULL;
}

static void queue_free_if_idle(struct queue *q)
{
    if (q->length > 0 || q->busy)
        return;
    queue_leave_line(q);
    smap_del(&q->scheduler->queues, str_c(q->id));
    loop_timer_free(q->timer);
    mem_free(q->id);
    mem_free(q);
}

static void job_append(struct queue *q, struct job *j, bool front)
{
    struct list *jobs = &q->jobs[j->priority];

    j->queue = q;
    q->length++;
    list_append(front ? jobs->next : jobs, &j->link); /* what is appended to the first stands before it */
}

static struct job *queue_head(const struct queue *q)
{
    for (int p = 0; p < PRIORITY_COUNT; p++)
        if (!list_empty(&q->jobs[p]))
            return LIST_ENTRY(list_first(&q->jobs[p]), struct job, link);
    return NULL;
}

static void job_bucket_id(struct job *j, struct buf *out)
{
    j->scheduler->limiter->ops->bucket_id(j->scheduler->limiter, &j->key, out);
    if (j->sublimit)
        buf_adds(out, "!sub");
}

static void jobs_move(struct list *jobs, struct queue *to, struct str id)
{
    struct buf BUF_AUTO other = BUF_INIT(0);

    LIST_FOREACH_SAFE(it, jobs)
    {
        struct job *j = LIST_ENTRY(it, struct job, link);

        buf_clear(&other);
        job_bucket_id(j, &other);
        if (!str_eq(buf_str(&other), id))
            continue;
        list_remove(it);
        j->queue->length--;
        job_append(to, j, false);
    }
}

/* The route's bucket was learned (or changed) while its requests stood here: they move, in order. False: nothing to
 * move. */
static bool queue_moved(struct queue *q, struct job *head)
{
    struct buf BUF_AUTO id = BUF_INIT(0);

    job_bucket_id(head, &id);
    if (str_eq(buf_str(&id), str_c(q->id)))
        return false;
    struct queue *to = queue_get(q->scheduler, buf_str(&id));
    for (int p = 0; p < PRIORITY_COUNT; p++)
        jobs_move(&q->jobs[p], to, buf_str(&id));
    queue_kick(to);
    return true;
}

/* --- the line of a token --- */

static void on_line_timer(void *arg)
{
    struct token_line *line = arg;

    line->blocked = false;
    line_run(line);
}

static struct token_line *line_get(struct scheduler *s, struct str token)
{
    struct token_line *line = smap_get(&s->lines, token);

    if (line)
        return line;
    line = MEM_NEW(struct token_line);
    line->scheduler = s;
    line->timer = loop_timer_new(on_line_timer, line);
    for (int p = 0; p < PRIORITY_COUNT; p++)
        list_init(&line->queues[p]);
    smap_put(&s->lines, token, line);
    return line;
}

static void line_join(struct token_line *line, struct queue *q, bool front)
{
    struct list *queues = &line->queues[queue_head(q)->priority];

    CHECK(!q->line);
    q->line = line;
    list_append(front ? queues->next : queues, &q->line_link);
}

static struct queue *line_first(const struct token_line *line)
{
    for (int p = 0; p < PRIORITY_COUNT; p++)
        if (!list_empty(&line->queues[p]))
            return LIST_ENTRY(list_first(&line->queues[p]), struct queue, line_link);
    return NULL;
}

static void line_block(struct token_line *line, int64_t wait_ms)
{
    line->blocked = true;
    if (wait_ms >= 0)
        loop_timer_start(line->timer, wait_ms > 0 ? wait_ms : 1, 0);
}

static void line_run(struct token_line *line)
{
    if (line->running)
        return;
    line->running = true;
    for (struct queue *q; !line->blocked && (q = line_first(line)) != NULL;) {
        queue_leave_line(q);
        q->turn = true;
        if (queue_kick(q))
            break; /* the limiter answers later; then the line runs on */
    }
    line->running = false;
}

/* A line that nobody stands in is forgotten. */
static void line_free_if_idle(struct scheduler *s, struct str token)
{
    struct token_line *line = smap_get(&s->lines, token);

    if (!line || line_first(line) || line->running || line->blocked)
        return;
    smap_del(&s->lines, token);
    loop_timer_free(line->timer);
    mem_free(line);
}

/* --- asking the limiter --- */

static enum job_result refusal(enum limiter_verdict v)
{
    return v == LIMITER_TOKEN_LOCKED ? JOB_LOCKED : v == LIMITER_GUARD ? JOB_GUARD : JOB_OVERLOAD;
}

/* Callers that hung up while the limiter was asked are withdrawn; what they leave over is given back. */
static void queue_grant(struct queue *q, unsigned granted)
{
    static const struct limiter_outcome unused = {.kind = LIMITER_UNUSED};
    struct limiter *l = q->scheduler->limiter;
    struct limiter_key key = queue_head(q)->key; /* its memory stays until the next turn */

    for (struct job *j; granted > 0 && (j = queue_head(q)) != NULL;) {
        if (j->leaving || job_gone(j)) {
            job_finish(j, j->leaving ? j->result : JOB_GONE, j->wait_ms);
            continue;
        }
        j->bucket_id = mem_strdup(q->id);
        job_finish(j, JOB_GO, 0);
        granted--;
    }
    for (; granted > 0; granted--)
        l->ops->report(l, str_c(q->id), &key, &unused);
}

/* Whoever would leave after his deadline is told now. True: somebody was. */
static bool queue_drop_late(struct queue *q, int64_t wait_ms)
{
    bool any = false;

    for (struct job *j; (j = queue_head(q)) != NULL && j->deadline_ms && clock_mono_ms() + wait_ms > j->deadline_ms;) {
        job_finish(j, j->leaving ? j->result : JOB_DEADLINE, wait_ms);
        any = true;
    }
    return any;
}

/* Applies the limiter's answer. True: ask again. */
static bool queue_apply(struct queue *q, const struct limiter_grant *g)
{
    struct job *head = queue_head(q); /* is there: nobody leaves while the limiter is asked */
    bool turn = q->turn;

    if (g->verdict == LIMITER_GO) {
        struct token_line *line = turn ? line_get(q->scheduler, head->key.token) : NULL;

        queue_grant(q, g->granted);
        q->turn = false;
        if (turn && q->length > 0)
            line_join(line, q, false);
        return !turn;
    }
    if (g->verdict == LIMITER_MOVED)
        return true;
    if (g->verdict == LIMITER_WAIT) {
        q->turn = false;
        if (g->wait_ms > 0 && queue_drop_late(q, g->wait_ms))
            return true;
        if (g->wait_ms >= 0)
            loop_timer_start(q->timer, g->wait_ms > 0 ? g->wait_ms : 1, 0);
        return false;
    }
    if (g->verdict == LIMITER_WAIT_GLOBAL) {
        struct token_line *line = line_get(q->scheduler, head->key.token);

        q->turn = false;
        line_join(line, q, turn);
        line_block(line, g->wait_ms);
        return false;
    }
    job_finish(head, refusal(g->verdict), g->wait_ms);
    return true;
}

static void on_grant(const struct limiter_grant *g, void *arg);

static void queue_drop_gone(struct queue *q)
{
    for (struct job *j; (j = queue_head(q)) != NULL && (j->leaving || job_gone(j));)
        job_finish(j, j->leaving ? j->result : JOB_GONE, j->wait_ms);
}

/* One question. True: ask the next one; false: the loop ends, `busy` tells whether an answer is awaited. */
static bool queue_step(struct queue *q)
{
    struct limiter *l = q->scheduler->limiter;

    queue_drop_gone(q);
    struct job *head = queue_head(q);
    q->answered = true;
    if (head && queue_moved(q, head))
        return true;
    if (!head) {
        q->turn = false;
        return false;
    }
    struct token_line *line = head->key.route.global_exempt ? NULL : smap_get(&q->scheduler->lines, head->key.token);
    if (line && !q->turn && line_first(line)) {
        line_join(line, q, false);
        return false;
    }
    q->answered = false;
    q->in_call = true;
    l->ops->acquire(l, str_c(q->id), &head->key, q->turn ? 1 : q->length, on_grant, q);
    q->in_call = false;
    return q->answered && q->go_on;
}

/* Runs the queue until it has to wait. True: for the limiter's answer. The queue may be gone afterwards. */
static bool queue_loop(struct queue *q)
{
    while (q->go_on)
        q->go_on = queue_step(q);
    if (!q->answered)
        return true;
    q->busy = false;
    queue_free_if_idle(q);
    return false;
}

static void on_grant(const struct limiter_grant *g, void *arg)
{
    struct queue *q = arg;
    struct scheduler *s = q->scheduler;
    struct token_line *line = q->turn ? smap_get(&s->lines, queue_head(q)->key.token) : NULL;

    q->go_on = queue_apply(q, g);
    q->answered = true;
    if (!q->in_call && !queue_loop(q) && line)
        line_run(line);
}

static bool queue_kick(struct queue *q)
{
    if (q->busy || q->line)
        return false;
    q->busy = q->answered = q->go_on = true;
    loop_timer_stop(q->timer);
    return queue_loop(q);
}

/* --- the public side --- */

static void kick_id(struct scheduler *s, struct str id)
{
    struct queue *q = smap_get(&s->queues, id);

    if (q)
        queue_kick(q);
}

static void jobs_sweep(struct list *jobs)
{
    LIST_FOREACH_SAFE(it, jobs)
    {
        struct job *j = LIST_ENTRY(it, struct job, link);

        if (!j->leaving && job_gone(j))
            job_leave(j, JOB_GONE, 0);
    }
}

/* Callers that hung up free their place also behind a head that still waits. */
static void on_sweep(void *arg)
{
    struct scheduler *s = arg;
    struct queue *q;
    struct str id;

    for (size_t i = 0; (q = smap_next(&s->queues, &i, &id)) != NULL;) {
        for (int p = 0; p < PRIORITY_COUNT; p++)
            jobs_sweep(&q->jobs[p]);
        queue_free_if_idle(q);
    }
    if (s->queued == 0)
        loop_timer_stop(s->sweep);
}

struct scheduler *scheduler_new(struct limiter *l)
{
    struct scheduler *s = MEM_NEW(struct scheduler);

    s->limiter = l;
    s->sweep = loop_timer_new(on_sweep, s);
    return s;
}

void scheduler_free(struct scheduler *s)
{
    struct str key;
    struct queue *q;
    struct token_line *line;

    CHECK(s->queued == 0);
    for (size_t i = 0; (q = smap_next(&s->queues, &i, &key)) != NULL;)
        queue_free_if_idle(q);
    for (size_t i = 0; (line = smap_next(&s->lines, &i, &key)) != NULL;) {
        loop_timer_free(line->timer);
        mem_free(line);
    }
    smap_done(&s->queues);
    smap_done(&s->lines);
    loop_timer_free(s->sweep);
    mem_free(s);
}

/* Refuses at once what cannot be served in time. JOB_GO: it may wait. */
static enum job_result admit(struct scheduler *s, struct job *j, struct str id, bool front, int64_t *ret_wait_ms)
{
    const struct queue *q = smap_get(&s->queues, id);
    unsigned length = q ? q->length : 0;
    int64_t wait = front ? 0 : s->limiter->ops->estimate_ms(s->limiter, id, length + 1);

    *ret_wait_ms = wait;
    if (s->draining)
        return JOB_DRAIN;
    if (s->queued >= LIMIT_PROXY_QUEUE_TOTAL)
        return JOB_OVERLOAD;
    if (length >= LIMIT_PROXY_QUEUE_BUCKET)
        return JOB_QUEUE_FULL;
    if (j->deadline_ms && clock_mono_ms() + wait > j->deadline_ms)
        return JOB_DEADLINE;
    return JOB_GO;
}

static void job_enqueue(struct scheduler *s, struct job *j, struct str id, bool front)
{
    j->scheduler = s;
    j->co = co_self();
    j->parked = j->done = j->leaving = false;
    j->wait_ms = 0;
    j->queued_ns = clock_mono_ns();
    list_init(&j->link);
    job_append(queue_get(s, id), j, front);
    if (s->queued++ == 0)
        loop_timer_start(s->sweep, GONE_SWEEP_MS, GONE_SWEEP_MS);
    metric_set(&metric_queued, s->queued);
    if (j->deadline_ms) {
        j->timer = loop_timer_new(on_deadline, j);
        loop_timer_start(j->timer, j->deadline_ms - clock_mono_ms(), 0);
    }
}

enum job_result scheduler_wait(struct scheduler *s, struct job *j, bool front, int64_t *ret_wait_ms)
{
    struct buf BUF_AUTO id = BUF_INIT(0);

    j->scheduler = s;
    job_bucket_id(j, &id);
    enum job_result r = admit(s, j, buf_str(&id), front, ret_wait_ms);
    if (r != JOB_GO)
        return r;
    job_enqueue(s, j, buf_str(&id), front);
    queue_kick(j->queue);
    while (!j->done) {
        j->parked = true;
        co_suspend();
    }
    *ret_wait_ms = j->wait_ms;
    return j->result;
}

void scheduler_report(struct scheduler *s, struct job *j, const struct limiter_outcome *o)
{
    struct buf BUF_AUTO id = BUF_INIT(0);
    char *from = j->bucket_id;

    j->bucket_id = NULL;
    s->limiter->ops->report(s->limiter, str_c(from), &j->key, o);
    job_bucket_id(j, &id);
    kick_id(s, str_c(from));
    if (!str_eq(buf_str(&id), str_c(from)))
        kick_id(s, buf_str(&id));
    mem_free(from);
    struct token_line *line = smap_get(&s->lines, j->key.token);
    if (line) {
        line->blocked = false;
        line_run(line);
        line_free_if_idle(s, j->key.token);
    }
}

void scheduler_block_sublimit(struct scheduler *s, struct job *j, int64_t wait_ms)
{
    struct buf BUF_AUTO id = BUF_INIT(0);

    j->scheduler = s;
    j->sublimit = true;
    job_bucket_id(j, &id);
    s->limiter->ops->block(s->limiter, buf_str(&id), wait_ms);
}

void scheduler_drain(struct scheduler *s)
{
    struct queue *q;
    struct str id;

    s->draining = true;
    for (size_t i = 0; (q = smap_next(&s->queues, &i, &id)) != NULL;)
        for (int p = 0; p < PRIORITY_COUNT; p++) {
            LIST_FOREACH_SAFE(it, &q->jobs[p])
            {
                struct job *j = LIST_ENTRY(it, struct job, link);

                if (!j->leaving)
                    job_leave(j, JOB_DRAIN, 0);
            }
        }
}

unsigned scheduler_queued(const struct scheduler *s)
{
    return s->queued;
}
