/* The node's actions of the control endpoint. Loop thread; each runs without awaiting. A list answers at most
 * LIST_MAX sessions. */
#include "gateway/server/control.h"

#include "gateway/server/server.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/mem.h"
#include "platform/control/control.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define LIST_DEFAULT  1000
#define LIST_MAX      100000
#define ACK_MS_MAX    3600000
#define ACK_RULES_MAX 256

/* --- whom ------------------------------------------------------------------------------------------------------------
 */
struct who {
    bool all, by_user, by_shard;
    struct str session;
    uint64_t user, shard, shard_count; /* shard_count 0: of any */
};

#define WHO_ARGS "session", "user", "shard", "all"

/* "1" or "1/4". */
static int shard_read(const struct control_call *c, struct who *w)
{
    struct str text = STR_NONE;
    int r = control_arg_str(c, "shard", &text);

    if (r < 0 || !text.p)
        return r;
    const char *slash = memchr(text.p, '/', text.n);
    struct str id = {text.p, slash ? (size_t)(slash - text.p) : text.n};
    w->by_shard = true;
    if (str_to_u64(id, &w->shard) == 0 &&
        (!slash || str_to_u64((struct str){slash + 1, text.n - id.n - 1}, &w->shard_count) == 0))
        return 0;
    buf_adds(c->err, "shard must be a number, or number/count");
    return -EINVAL;
}

static int who_read(const struct control_call *c, struct who *w)
{
    int r = control_arg_bool(c, "all", &w->all);

    if (r == 0)
        r = control_arg_str(c, "session", &w->session);
    if (r == 0)
        r = control_arg_u64(c, "user", 1, INT64_MAX, &w->user);
    w->by_user = control_arg_has(c, "user");
    return r < 0 ? r : shard_read(c, w);
}

/* An action must say whom it means: nobody ends every session by leaving an argument out. */
static int who_required(const struct control_call *c, struct who *w)
{
    int r = who_read(c, w);

    if (r == 0 && !w->all && !w->session.p && !w->by_user && !w->by_shard) {
        buf_adds(c->err, "say which sessions: session, user, shard or all");
        return -EINVAL;
    }
    return r;
}

static bool who_matches(const struct who *w, const struct session *s)
{
    return (!w->session.p || str_eq(w->session, str_c(s->id))) && (!w->by_user || w->user == s->user_id) &&
           (!w->by_shard || (w->shard == s->shard && (!w->shard_count || w->shard_count == s->shard_count)));
}

/* Calls fn for each that matches; fn may end the session it is called with, no other. */
static unsigned for_each(struct gateway *g, const struct control_call *c, const struct who *w,
                         bool (*fn)(struct session *s, const void *how), const void *how)
{
    struct str id;
    unsigned count = 0;

    jw_karr(c->out, "sessions");
    for (size_t cursor = 0;;) {
        struct session *s = smap_next(&g->sessions, &cursor, &id);
        if (!s)
            break;
        if (!who_matches(w, s))
            continue;
        session_ref(s);
        if (fn(s, how)) {
            jw_cstr(c->out, s->id);
            count++;
        }
        session_unref(s);
    }
    jw_arr_end(c->out);
    jw_ku64(c->out, "count", count);
    return count;
}

/* --- looking ---------------------------------------------------------------------------------------------------------
 */
static void session_write(struct buf *b, const struct session *s, int64_t now_ms)
{
    const struct conn *c = s->conn;
    struct str encoding, compress;

    jw_obj(b);
    jw_kcstr(b, "id", s->id);
    jw_kid(b, "user", s->user_id);
    jw_kbool(b, "bot", s->is_bot);
    jw_ku64(b, "shard", s->shard);
    jw_ku64(b, "shard_count", s->shard_count);
    jw_ku64(b, "intents", s->intents);
    jw_kcstr(b, "state", c ? "connected" : "detached");
    jw_ku64(b, "seq", s->seq);
    jw_ki64(b, "age_ms", now_ms - s->since_ms);
    jw_ku64(b, "topics", s->sub_count);
    jw_ku64(b, "replay_events", s->replay.count);
    jw_ku64(b, "replay_bytes", s->replay.bytes);
    if (c && c->ws) {
        encoder_names(c->stream.kind, &encoding, &compress);
        jw_kstr(b, "encoding", encoding);
        jw_kstr(b, "compress", compress);
        jw_kcstr(b, "address", ws_peer(c->ws));
        jw_ku64(b, "queued_bytes", ws_queued_bytes(c->ws));
        jw_ku64(b, "sent_bytes", ws_bytes_sent(c->ws));
        jw_ki64(b, "heard_ms", now_ms - c->heard_ms);
    } else {
        jw_ki64(b, "detached_ms", now_ms - s->detached_ms);
    }
    jw_obj_end(b);
}

