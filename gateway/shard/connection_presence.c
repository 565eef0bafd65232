/* What a shard's sessions look like: the last presence that workers had sent goes with each IDENTIFY, also of the
 * process that holds the shard next. gh:<application>:{shard:<n>/<count>}:presence:<generation of the set> (7 days
 * after the last heartbeat), and for shards of a set that has got none yet gh:<application>:{shards}:presence, the last
 * that was sent to all. Loop thread. */
#include "gateway/shard/connection_private.h"

#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/mem.h"
#include "platform/protocol/gateway.h"
#include <errno.h>
#include <stdio.h>

#define KEEP_MS  "604800000"
#define AGAIN_MS 2000 /* the other set's processes hear of the switch within 500 ms */

static void key_own(const struct session_key *k, char *out, size_t size)
{
    snprintf(out, size, "gh:%llu:{shard:%u/%u}:presence:%llu", (unsigned long long)k->application, k->shard,
             k->shard_count, (unsigned long long)k->set);
}

static void key_all(const struct session_key *k, char *out, size_t size)
{
    snprintf(out, size, "gh:%llu:{shards}:presence", (unsigned long long)k->application);
}

static void presence_set(struct connection *c, struct str data, bool own)
{
    char *copy = data.n ? mem_alloc(data.n + 1) : NULL;

    if (copy) {
        memcpy(copy, data.p, data.n);
        copy[data.n] = 0;
    }
    mem_free(c->presence);
    c->presence = copy;
    c->presence_own = own;
}

/* --- from Redis: two questions, of which the last answer decides --- */

struct question {
    struct connection *c;
    void (*done)(struct connection *c, int error, struct str own, struct str all);
    char *own;
};

static void question_end(struct question *q, int error, struct str all)
{
    struct connection *c = q->c;

    c->calls--;
    if (c->dropped || c->leaving)
        connection_end_check(c);
    else
        q->done(c, error, q->own ? str_c(q->own) : STR(""), all);
    mem_free(q->own);
    mem_free(q);
}

static struct str text_of(const struct redis_reply *r)
{
    return redis_reply_type(r) == REDIS_STRING ? redis_reply_str(r) : STR("");
}

static void on_all(int error, const struct redis_reply *r, void *arg)
{
    question_end(arg, error, error ? STR("") : text_of(r));
}

static void on_own(int error, const struct redis_reply *r, void *arg)
{
    struct question *q = arg;
    char key[96];

    if (error) {
        question_end(q, error, STR(""));
        return;
    }
    struct str own = text_of(r);
    q->own = mem_zalloc(own.n + 1);
    memcpy(q->own, own.n ? own.p : "", own.n);
    key_all(&q->c->o.key, key, sizeof(key));
    redis_command(q->c->o.key.redis, 2, (struct str[]){STR("GET"), str_c(key)}, LIMIT_REDIS_COMMAND_MS, on_all, q);
}

static void ask(struct connection *c, void (*done)(struct connection *c, int error, struct str own, struct str all))
{
    struct question *q = MEM_NEW(struct question);
    char key[96];

    *q = (struct question){.c = c, .done = done};
    c->calls++;
    key_own(&c->o.key, key, sizeof(key));
    redis_command(c->o.key.redis, 2, (struct str[]){STR("GET"), str_c(key)}, LIMIT_REDIS_COMMAND_MS, on_own, q);
}

static void on_loaded(struct connection *c, int error, struct str own, struct str all)
{
    if (error) {
        loop_timer_start(c->step_timer, BACKOFF_FIRST_MS, 0);
        return;
    }
    presence_set(c, own.n ? own : all, own.n > 0);
    connection_loading(c);
}

void connection_presence_load(struct connection *c)
{
    ask(c, on_loaded);
}

static void on_asked_again(struct connection *c, int error, struct str own, struct str all)
{
    if (error) {
        loop_timer_start(c->presence_timer, AGAIN_MS, 0);
        return;
    }
    if (own.n || !all.n || c->presence_own || (c->presence && str_eq(all, str_c(c->presence))))
        return;
    presence_set(c, all, false);
    if (c->step == LIVE)
        connection_presence_send(c);
}

static void on_again(void *arg)
{
    ask(arg, on_asked_again);
}

void connection_presence_again(struct connection *c)
{
    if (!c->presence_timer)
        c->presence_timer = loop_timer_new(on_again, c);
    loop_timer_start(c->presence_timer, AGAIN_MS, 0);
}

/* --- to Redis --- */

static void on_kept(int error, const struct redis_reply *r, void *arg)
{
    struct connection *c = arg;

    (void)error, (void)r; /* once more with the next heartbeat */
    c->calls--;
    connection_end_check(c);
}

void connection_presence_keep(struct connection *c)
{
    char key[96];

    if (!c->presence || !c->presence_own)
        return;
    key_own(&c->o.key, key, sizeof(key));
    c->calls++;
    redis_command(c->o.key.redis, 5,
                  (struct str[]){STR("SET"), str_c(key), str_c(c->presence), STR("PX"), STR(KEEP_MS)},
                  LIMIT_REDIS_COMMAND_MS, on_kept, c);
    if (!c->presence_to_all || c->o.key.shard != 0)
        return;
    key_all(&c->o.key, key, sizeof(key));
    c->calls++;
    redis_command(c->o.key.redis, 3, (struct str[]){STR("SET"), str_c(key), str_c(c->presence)}, LIMIT_REDIS_COMMAND_MS,
                  on_kept, c);
}

void connection_presence_take(struct connection *c, struct str data, bool to_all)
{
    presence_set(c, data, true);
    c->presence_to_all = to_all;
    connection_presence_keep(c);
}

void connection_presence_done(struct connection *c)
{
    loop_timer_free(c->presence_timer);
    mem_free(c->presence);
}

/* --- to the gateway, outside IDENTIFY --- */

void connection_presence_send(struct connection *c)
{
    struct buf BUF_AUTO b = BUF_INIT(LIMIT_SHARD_COMMAND_BYTES + 256);

    jw_obj(&b);
    jw_ki64(&b, "op", GATEWAY_OP_PRESENCE_UPDATE);
    jw_kraw(&b, "d", str_c(c->presence));
    jw_obj_end(&b);
    budget_note(&c->budget, clock_mono_ms());
    if (ws_client_send(c->ws, false, buf_str(&b)) != 0)
        connection_reconnect(c, false);
}
