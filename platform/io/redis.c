/* Redis over hiredis' asynchronous interface: one connection that comes back by itself. hiredis 0.14 resolves names
 * blocking, has no deadlines and no reconnect: those are done here. Loop thread only. Limits: LIMIT_REDIS_*.
 * Replies come in the order of the commands, so a server that hangs is found by one PING that is never answered. */
#include "platform/io/redis.h"

#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/list.h"
#include "platform/base/log.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include "platform/io/redis_hiredis.h"
#include <errno.h>
#include <hiredis/sds.h>
#include <netdb.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <uv.h>

#define REDIS_LISTENERS_MAX 8

enum redis_state { WAITING, RESOLVING, CONNECTING, GREETING, READY };

struct redis {
    char *host, *port, *user, *password;
    int db;
    enum redis_state state;
    char address[64];  /* the host's, resolved anew for each attempt */
    unsigned attempts; /* failed ones in a row: each tries the name's next address */
    struct resolving *resolving;
    redisAsyncContext *ac;
    uint64_t connection;     /* counts them: which scripts this one has seen */
    struct loop_timer *step; /* end of the wait in WAITING, deadline of an attempt elsewhere */
    struct loop_timer *ping, *deadlines;
    int64_t deadline_next_ms; /* 0: the timer does not run */
    int backoff_ms;
    bool complained; /* about the present outage */
    bool over;
    char run_id[48];
    char greeted_run_id[48]; /* of a greeting under way */
    struct list pending;     /* struct command */
    struct list late;        /* the same, told -ETIMEDOUT; their replies may still come */
    unsigned pending_count;
    struct map scripts; /* address of the text -> struct script */
    struct {
        void (*fn)(bool connected, void *arg);
        void *arg;
    } listeners[REDIS_LISTENERS_MAX];
    unsigned listener_count;
};

struct script {
    char sha[41];
    uint64_t loaded_on; /* the connection that has sent its text */
};

/* One command under way. hiredis calls back exactly once for each, with NULL when the connection is lost. */
struct command {
    struct list link;
    struct redis *redis;
    redis_fn fn; /* NULL: nobody waits (any more) */
    void *arg;
    int64_t deadline_ms;
    const char *script; /* sent as EVALSHA: its text and the words after it, for a server that has forgotten it */
    struct buf rest;
    int rest_count;
};

struct resolving {
    uv_getaddrinfo_t uv;
    struct redis *redis; /* NULL: nobody waits for the answer any more */
};

static void redis_attempt(struct redis *r);

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static void word_add(struct buf *b, struct str word)
{
    buf_addc(b, '$');
    buf_add_u64(b, word.n);
    buf_adds(b, "\r\n");
    buf_add_str(b, word);
    buf_adds(b, "\r\n");
}

static void command_answer(struct command *c, int error, const struct redis_reply *reply)
{
    redis_fn fn = c->fn;

    c->fn = NULL;
    if (fn)
        fn(error, reply, c->arg);
}

static void command_end(struct command *c)
{
    list_remove(&c->link);
    c->redis->pending_count--;
    buf_done(&c->rest);
    mem_free(c);
}

static void on_reply(redisAsyncContext *ac, void *data, void *arg);
static void redis_lose(struct redis *r, const char *why);

static bool reply_is_error(const struct redis_reply *r, const char *code)
{
    return redis_reply_type(r) == REDIS_ERROR && str_starts(redis_reply_str(r), str_c(code));
}

/* Hands one formatted command to hiredis, which takes its bytes along. */
static int command_write(struct command *c, struct str head)
{
    redisAsyncContext *ac = c->redis->ac;
    struct buf bytes = BUF_INIT(LIMIT_REDIS_PENDING_BYTES);
    int error = 0;

    if (!ac || sdslen(ac->c.obuf) > LIMIT_REDIS_PENDING_BYTES)
        return ac ? -EAGAIN : -ENOTCONN;
    buf_add_str(&bytes, head);
    buf_add_str(&bytes, buf_str(&c->rest));
    if (buf_failed(&bytes))
        error = -EAGAIN;
    else if (redisAsyncFormattedCommand(ac, on_reply, c, bytes.data, bytes.len) != REDIS_OK)
        error = -ENOTCONN;
    buf_done(&bytes);
    return error;
}