static int run_list(struct control_call *c, void *arg)
{
    static const char *const known[] = {WHO_ARGS, "limit", NULL};
    struct gateway *g = arg;
    struct who w = {0};
    uint64_t limit = LIST_DEFAULT, total = 0;
    struct str id;
    int r = control_args_only(c, known);

    if (r == 0)
        r = who_read(c, &w);
    if (r == 0)
        r = control_arg_u64(c, "limit", 0, LIST_MAX, &limit);
    if (r < 0)
        return r;
    int64_t now_ms = clock_mono_ms();
    jw_kcstr(c->out, "node", g->node_id);
    jw_karr(c->out, "sessions");
    for (size_t cursor = 0;;) {
        const struct session *s = smap_next(&g->sessions, &cursor, &id);
        if (!s)
            break;
        if (who_matches(&w, s) && total++ < limit)
            session_write(c->out, s, now_ms);
    }
    jw_arr_end(c->out);
    jw_ku64(c->out, "total", total);
    return 0;
}

static int run_node(struct control_call *c, void *arg)
{
    const struct gateway *g = arg;
    unsigned detached = 0;

    for (const struct list *it = g->detached.next; it != &g->detached; it = it->next)
        detached++;
    jw_kobj(c->out, "gateway");
    jw_kcstr(c->out, "node", g->node_id);
    jw_kcstr(c->out, "url", g->public_url);
    jw_kcstr(c->out, "state", g->stopping ? "stopping" : g->ready ? "ready" : "not ready");
    jw_ku64(c->out, "connections", g->conn_count);
    jw_ku64(c->out, "sessions", g->sessions.count);
    jw_ku64(c->out, "detached", detached);
    jw_ku64(c->out, "topics", g->topics.count);
    jw_kbool(c->out, "limits", g->options.limits);
    jw_obj_end(c->out);
    return 0;
}

/* --- doing -----------------------------------------------------------------------------------------------------------
 */
static bool do_reconnect(struct session *s, const void *how)
{
    (void)how;
    if (!s->conn)
        return false;
    conn_send_op(s->conn, GATEWAY_OP_RECONNECT);
    return true;
}

static int run_reconnect(struct control_call *c, void *arg)
{
    static const char *const known[] = {WHO_ARGS, NULL};
    struct who w = {0};
    int r = control_args_only(c, known);

    if (r == 0)
        r = who_required(c, &w);
    if (r == 0)
        (void)for_each(arg, c, &w, do_reconnect, NULL);
    return r;
}

/* Not resumable: the session is over. Resumable: it waits for the RESUME that the client may send at once. */
static bool do_invalidate(struct session *s, const void *how)
{
    struct conn *c = s->conn;

    if (!*(const bool *)how) {
        session_invalidate(s);
        return true;
    }
    if (!c)
        return false;
    session_detach(s);
    conn_invalidate(c, true);
    return true;
}

static int run_invalidate(struct control_call *c, void *arg)
{
    static const char *const known[] = {WHO_ARGS, "resumable", NULL};
    struct who w = {0};
    bool resumable = false;
    int r = control_args_only(c, known);

    if (r == 0)
        r = who_required(c, &w);
    if (r == 0)
        r = control_arg_bool(c, "resumable", &resumable);
    if (r == 0)
        (void)for_each(arg, c, &w, do_invalidate, &resumable);
    return r;
}

static bool do_drop(struct session *s, const void *how)
{
    if (!s->conn || !s->conn->ws)
        return false;
    ws_drop(s->conn->ws, *(const bool *)how);
    return true;
}

static int run_drop(struct control_call *c, void *arg)
{
    static const char *const known[] = {WHO_ARGS, "reset", NULL};
    struct who w = {0};
    bool reset = true;
    int r = control_args_only(c, known);

    if (r == 0)
        r = who_required(c, &w);
    if (r == 0)
        r = control_arg_bool(c, "reset", &reset);
    if (r == 0)
        (void)for_each(arg, c, &w, do_drop, &reset);
    return r;
}

struct close_how {
    uint64_t code;
    bool end;
};

static bool do_close(struct session *s, const void *how)
{
    const struct close_how *h = how;
    struct conn *c = s->conn;

    if (!c && !h->end)
        return false;
    if (h->end)
        session_end(s);
    if (c)
        conn_close(c, (int)h->code);
    return true;
}

static int run_close(struct control_call *c, void *arg)
{
    static const char *const known[] = {WHO_ARGS, "code", "end", NULL};
    struct who w = {0};
    struct close_how how = {GATEWAY_CLOSE_UNKNOWN_ERROR, false};
    int r = control_args_only(c, known);

    if (r == 0)
        r = who_required(c, &w);
    if (r == 0)
        r = control_arg_u64(c, "code", 1000, 4999, &how.code);
    if (r == 0)
        r = control_arg_bool(c, "end", &how.end);
    if (r == 0)
        (void)for_each(arg, c, &w, do_close, &how);
    return r;
}

