/* IDENTIFY: who is it, may it have these intents and this shard, then READY and its guilds. One coroutine for each.
 * Source: Discord API documentation, "Gateway: Identifying", "Gateway: Sharding", "Gateway Events: Ready". */
#include "gateway/server/server.h"

#include "gateway/server/payloads.h"
#include "gateway/server/requests.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/ports/starts.h"
#include "platform/ports/store/store.h"
#include "platform/protocol/intents.h"

#include <errno.h>
#include <jansson.h>

#define TURN_WAIT_MS 1000
#define TURN_STEP_MS 50

METRIC_DEFINE(identified, METRIC_COUNTER, "guildhall_gateway_identifies_total", "Sessions that got READY");
METRIC_DEFINE(limited, METRIC_COUNTER, "guildhall_gateway_identifies_limited_total",
              "IDENTIFYs answered with op 9 because of the concurrency or the daily limit");

/* What a step answers besides 0 and close codes. */
#define TRY_AGAIN (-1) /* op 9 */

struct identify {
    struct conn *conn;
    struct gateway *g;
    struct arena arena;
    struct identify_request request;
    json_t *presence, *properties;
    struct user user;
    struct application application;
    bool has_application;
    uint64_t *guild_ids;
    unsigned guild_count;
    struct channel *dms;
    unsigned dm_count;
    struct topic *own; /* the user's, pinned */
    struct session *session;
};

/* Errors of store and kv: nobody's fault, the client should come again. */
static int unavailable(const struct identify *i, const char *what, int error)
{
    LOG_WARN("identify failed", "user=%llu step=%s error=%d", (unsigned long long)i->user.id, what, -error);
    return GATEWAY_CLOSE_UNKNOWN_ERROR;
}

static int user_check(struct identify *i)
{
    uint64_t id;

    if (token_verify(i->g->options.tokens, i->request.token, &id) < 0)
        return GATEWAY_CLOSE_AUTHENTICATION_FAILED;
    int r = store_user_get(i->g->ports->db, &i->arena, id, &i->user);
    if (r == -ENOENT)
        return GATEWAY_CLOSE_AUTHENTICATION_FAILED;
    if (r == 0 && i->user.bot) {
        r = store_application_get(i->g->ports->db, &i->arena, id, &i->application);
        i->has_application = r == 0;
    }
    return r == 0 || r == -ENOENT ? 0 : unavailable(i, "user", r);
}

static const struct {
    uint32_t intent;
    int64_t flags; /* either */
} privileged[] = {
    {INTENT_GUILD_MEMBERS, APPLICATION_GATEWAY_GUILD_MEMBERS | APPLICATION_GATEWAY_GUILD_MEMBERS_LIMITED},
    {INTENT_GUILD_PRESENCES, APPLICATION_GATEWAY_PRESENCE | APPLICATION_GATEWAY_PRESENCE_LIMITED},
    {INTENT_MESSAGE_CONTENT, APPLICATION_GATEWAY_MESSAGE_CONTENT | APPLICATION_GATEWAY_MESSAGE_CONTENT_LIMITED},
};

/* People may have every intent, and need not name them. */
static int intents_check(struct identify *i)
{
    if (!i->user.bot) {
        i->request.intents = i->request.has_intents ? i->request.intents : INTENTS_ALL;
        return 0;
    }
    if (!i->request.has_intents)
        return GATEWAY_CLOSE_INVALID_INTENTS;
    for (size_t n = 0; n < sizeof privileged / sizeof *privileged; n++)
        if (i->request.intents & privileged[n].intent &&
            !(i->has_application && i->application.flags & privileged[n].flags))
            return GATEWAY_CLOSE_DISALLOWED_INTENTS;
    return 0;
}

/* Clients that are refused at once ask again at once: eris spends all its sends of the minute in that way. So a
 * refusal takes its time, but not longer than until the next IDENTIFY would be taken. */
static void turn_wait(const struct identify *i, int64_t wait_ms)
{
    int64_t end_ms = clock_mono_ms() + (wait_ms < TURN_WAIT_MS ? wait_ms : TURN_WAIT_MS);

    while (i->conn->ws && clock_mono_ms() < end_ms)
        co_sleep(TURN_STEP_MS);
}

/* Where kv is away, nobody is kept out. */
static int limits_check(struct identify *i)
{
    struct start_limits l = start_limits_of(i->has_application ? &i->application : NULL, i->g->options.max_concurrency);
    int64_t wait_ms;

    if (!i->user.bot || !i->g->options.limits)
        return 0;
    if (start_take(i->g->ports->kv, i->user.id, i->request.shard, &l, &wait_ms) < 0 || wait_ms == 0)
        return 0;
    metric_add(&limited, 1);
    turn_wait(i, wait_ms);
    return TRY_AGAIN;
}