static int script_write(struct command *c, bool with_text)
{
    struct script *s = map_get(&c->redis->scripts, (uint64_t)(uintptr_t)c->script);
    struct buf head = BUF_INIT(LIMIT_REDIS_PENDING_BYTES);

    buf_addf(&head, "*%d\r\n", c->rest_count + 2);
    word_add(&head, with_text ? STR("EVAL") : STR("EVALSHA"));
    word_add(&head, with_text ? str_c(c->script) : str_c(s->sha));
    if (with_text)
        s->loaded_on = c->redis->connection;
    int error = command_write(c, buf_str(&head));
    buf_done(&head);
    return error;
}

/* True when the server had forgotten the script and its text is under way now. */
static bool script_sent_again(struct command *c, const struct redis_reply *reply)
{
    return c->script && reply_is_error(reply, "NOSCRIPT") && c->fn && script_write(c, true) == 0;
}

static void on_reply(redisAsyncContext *ac, void *data, void *arg)
{
    struct command *c = arg;
    struct redis *r = c->redis;
    const struct redis_reply *reply = data;

    (void)ac;
    if (!reply) {
        redis_lose(r, "connection lost");
        command_answer(c, -ENOTCONN, NULL);
        command_end(c);
        return;
    }
    if (script_sent_again(c, reply))
        return;
    /* a failover has made this server a replica: the name may already mean another one */
    bool demoted = reply_is_error(reply, "READONLY");
    command_answer(c, 0, reply);
    command_end(c);
    if (demoted)
        redis_lose(r, "server became a replica");
}

static void on_deadlines(void *arg)
{
    struct redis *r = arg;
    int64_t now = clock_mono_ms();
    int64_t next = INT64_MAX;
    struct list due = LIST_INIT(due);

    LIST_FOREACH_SAFE(it, &r->pending)
    {
        struct command *c = LIST_ENTRY(it, struct command, link);
        if (c->deadline_ms > now) {
            next = c->deadline_ms < next ? c->deadline_ms : next;
            continue;
        }
        list_remove(it);
        list_append(&due, it);
    }
    /* whoever is told may drop the connection, which ends and frees any of them */
    while (!list_empty(&due)) {
        struct command *c = LIST_ENTRY(list_first(&due), struct command, link);
        list_remove(&c->link);
        list_append(&r->late, &c->link);
        command_answer(c, -ETIMEDOUT, NULL);
    }
    r->deadline_next_ms = 0;
    if (next == INT64_MAX || r->over)
        return;
    /* at least 10 ms between two walks along the list */
    r->deadline_next_ms = next > now + 10 ? next : now + 10;
    loop_timer_start(r->deadlines, r->deadline_next_ms - now, 0);
}

static void deadline_arm(struct redis *r, const struct command *c)
{
    if (r->deadline_next_ms != 0 && r->deadline_next_ms <= c->deadline_ms)
        return;
    int64_t wait = c->deadline_ms - clock_mono_ms();
    r->deadline_next_ms = c->deadline_ms;
    loop_timer_start(r->deadlines, wait > 0 ? wait : 0, 0);
}

struct refusal {
    redis_fn fn;
    void *arg;
    int error;
};

static void on_refusal(void *arg)
{
    struct refusal *f = arg;

    f->fn(f->error, NULL, f->arg);
    mem_free(f);
}

/* Never calls back from inside the call that asked. */
static void refuse(redis_fn fn, void *arg, int error)
{
    if (!fn)
        return;
    struct refusal *f = MEM_NEW(struct refusal);
    *f = (struct refusal){fn, arg, error};
    loop_post(on_refusal, f);
}

