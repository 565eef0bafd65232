/* A shard's connection: its life, and how far it is, kept in Redis. Loop thread. */
#include "gateway/shard/connection_private.h"

#include "gateway/shard/commands.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include <errno.h>
#include <stdio.h>

#define STORE_EVERY_MS 50
#define FINISH_TICK_MS 50
#define CLOSE_END      1000 /* ends the session */

/* --- the session in Redis --- */

static void on_stored(int error, void *arg)
{
    struct connection *c = arg;

    c->calls--;
    c->storing = false;
    if (error == -ESTALE && !c->dropped)
        LOG_WARN("session_stale", "shard=%u epoch=%llu", c->o.key.shard, (unsigned long long)c->o.epoch);
    if (error == -EHOSTDOWN)
        c->store_again = true;
    if (c->store_again && !c->dropped)
        loop_timer_start(c->store_timer, STORE_EVERY_MS, 0);
    connection_end_check(c);
}

/* What a successor may RESUME from: the session of the last confirmed event, up to that event. */
void connection_store(struct connection *c)
{
    struct str id = pipeline_session_id(c->pipeline);

    c->store_again = c->storing;
    if (c->ended || c->storing || id.n == 0 || id.n >= sizeof(c->session.id))
        return;
    /* The url belongs to the current session; an older one's events are the last of a session that is over anyway. */
    struct shard_session s = c->session;
    snprintf(s.id, sizeof(s.id), "%.*s", STR_ARG(id));
    s.epoch = c->o.epoch;
    s.seq = pipeline_confirmed(c->pipeline);
    snprintf(c->stored_run, sizeof(c->stored_run), "%s", redis_run_id(c->o.key.redis));
    c->storing = true;
    c->calls++;
    session_store(&c->o.key, &s, on_stored, c);
}

static void on_store_timer(void *arg)
{
    struct connection *c = arg;

    if (!c->dropped)
        connection_store(c);
}

static void on_confirmed(void *arg)
{
    struct connection *c = arg;

    if (c->leaving && pipeline_is_empty(c->pipeline))
        connection_store(c);
    else if (!c->storing)
        loop_timer_start(c->store_timer, STORE_EVERY_MS, 0);
    else
        c->store_again = true;
}

/* --- the end of a connection's life --- */

static void connection_free(void *arg)
{
    struct connection *c = arg;

    loop_timer_free(c->step_timer);
    loop_timer_free(c->beat_timer);
    loop_timer_free(c->store_timer);
    loop_timer_free(c->finish_timer);
    connection_presence_done(c);
    map_done(&c->missing);
    decompress_free(c->decompress);
    mem_free(c);
}

/* Frees it once nothing calls back any more. */
void connection_end_check(struct connection *c)
{
    if (c->leaving && !c->dropped && !c->ws && !c->storing && !c->store_again && pipeline_is_empty(c->pipeline) &&
        (!c->ended || c->calls == 0)) {
        void (*left)(unsigned, void *) = c->left;

        c->left = NULL;
        connection_drop(c);
        left(c->o.key.shard, c->o.arg);
        return;
    }
    if (c->dropped && !c->ws && c->calls == 0)
        loop_post(connection_free, c);
}

void connection_take_commands(struct connection *c, struct commands *commands)
{
    if (!c->commands && !c->leaving && !c->dropped && !c->retired)
        c->commands = command_queue_open(commands, c->o.key.shard, connection_command, c);
    if (c->commands && c->o.silent)
        connection_presence_again(c);
}

static void commands_close(struct connection *c)
{
    command_queue_close(c->commands);
    c->commands = NULL;
}

static void connection_drop_left(struct connection *c)
{
    void (*left)(unsigned, void *) = c->left;
    unsigned shard = c->o.key.shard;
    void *left_arg = c->o.arg;

    c->left = NULL;
    connection_drop(c);
    left(shard, left_arg);
}

/* --- the end of the session --- */

static void on_forgotten(int error, void *arg)
{
    struct connection *c = arg;

    (void)error; /* a session that is over costs its next reader one op 9 */
    c->calls--;
    connection_end_check(c);
}

static void finish(struct connection *c)
{
    loop_timer_stop(c->beat_timer);
    loop_timer_stop(c->step_timer);
    loop_timer_stop(c->store_timer);
    if (c->step == LIVE)
        connection_live_add(-1);
    c->step = WAITING;
    c->leaving = c->ended = true;
    c->ended_ms = clock_mono_ms();
    commands_close(c);
    c->store_again = false;
    c->calls++;
    session_forget(&c->o.key, on_forgotten, c);
    if (c->ws)
        ws_client_close(c->ws, CLOSE_END, "resharded"); /* on_close checks for the end */
}

static void goodbye_check(struct connection *c)
{
    if (c->ws && clock_mono_ms() - c->ended_ms >= GOODBYE_MS)
        ws_client_abort(c->ws); /* on_close checks for the end */
    else
        connection_end_check(c);
}

/* An answer to a heartbeat comes after everything that the upstream had sent before. What was received is never given
 * up: it waits for a broker that is away. */
static void on_finish_timer(void *arg)
{
    struct connection *c = arg;
    bool live = c->step == LIVE;

    if (live)
        c->finish_end_ms = clock_mono_ms() + c->finish_ms;
    if (c->ended) {
        goodbye_check(c);
        return;
    }
    if (!c->o.holds(c->o.key.shard, c->o.arg))
        return; /* perhaps another's already */
    if (live && !c->asked_last) {
        c->asked_last = true;
        connection_beat(c);
    } else if (pipeline_is_empty(c->pipeline)) {
        bool late = clock_mono_ms() >= c->finish_end_ms;

        if (late)
            LOG_WARN("shard_finished_late", "shard=%u step=%s", c->o.key.shard, connection_step(c));
        if ((live && c->beats == 0) || c->spent || c->step == DOWN || late)
            finish(c);
    }
}