/* --- heartbeat ACKs --------------------------------------------------------------------------------------------------
 */
struct ack_rule {
    struct list item; /* in control.rules, oldest first: the first that fits counts */
    struct who who;
    char session[SESSION_ID_CHARS + 1];
    int64_t delay_ms; /* 0: never answered */
    int64_t until_ms; /* 0: until it is reset */
    uint64_t left;    /* 0: any number */
};

struct late_ack {
    struct list item; /* in control.late */
    struct loop_timer *timer;
    struct conn *conn;
};

struct gateway_control {
    struct list rules, late;
    unsigned rule_count;
    bool limits_set; /* as the node was started */
};

static void rule_free(struct gateway_control *k, struct ack_rule *r)
{
    list_remove(&r->item);
    k->rule_count--;
    mem_free(r);
}

static void late_free(struct late_ack *l)
{
    list_remove(&l->item);
    loop_timer_free(l->timer);
    conn_unref(l->conn);
    mem_free(l);
}

static void rules_forget(struct gateway_control *k)
{
    while (!list_empty(&k->rules))
        rule_free(k, LIST_ENTRY(k->rules.next, struct ack_rule, item));
}

static void late_send(void *arg)
{
    struct late_ack *l = arg;

    conn_send_op(l->conn, GATEWAY_OP_HEARTBEAT_ACK);
    late_free(l);
}

static void ack_later(struct gateway_control *k, struct conn *c, int64_t delay_ms)
{
    struct late_ack *l = MEM_NEW(struct late_ack);

    l->conn = conn_ref(c);
    l->timer = loop_timer_new(late_send, l);
    list_append(&k->late, &l->item);
    loop_timer_start(l->timer, delay_ms, 0);
}

static bool rule_fits(const struct ack_rule *r, const struct conn *c)
{
    bool everybody = r->who.all && !r->who.session.p && !r->who.by_user && !r->who.by_shard;

    return everybody || (c->session && who_matches(&r->who, c->session));
}

static struct ack_rule *rule_find(struct gateway_control *k, const struct conn *c)
{
    int64_t now_ms = clock_mono_ms();

    LIST_FOREACH_SAFE(it, &k->rules)
    {
        struct ack_rule *r = LIST_ENTRY(it, struct ack_rule, item);
        if (r->until_ms && now_ms >= r->until_ms)
            rule_free(k, r);
        else if (rule_fits(r, c))
            return r;
    }
    return NULL;
}

void gateway_control_ack(struct conn *c)
{
    struct gateway_control *k = c->g->control;
    struct ack_rule *r = list_empty(&k->rules) ? NULL : rule_find(k, c);

    if (!r) {
        conn_send_op(c, GATEWAY_OP_HEARTBEAT_ACK);
        return;
    }
    if (r->delay_ms)
        ack_later(k, c, r->delay_ms);
    if (r->left && --r->left == 0)
        rule_free(k, r);
}

/* delay_ms absent or 0: dropped. */
static int run_acks(struct control_call *c, void *arg)
{
    static const char *const known[] = {WHO_ARGS, "delay_ms", "count", "for_ms", NULL};
    struct gateway *g = arg;
    struct gateway_control *k = g->control;
    struct who w = {0};
    uint64_t delay_ms = 0, count = 0, for_ms = 0;
    int r = control_args_only(c, known);

    if (r == 0)
        r = who_required(c, &w);
    if (r == 0)
        r = control_arg_u64(c, "delay_ms", 0, ACK_MS_MAX, &delay_ms);
    if (r == 0)
        r = control_arg_u64(c, "count", 1, UINT32_MAX, &count);
    if (r == 0)
        r = control_arg_u64(c, "for_ms", 1, ACK_MS_MAX, &for_ms);
    if (r == 0 && w.session.n > SESSION_ID_CHARS)
        r = -ENOENT;
    if (r == 0 && k->rule_count >= ACK_RULES_MAX)
        r = -EBUSY;
    if (r < 0)
        return r;
    struct ack_rule *rule = MEM_NEW(struct ack_rule);
    rule->who = w;
    snprintf(rule->session, sizeof rule->session, "%.*s", STR_ARG(w.session));
    if (w.session.p)
        rule->who.session = str_c(rule->session);
    rule->delay_ms = (int64_t)delay_ms;
    rule->until_ms = for_ms ? clock_mono_ms() + (int64_t)for_ms : 0;
    rule->left = count;
    list_append(&k->rules, &rule->item);
    k->rule_count++;
    jw_ku64(c->out, "rules", k->rule_count);
    return 0;
}

/* --- the node --------------------------------------------------------------------------------------------------------
 */