static struct command *command_new(struct redis *r, int argc, const struct str *argv, int timeout_ms, redis_fn fn,
                                   void *arg)
{
    struct command *c = MEM_NEW(struct command);

    c->redis = r;
    c->fn = fn;
    c->arg = arg;
    c->deadline_ms = clock_mono_ms() + timeout_ms;
    c->rest = BUF_INIT(LIMIT_REDIS_PENDING_BYTES);
    c->rest_count = argc;
    for (int i = 0; i < argc; i++)
        word_add(&c->rest, argv[i]);
    list_append(&r->pending, &c->link);
    r->pending_count++;
    return c;
}

static int redis_refusal(const struct redis *r, enum redis_state least)
{
    if (r->state < least)
        return -ENOTCONN;
    return r->pending_count >= LIMIT_REDIS_PENDING ? -EAGAIN : 0;
}

static void command_sent(struct command *c, int error)
{
    if (error == 0 && !c->script)
        buf_done(&c->rest);
    if (error == 0 && c->fn)
        deadline_arm(c->redis, c);
    if (error == 0)
        return;
    refuse(c->fn, c->arg, error);
    command_end(c);
}

static void command_send(struct redis *r, enum redis_state least, int argc, const struct str *argv, int timeout_ms,
                         redis_fn fn, void *arg)
{
    char head[32];
    int error = redis_refusal(r, least);

    CHECK(argc > 0 && timeout_ms > 0);
    if (error != 0) {
        refuse(fn, arg, error);
        return;
    }
    struct command *c = command_new(r, argc, argv, timeout_ms, fn, arg);
    snprintf(head, sizeof(head), "*%d\r\n", argc);
    command_sent(c, command_write(c, str_c(head)));
}

void redis_command(struct redis *r, int argc, const struct str *argv, int timeout_ms, redis_fn fn, void *arg)
{
    command_send(r, READY, argc, argv, timeout_ms, fn, arg);
}

static struct script *script_of(struct redis *r, const char *text)
{
    struct script *s = map_get(&r->scripts, (uint64_t)(uintptr_t)text);
    unsigned char digest[SHA_DIGEST_LENGTH];

    if (s)
        return s;
    s = MEM_NEW(struct script);
    SHA1((const unsigned char *)text, strlen(text), digest);
    for (unsigned i = 0; i < sizeof(digest); i++)
        snprintf(s->sha + i * 2, 3, "%02x", digest[i]);
    map_put(&r->scripts, (uint64_t)(uintptr_t)text, s);
    return s;
}

void redis_script(struct redis *r, const char *script, int key_count, int argc, const struct str *argv, int timeout_ms,
                  redis_fn fn, void *arg)
{
    int error = redis_refusal(r, READY);
    char keys[16];

    CHECK(key_count >= 0 && key_count <= argc && timeout_ms > 0);
    if (error != 0) {
        refuse(fn, arg, error);
        return;
    }
    struct script *s = script_of(r, script);
    struct command *c = command_new(r, 0, NULL, timeout_ms, fn, arg);
    c->script = script;
    snprintf(keys, sizeof(keys), "%d", key_count);
    word_add(&c->rest, str_c(keys));
    for (int i = 0; i < argc; i++)
        word_add(&c->rest, argv[i]);
    c->rest_count = argc + 1;
    command_sent(c, script_write(c, s->loaded_on != r->connection));
}

/* ---- awaiting ---------------------------------------------------------------------------------------------------- */

struct await {
    struct co *co;
    int error;
    struct redis_reply *reply;
};

static void on_awaited(int error, const struct redis_reply *reply, void *arg)
{
    struct await *a = arg;

    a->error = error;
    a->reply = redis_reply_keep(reply);
    co_resume(a->co);
}

int redis_await(struct redis *r, int argc, const struct str *argv, struct redis_reply **ret)
{
    struct await a = {.co = co_self()};

    redis_command(r, argc, argv, LIMIT_REDIS_COMMAND_MS, on_awaited, &a);
    co_suspend();
    if (a.error == 0)
        *ret = a.reply;
    return a.error;
}