/* The session listens to its user's topic before its guilds are read, so that one it joins meanwhile is not missed. */
static int own_topic(struct identify *i)
{
    int r = topic_acquire(i->g, i->user.id, true, &i->own);

    if (r < 0)
        return unavailable(i, "topic", r);
    struct session *s = i->session = session_ref(session_new(i->g, NULL));
    s->token = mem_strndup(i->request.token.p, i->request.token.n);
    s->user_id = i->user.id;
    s->is_bot = i->user.bot;
    s->compress = i->request.compress;
    s->intents = i->request.intents;
    s->shard = i->request.shard;
    s->shard_count = i->request.shard_count;
    s->large_threshold = i->request.large_threshold;
    session_log_begin(s);
    topic_sub_add(i->own, s, NULL);
    return presence_begin(s, i->presence, i->properties);
}

static int guilds_read(struct identify *i)
{
    unsigned count = 0;
    int r = store_user_guild_ids(i->g->ports->db, &i->arena, i->user.id, &i->guild_ids, &i->guild_count);

    if (r < 0)
        return unavailable(i, "guilds", r);
    for (unsigned n = 0; n < i->guild_count; n++)
        if (session_has_guild(i->session, i->guild_ids[n]))
            i->guild_ids[count++] = i->guild_ids[n];
    i->guild_count = count;
    if (i->user.bot && count > i->g->options.guilds_per_session)
        return GATEWAY_CLOSE_SHARDING_REQUIRED;
    if (i->user.bot || i->request.shard != 0)
        return 0;
    r = store_user_dms(i->g->ports->db, &i->arena, i->user.id, &i->dms, &i->dm_count);
    return r == 0 ? 0 : unavailable(i, "dms", r);
}

/* A DM's own user is not among the recipients it is shown. */
static void dms_trim(struct identify *i)
{
    for (unsigned n = 0; n < i->dm_count; n++) {
        struct channel *c = &i->dms[n];
        unsigned kept = 0;
        for (unsigned k = 0; k < c->recipient_count; k++)
            if (c->recipients[k].id != i->user.id)
                c->recipients[kept++] = c->recipients[k];
        c->recipient_count = kept;
    }
}

static int ready_send(struct identify *i)
{
    struct session *s = i->session;
    BUF_AUTO struct buf data = {0};

    if (i->g->draining)
        return GATEWAY_CLOSE_UNKNOWN_ERROR;
    if (s->ended) /* the topic failed or the token was revoked meanwhile */
        return TRY_AGAIN;
    dms_trim(i);
    struct ready_view v = {.version = i->conn->version,
                           .user = &i->user,
                           .application = i->has_application ? &i->application : NULL,
                           .guild_ids = i->guild_ids,
                           .guild_count = i->guild_count,
                           .dms = i->dms,
                           .dm_count = i->dm_count,
                           .session_id = s->id,
                           .resume_gateway_url = i->g->public_url,
                           .shard = i->request.shard,
                           .shard_count = i->request.shard_count};
    payload_ready(&data, &v);
    session_attach(s, i->conn);
    session_dispatch_own(s, EVENT_READY, &data);
    if (!s->logged) /* nobody asks for it again: who has not got it does not know the session */
        replay_trim(&s->replay, 0);
    s->starting = false;
    metric_add(&identified, 1);
    LOG_DEBUG("session", "id=%s user=%llu shard=%u/%u guilds=%u", s->id, (unsigned long long)i->user.id, s->shard,
              s->shard_count, i->guild_count);
    loader_begin(s, i->guild_ids, i->guild_count);
    return 0;
}

static int (*const identify_steps[])(struct identify *i) = {user_check, intents_check, limits_check,
                                                            own_topic,  guilds_read,   ready_send};

static void identify_run(void *arg)
{
    struct identify *i = arg;
    struct conn *c = i->conn;
    struct gateway *g = i->g;
    int r = 0;

    for (size_t n = 0; r == 0 && n < sizeof identify_steps / sizeof *identify_steps; n++) {
        r = identify_steps[n](i);
        if (!c->ws || c->step != CONN_IDENTIFYING)
            break;
    }
    bool live = i->session && c->session == i->session;
    if (i->session && !live)
        session_end(i->session);
    if (r == TRY_AGAIN)
        conn_invalidate(c, false);
    else if (r)
        conn_close(c, r);
    if (i->session)
        session_unref(i->session);
    if (i->own)
        topic_release(i->own);
    json_decref(i->presence);
    json_decref(i->properties);
    arena_done(&i->arena);
    mem_free(i);
    conn_unref(c);
    gateway_leave(g);
}

int identify_begin(struct conn *c, const struct json_t *d)
{
    struct identify *i = MEM_NEW(struct identify);
    int close = identify_read(d, &i->arena, &i->request);

    if (!close) {
        i->conn = conn_ref(c);
        i->g = c->g;
        i->presence = json_incref(json_object_get(d, "presence"));
        i->properties = json_incref(json_object_get(d, "properties"));
        c->step = CONN_IDENTIFYING;
        if (gateway_spawn(c->g, identify_run, i) == 0)
            return 0;
        conn_unref(c);
        json_decref(i->presence);
        json_decref(i->properties);
        close = GATEWAY_CLOSE_UNKNOWN_ERROR;
    }
    arena_done(&i->arena);
    mem_free(i);
    return close;
}