void connection_retire(struct connection *c)
{
    c->retired = true;
    if (!c->leaving && !c->dropped)
        commands_close(c);
}

void connection_finish(struct connection *c, int64_t timeout_ms, void (*left)(unsigned shard, void *arg))
{
    if (c->finish_timer || c->leaving)
        return;
    c->left = left;
    c->finish_ms = timeout_ms;
    c->finish_end_ms = clock_mono_ms() + timeout_ms;
    c->finish_timer = loop_timer_new(on_finish_timer, c);
    loop_timer_start(c->finish_timer, FINISH_TICK_MS, FINISH_TICK_MS);
    if (!c->publishes)
        finish(c); /* it has nothing that another set has not */
}

static void on_leave_timeout(void *arg)
{
    struct connection *c = arg;

    LOG_WARN("shard_left_late", "shard=%u confirmed=%llu", c->o.key.shard,
             (unsigned long long)pipeline_confirmed(c->pipeline));
    connection_drop_left(c);
}

void connection_drop(struct connection *c)
{
    if (c->dropped)
        return;
    c->dropped = true;
    connection_starts_blocked(c, false);
    if (c->step == LIVE)
        connection_live_add(-1);
    c->step = DOWN;
    loop_timer_stop(c->step_timer);
    loop_timer_stop(c->beat_timer);
    loop_timer_stop(c->store_timer);
    if (c->finish_timer)
        loop_timer_stop(c->finish_timer);
    if (c->presence_timer)
        loop_timer_stop(c->presence_timer);
    commands_close(c);
    pipeline_free(c->pipeline);
    c->pipeline = NULL;
    /* on_close checks for the end, at once where the socket was not open yet. */
    if (c->ws)
        ws_client_close(c->ws, CLOSE_KEEP, "moving");
    else
        connection_end_check(c);
}

void connection_leave(struct connection *c, int64_t timeout_ms, void (*left)(unsigned shard, void *arg))
{
    c->left = left;
    if (c->ended)
        return; /* on its way out */
    c->leaving = true;
    if (c->finish_timer)
        loop_timer_stop(c->finish_timer);
    if (c->step == LIVE)
        connection_live_add(-1);
    c->step = WAITING; /* nothing is begun any more */
    commands_close(c);
    loop_timer_stop(c->beat_timer);
    loop_timer_free(c->step_timer);
    c->step_timer = loop_timer_new(on_leave_timeout, c);
    loop_timer_start(c->step_timer, timeout_ms, 0);
    connection_store(c);
    /* on_close checks for the end, at once where the socket was not open yet. */
    if (c->ws)
        ws_client_close(c->ws, CLOSE_KEEP, "moving");
    else
        connection_end_check(c);
}

/* --- the pipeline's questions --- */

static bool may_publish(void *arg)
{
    struct connection *c = arg;

    return c->o.holds(c->o.key.shard, c->o.arg);
}

static void on_pause(bool paused, void *arg)
{
    struct connection *c = arg;

    if (paused != c->paused)
        LOG_INFO(paused ? "shard_paused" : "shard_goes_on", "shard=%u", c->o.key.shard);
    c->paused = paused;
    c->acked = true; /* the answer may wait in the socket */
    if (c->ws)
        ws_client_pause(c->ws, paused);
}

static void on_fenced(void *arg)
{
    struct connection *c = arg;

    if (c->fenced)
        return;
    c->fenced = true;
    if (!c->finish_timer && !c->o.holds(c->o.key.shard, c->o.arg)) /* else: a set that makes room for the next */
        LOG_WARN("shard_fenced", "shard=%u epoch=%llu", c->o.key.shard, (unsigned long long)c->o.epoch);
}

/* --- the public side --- */

struct connection *connection_new(const struct connection_options *o)
{
    struct connection *c = MEM_NEW(struct connection);
    struct pipeline_options po = {.cache = o->cache,
                                  .publisher = o->publisher,
                                  .application = o->key.application,
                                  .shard = o->key.shard,
                                  .set = o->key.set,
                                  .shard_count = o->key.shard_count,
                                  .silent = o->silent,
                                  .crowds = o->crowds,
                                  .may_publish = may_publish,
                                  .confirmed = on_confirmed,
                                  .pause = on_pause,
                                  .fenced = on_fenced,
                                  .arg = c};

    c->o = *o;
    c->publishes = !o->silent;
    c->guild_ms = clock_mono_ms();
    c->pipeline = pipeline_new(&po);
    c->step_timer = loop_timer_new(connection_on_step, c);
    c->beat_timer = loop_timer_new(connection_on_beat, c);
    c->store_timer = loop_timer_new(on_store_timer, c);
    connection_enter(c, LOADING);
    return c;
}

bool connection_is_live(const struct connection *c)
{
    return c->step == LIVE;
}

bool connection_is_down(const struct connection *c)
{
    return c->step == DOWN;
}

void connection_redis_check(struct connection *c)
{
    if (c->step == LIVE && strcmp(c->stored_run, redis_run_id(c->o.key.redis)) != 0)
        connection_store(c);
}

void connection_kick(struct connection *c)
{
    if (c->pipeline)
        pipeline_kick(c->pipeline);
}