int redis_script_await(struct redis *r, const char *script, int key_count, int argc, const struct str *argv,
                       struct redis_reply **ret)
{
    struct await a = {.co = co_self()};

    redis_script(r, script, key_count, argc, argv, LIMIT_REDIS_COMMAND_MS, on_awaited, &a);
    co_suspend();
    if (a.error == 0)
        *ret = a.reply;
    return a.error;
}

/* ---- the connection ---------------------------------------------------------------------------------------------- */

static void tell(struct redis *r, bool connected)
{
    for (unsigned i = 0; i < r->listener_count && !r->over; i++)
        r->listeners[i].fn(connected, r->listeners[i].arg);
}

static void complain(struct redis *r, const char *why)
{
    if (!r->complained)
        LOG_WARN("redis_unreachable", "host=%s port=%s why=\"%s\"", r->host, r->port, why);
    r->complained = true;
}

/* The connection (or the attempt) is over: everything under way ends, the next attempt comes after a pause. Harmless
 * when it is called twice, as hiredis' callbacks do. */
static void redis_lose(struct redis *r, const char *why)
{
    bool was_ready = r->state == READY;
    redisAsyncContext *ac = r->ac;

    if (r->state == WAITING)
        return;
    r->state = WAITING;
    r->ac = NULL;
    loop_timer_stop(r->ping);
    if (ac)
        redisAsyncFree(ac); /* answers what is pending with -ENOTCONN; from inside a callback a moment later */
    if (r->over)
        return;
    complain(r, why);
    loop_timer_start(r->step, r->backoff_ms, 0);
    r->backoff_ms = r->backoff_ms * 2 < LIMIT_REDIS_BACKOFF_MS ? r->backoff_ms * 2 : LIMIT_REDIS_BACKOFF_MS;
    if (was_ready)
        tell(r, false);
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
    struct redis *r = ac->data;

    (void)status;
    if (!r || r->ac != ac)
        return;
    r->ac = NULL; /* hiredis frees it */
    redis_lose(r, ac->errstr && *ac->errstr ? ac->errstr : "connection lost");
}

static void on_ping(int error, const struct redis_reply *reply, void *arg)
{
    struct redis *r = arg;

    if (error == -ETIMEDOUT)
        redis_lose(r, "no answer to PING");
    else if (error == 0 && redis_reply_type(reply) == REDIS_ERROR)
        redis_lose(r, redis_reply_str(reply).p);
}

static void on_ping_due(void *arg)
{
    struct redis *r = arg;

    redis_command(r, 1, (struct str[]){STR("PING")}, LIMIT_REDIS_PING_TIMEOUT_MS, on_ping, r);
}

static void greeted(struct redis *r)
{
    r->state = READY;
    r->attempts = 0;
    r->backoff_ms = LIMIT_REDIS_BACKOFF_FIRST_MS;
    memcpy(r->run_id, r->greeted_run_id, sizeof(r->run_id));
    loop_timer_stop(r->step);
    loop_timer_start(r->ping, LIMIT_REDIS_PING_MS, LIMIT_REDIS_PING_MS);
    if (r->complained)
        LOG_INFO("redis_reachable", "host=%s port=%s run_id=%s", r->host, r->port, r->run_id);
    r->complained = false;
    tell(r, true);
}

static void run_id_read(struct redis *r, struct str info)
{
    static const char field[] = "run_id:";
    const char *at = memmem(info.p, info.n, field, sizeof(field) - 1);
    size_t n = 0;

    r->greeted_run_id[0] = 0;
    if (!at)
        return;
    at += sizeof(field) - 1;
    while (at + n < info.p + info.n && at[n] > ' ' && n + 1 < sizeof(r->greeted_run_id))
        n++;
    memcpy(r->greeted_run_id, at, n);
    r->greeted_run_id[n] = 0;
}

/* AUTH, SELECT, INFO and PING are sent together; the answer that is an error ends the attempt, PING's begins service
 * (a server that still loads its data answers INFO, but not PING). */