static int run_limits(struct control_call *c, void *arg)
{
    static const char *const known[] = {"on", NULL};
    struct gateway *g = arg;
    int r = control_args_only(c, known);

    if (r == 0)
        r = control_arg_bool(c, "on", &g->options.limits);

    jw_kobj(c->out, "gateway");
    jw_kbool(c->out, "limits", g->options.limits);
    jw_obj_end(c->out);
    return r;
}

/* The minute in which a connection's sends are counted. Other buckets are kv's: the API advances them. */
static int run_advance(struct control_call *c, void *arg)
{
    struct gateway *g = arg;
    struct who w = {0};
    uint64_t ms = 60000;
    unsigned count = 0;
    int r = who_read(c, &w);

    if (r == 0)
        r = control_arg_u64(c, "ms", 1, INT64_MAX, &ms);
    if (r < 0)
        return r;
    LIST_FOREACH(it, &g->conns)
    {
        struct conn *conn = LIST_ENTRY(it, struct conn, item);
        if (!w.all && (!w.by_user || !conn->session || !who_matches(&w, conn->session)))
            continue;
        conn->window_ms -= (int64_t)(ms < 60000 ? ms : 60000);
        count++;
    }
    jw_ku64(c->out, "connections", count);
    return 0;
}

static int run_reset(struct control_call *c, void *arg)
{
    struct gateway *g = arg;

    rules_forget(g->control);
    g->options.limits = g->control->limits_set;
    jw_kobj(c->out, "gateway");
    jw_kbool(c->out, "limits", g->options.limits);
    jw_ku64(c->out, "ack_rules", 0);
    jw_obj_end(c->out);
    return 0;
}

/* Where there is no other node the clients would only lose their sessions. */
static int run_drain(struct control_call *c, void *arg)
{
    static const char *const known[] = {"node", NULL};
    struct gateway *g = arg;
    struct str node = STR_NONE;
    int r = control_args_only(c, known);

    if (r == 0)
        r = control_arg_str(c, "node", &node);
    if (r < 0)
        return r;
    if (!str_eq(node, str_c(g->node_id))) {
        buf_addf(c->err, "this is node %s", g->node_id);
        return -ENOENT;
    }
    if (!session_log_on(g) || g->draining) {
        buf_adds(c->err, g->draining ? "it is being drained" : "this process has no other nodes");
        return -EBUSY;
    }
    unsigned sessions = (unsigned)g->sessions.count;
    gateway_drain(g);
    jw_kcstr(c->out, "drained", g->node_id);
    jw_ku64(c->out, "sessions", sessions);
    jw_ku64(c->out, "released", g->released);
    if (g->options.on_drained)
        g->options.on_drained();
    return 0;
}

#define WHO "session=ID | user=ID | shard=N[/COUNT] | all"

static const struct control_action actions[] = {
    {"GET", "/node", "", "this process: what it is and holds", run_node},
    {"POST", "/drain", "node=ID", "leave its sessions to other nodes, then stop", run_drain},
    {"GET", "/sessions", "[" WHO "] [limit=1000]", "the sessions and their connections", run_list},
    {"POST", "/sessions/reconnect", WHO, "send op 7; the client is to come back and RESUME", run_reconnect},
    {"POST", "/sessions/invalidate", WHO " [resumable=false]", "send op 9; not resumable: the session is over",
     run_invalidate},
    {"POST", "/sessions/drop", WHO " [reset=true]", "end the socket without a close frame: TCP reset, or its plain end",
     run_drop},
    {"POST", "/sessions/close", WHO " [code=4000] [end=false]", "close with a code; end: the session is over too",
     run_close},
    {"POST", "/sessions/acks", WHO " [delay_ms=N] [count=N] [for_ms=N]",
     "answer heartbeats later, or (without delay_ms) not at all", run_acks},
    {"GET", "/limits", "", "whether limits are on", run_limits},
    {"POST", "/limits", "on=BOOL", "switch rate, send and identify limits", run_limits},
    {"POST", "/buckets/advance", "user=ID | all [ms=N]", "the minute of a connection's 120 sends, likewise",
     run_advance},
    {"POST", "/reset", "", "forget every rule; limits as they were set at the start", run_reset},
};

void gateway_control_start(struct gateway *g)
{
    g->control = MEM_NEW(struct gateway_control);
    list_init(&g->control->rules);
    list_init(&g->control->late);
    g->control->limits_set = g->options.limits;
    control_add(actions, sizeof actions / sizeof *actions, g);
}

void gateway_control_stop(struct gateway *g)
{
    struct gateway_control *k = g->control;

    if (!k)
        return;
    control_remove(g);
    rules_forget(k);
    while (!list_empty(&k->late))
        late_free(LIST_ENTRY(k->late.next, struct late_ack, item));
    mem_free(k);
    g->control = NULL;
}