static void on_greeting(int error, const struct redis_reply *reply, void *arg)
{
    struct redis *r = arg;

    if (error != 0 || r->state != GREETING)
        return; /* whoever lost the connection goes on; a deadline is `step`'s */
    struct str text = redis_reply_str(reply);
    if (redis_reply_type(reply) == REDIS_ERROR)
        redis_lose(r, text.p);
    else if (redis_reply_type(reply) == REDIS_STRING)
        run_id_read(r, text);
    else if (str_eq(text, STR("PONG")))
        greeted(r);
}

static void greet(struct redis *r, int argc, const struct str *argv)
{
    command_send(r, GREETING, argc, argv, LIMIT_REDIS_CONNECT_MS, on_greeting, r);
}

static void on_connect(const redisAsyncContext *ac, int status)
{
    struct redis *r = ac->data;
    char db[16];

    if (!r || r->ac != ac)
        return;
    if (status != REDIS_OK) {
        r->ac = NULL; /* hiredis frees it */
        redis_lose(r, ac->c.errstr[0] ? ac->c.errstr : "cannot connect");
        return;
    }
    r->state = GREETING;
    r->connection++;
    if (r->password && r->user)
        greet(r, 3, (struct str[]){STR("AUTH"), str_c(r->user), str_c(r->password)});
    else if (r->password)
        greet(r, 2, (struct str[]){STR("AUTH"), str_c(r->password)});
    snprintf(db, sizeof(db), "%d", r->db);
    if (r->db != 0)
        greet(r, 2, (struct str[]){STR("SELECT"), str_c(db)});
    greet(r, 2, (struct str[]){STR("INFO"), STR("server")});
    greet(r, 1, (struct str[]){STR("PING")});
}

static void redis_connect_to(struct redis *r)
{
    redisAsyncContext *ac = redisAsyncConnect(r->address, atoi(r->port));

    CHECK(ac != NULL);
    r->state = CONNECTING;
    if (ac->err) {
        BUF_AUTO struct buf why = BUF_INIT(256);
        buf_adds(&why, ac->errstr);
        redisAsyncFree(ac);
        redis_lose(r, buf_str(&why).p);
        return;
    }
    r->ac = ac;
    ac->data = r;
    redis_hiredis_attach(ac);
    redisAsyncSetConnectCallback(ac, on_connect);
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
}

static const struct addrinfo *address_at(const struct addrinfo *found, unsigned n)
{
    const struct addrinfo *a = found;

    while (n-- > 0)
        a = a->ai_next ? a->ai_next : found;
    return a;
}

static void on_resolved(uv_getaddrinfo_t *uv, int status, struct addrinfo *found)
{
    struct resolving *q = (struct resolving *)uv;
    struct redis *r = q->redis;

    mem_free(q);
    if (r) {
        r->resolving = NULL;
        const struct addrinfo *a = status == 0 ? address_at(found, r->attempts++) : NULL;
        if (a)
            status = getnameinfo(a->ai_addr, a->ai_addrlen, r->address, sizeof(r->address), NULL, 0, NI_NUMERICHOST);
        if (status != 0)
            redis_lose(r, "cannot resolve the name");
        else
            redis_connect_to(r);
    }
    uv_freeaddrinfo(found);
}

static void redis_attempt(struct redis *r)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct resolving *q = MEM_NEW(struct resolving);

    q->redis = r;
    r->resolving = q;
    r->state = RESOLVING;
    loop_timer_start(r->step, LIMIT_REDIS_CONNECT_MS, 0);
    if (uv_getaddrinfo(loop_uv(), &q->uv, on_resolved, r->host, r->port, &hints) != 0) {
        mem_free(q);
        r->resolving = NULL;
        redis_lose(r, "cannot resolve the name");
    }
}

static void on_step(void *arg)
{
    struct redis *r = arg;

    if (r->resolving)
        r->resolving->redis = NULL;
    r->resolving = NULL;
    if (r->state != WAITING)
        redis_lose(r, "no answer in time");
    else
        redis_attempt(r);
}

/* ---- lifecycle --------------------------------------------------------------------------------------------------- */

/* redis://[user:password@]host[:port][/db]; user may be empty. */
static int url_read(struct redis *r, const char *url)
{
    static const char scheme[] = "redis://";
    uint64_t db = 0, port = 6379;

    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0)
        return -EINVAL;
    const char *rest = url + sizeof(scheme) - 1;
    const char *slash = strrchr(rest, '/');
    const char *end = slash ? slash : rest + strlen(rest);
    const char *at = memrchr(rest, '@', (size_t)(end - rest));
    if (slash && slash[1] && (str_to_u64(str_c(slash + 1), &db) != 0 || db > 1000000))
        return -EINVAL;
    if (at) {
        const char *colon = memchr(rest, ':', (size_t)(at - rest));
        if (!colon)
            return -EINVAL;
        r->user = colon > rest ? mem_strndup(rest, (size_t)(colon - rest)) : NULL;
        r->password = colon + 1 < at ? mem_strndup(colon + 1, (size_t)(at - colon - 1)) : NULL;
        rest = at + 1;
    }
    const char *colon = memrchr(rest, ':', (size_t)(end - rest));
    const char *bracket = memrchr(rest, ']', (size_t)(end - rest)); /* [::1]:6379 */
    if (colon && bracket && colon < bracket)
        colon = NULL;
    const char *host_end = colon ? colon : end;
    if (colon && (str_to_u64((struct str){colon + 1, (size_t)(end - colon - 1)}, &port) != 0 || port - 1 >= 65535))
        return -EINVAL;
    if (*rest == '[' && bracket && bracket + 1 == host_end) {
        rest++;
        host_end--;
    }
    if (host_end <= rest)
        return -EINVAL;
    BUF_AUTO struct buf port_text = BUF_INIT(16);
    buf_add_u64(&port_text, port);
    r->host = mem_strndup(rest, (size_t)(host_end - rest));
    r->port = mem_strdup(port_text.data);
    r->db = (int)db;
    return 0;
}

static void redis_release(void *arg)
{
    struct redis *r = arg;
    size_t cursor = 0;
    struct script *s;

    while ((s = map_next(&r->scripts, &cursor)) != NULL)
        mem_free(s);
    map_done(&r->scripts);
    mem_free(r->host);
    mem_free(r->port);
    mem_free(r->user);
    if (r->password)
        explicit_bzero(r->password, strlen(r->password));
    mem_free(r->password);
    mem_free(r);
}

struct redis *redis_new(const char *url, struct buf *err)
{
    struct redis *r = MEM_NEW(struct redis);

    if (url_read(r, url) != 0) {
        buf_adds(err, "redis url: want redis://[user:password@]host:port[/db]");
        redis_release(r);
        return NULL;
    }
    list_init(&r->pending);
    list_init(&r->late);
    r->backoff_ms = LIMIT_REDIS_BACKOFF_FIRST_MS;
    r->step = loop_timer_new(on_step, r);
    r->ping = loop_timer_new(on_ping_due, r);
    r->deadlines = loop_timer_new(on_deadlines, r);
    redis_attempt(r);
    return r;
}

void redis_free(struct redis *r)
{
    if (!r || r->over)
        return;
    r->over = true;
    if (r->resolving)
        r->resolving->redis = NULL;
    redis_lose(r, "");
    loop_timer_free(r->step);
    loop_timer_free(r->ping);
    loop_timer_free(r->deadlines);
    /* one turn later: hiredis may be in the middle of a callback of ours */
    loop_post(redis_release, r);
}

bool redis_connected(const struct redis *r)
{
    return r->state == READY;
}

void redis_on_state(struct redis *r, void (*fn)(bool connected, void *arg), void *arg)
{
    CHECK(r->listener_count < REDIS_LISTENERS_MAX);
    r->listeners[r->listener_count].fn = fn;
    r->listeners[r->listener_count++].arg = arg;
}

const char *redis_run_id(const struct redis *r)
{
    return r->run_id;
}
