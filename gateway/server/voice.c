/* Voice states: op 4 becomes the user's entry in the guild, what entries say becomes VOICE_STATE_UPDATE, and
 * VOICE_SERVER_UPDATE to the session that is connected. A user is in one channel of a guild with one session; the last
 * that asks has it. Loop thread; what reaches kv runs on coroutines.
 * Source: Discord API documentation, "Gateway Events: Update Voice State", "Topics: Voice Connections". */
#include "gateway/server/server.h"

#include "gateway/server/requests.h"
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/snowflake.h"
#include "platform/io/co.h"
#include "platform/model/voice.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/json_text.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#define TRIES       8
#define TOKEN_BYTES 12
#define RETRY_MS    20

/* --- what is there ---------------------------------------------------------------------------------------------------
 */
static struct entries *voices(const struct topic *t)
{
    return &t->standing->kinds[KV_VOICE];
}

static bool voice_of(const struct topic *t, uint64_t user_id, struct voice_state *ret)
{
    uint64_t version;
    struct str value = t->standing ? entries_value(voices(t), user_id, STR(""), &version) : STR_NONE;

    return value.p && voice_value_read(value, user_id, ret) == 0;
}

/* Others than user_id in a channel; one of them when there is any. */
static unsigned others_in(const struct topic *t, uint64_t channel_id, uint64_t user_id, struct voice_state *ret_one)
{
    unsigned count = 0;
    size_t cursor = 0;

    for (struct entries_user *u; (u = map_next(&voices(t)->users, &cursor));) {
        struct voice_state v;
        if (u->user_id == user_id || !voice_of(t, u->user_id, &v) || v.channel_id != channel_id)
            continue;
        count++;
        *ret_one = v;
    }
    return count;
}

static bool mine(const struct topic *t, const struct voice_state *v)
{
    return str_eq(v->owner, str_c(t->g->standings->owner));
}

/* --- changing --------------------------------------------------------------------------------------------------------
 */
/* The entry as kv has it now: a change is made on exactly that. */
struct held {
    struct arena arena;
    struct str field, value;
    struct voice_state now; /* when value.n */
};

static int held_read(struct topic *t, uint64_t user_id, struct held *h)
{
    *h = (struct held){0};
    h->field = arena_printf(&h->arena, "%llu", (unsigned long long)user_id);
    int r = kv_entry_get(t->g->ports->kv, &h->arena, KV_VOICE, t->id, h->field, &h->value);
    if (r == 0 && voice_value_read(h->value, user_id, &h->now) < 0)
        r = -EIO;
    return r == -ENOENT ? 0 : r;
}

static int held_put(struct topic *t, struct held *h, const struct voice_state *next, struct kv_change c)
{
    BUF_AUTO struct buf value = {0};

    if (next)
        voice_value_write(&value, next);
    c.kind = KV_VOICE;
    c.topic = t->id;
    c.field = h->field;
    c.value = buf_str(&value);
    c.expect = h->value;
    int r = standing_change(t, &c);
    return r == -EALREADY ? 0 : r;
}

/* A guild's voice work for one user that nobody asked for: a session went, came from another node, or kv forgot. */
struct errand {
    struct topic *topic;
    uint64_t user_id;
    char session_id[SESSION_ID_CHARS + 1];
};

/* What the entry must become: gone without its session, this node's with it. */
static int errand_try(struct errand *e)
{
    struct topic *t = e->topic;
    struct held h;
    uint64_t version = 0;
    int r = held_read(t, e->user_id, &h);
    struct session *s = session_find(t->g, str_c(e->session_id));
    bool lives = s && !s->ended && topic_sub_find(t, s);
    struct voice_state v;

    if (r == 0 && !h.value.n && lives && voice_of(t, e->user_id, &v) && str_eq(v.session_id, str_c(e->session_id))) {
        (void)entries_value(voices(t), e->user_id, STR(""), &version);
        if (version == 0) /* of an incarnation before */
            r = held_put(t, &h, &v, (struct kv_change){0});
    } else if (r == 0 && h.value.n && str_eq(h.now.session_id, str_c(e->session_id)) && (lives || mine(t, &h.now))) {
        v = h.now;
        v.owner = str_c(t->g->standings->owner);
        r = held_put(t, &h, lives ? &v : NULL, (struct kv_change){0});
    }
    arena_done(&h.arena);
    return r;
}

static void errand_run(void *arg)
{
    struct errand *e = arg;
    struct topic *t = e->topic;
    struct gateway *g = t->g;
    int r;

    for (int i = 0; (r = errand_try(e)) < 0 && i < TRIES && !g->stopping && !t->stale; i++)
        co_sleep(RETRY_MS << i);
    if (r < 0)
        LOG_WARN("voice state not settled", "guild=%llu user=%llu error=%d", (unsigned long long)t->id,
                 (unsigned long long)e->user_id, -r);
    topic_release(t);
    mem_free(e);
    gateway_leave(g);
}

static void errand_send(struct topic *t, uint64_t user_id, struct str session_id)
{
    if (t->g->stopping || t->state != TOPIC_LIVE || session_id.n > SESSION_ID_CHARS)
        return;
    struct errand *e = MEM_NEW(struct errand);
    *e = (struct errand){.topic = t, .user_id = user_id};
    memcpy(e->session_id, session_id.p, session_id.n);
    topic_pin(t);
    if (gateway_spawn(t->g, errand_run, e) == 0)
        return;
    topic_release(t);
    mem_free(e);
}

void voice_sub_changed(struct topic *t, const struct session *s)
{
    struct voice_state v;

    /* one that was handed over is taken by the node that has it now */
    if (!s->handed && voice_of(t, s->user_id, &v) && str_eq(v.session_id, str_c(s->id)))
        errand_send(t, s->user_id, v.session_id);
}

void voice_own_check(struct topic *t)
{
    struct voice_state v;
    size_t cursor = 0;

    for (struct entries_user *u; (u = map_next(&voices(t)->users, &cursor));) {
        if (!voice_of(t, u->user_id, &v) || !mine(t, &v))
            continue;
        const struct session *s = session_find(t->g, v.session_id);
        if (!s || u->first->version == 0)
            errand_send(t, u->user_id, v.session_id);
    }
}

/* --- op 4 ------------------------------------------------------------------------------------------------------------
 */
struct voice_request {
    struct list item;
    struct voice_state_request r;
};

static void token_make(char out[2 * TOKEN_BYTES + 1])
{
    unsigned char bytes[TOKEN_BYTES];

    CHECK(getrandom(bytes, sizeof bytes, 0) == sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static bool is_true(struct str object, const char *key)
{
    return str_eq(json_member(object, str_c(key)), STR("true"));
}

/* Nobody speaks on a stage before it is let; in the channel for the absent nobody does. */
static bool suppressed(const struct topic *t, unsigned slot, uint64_t permissions)
{
    const struct channel *c = &t->guild->channels[slot].channel;

    return c->type == CHANNEL_GUILD_STAGE_VOICE || !(permissions & PERMISSION_SPEAK) ||
           c->id == json_member_id(t->guild->json, STR("afk_channel_id"));
}

/* May the member join, and under which condition. Refused is not answered (source: "Voice Connections": "you will not
 * receive the Voice State Update"). */
static bool may_join(const struct topic *t, const struct sub *sub, unsigned slot, uint64_t permissions,
                     struct kv_change *ret)
{
    const uint64_t needed = PERMISSION_VIEW_CHANNEL | PERMISSION_CONNECT;
    const struct state_channel *c = &t->guild->channels[slot];
    uint64_t limit = 0;
    struct voice_state one;

    if (!channel_is_voice(c->channel.type) || (permissions & needed) != needed)
        return false;
    (void)json_u64(json_member(c->json, STR("user_limit")), &limit);
    if (!limit || permissions & PERMISSION_MOVE_MEMBERS)
        return true;
    /* exact, because the change is made only where nothing else changed meanwhile */
    ret->if_version = true;
    ret->version = voices(t)->version;
    return others_in(t, c->channel.id, sub->user_id, &one) < limit;
}

static int join(struct topic *t, struct session *s, struct held *h, const struct voice_state_request *r)
{
    const struct sub *sub = topic_sub_find(t, s);
    int slot = guild_state_slot(t->guild, r->channel_id);
    struct voice_state next = h->now, other;
    struct kv_change c = {0};
    char token[2 * TOKEN_BYTES + 1];

    if (!sub || s->ended || slot < 0)
        return 0;
    uint64_t permissions = guild_state_permissions(t->guild, sub->member, (unsigned)slot);
    bool stays = h->value.n && h->now.channel_id == r->channel_id;
    if (!stays && !may_join(t, sub, (unsigned)slot, permissions, &c))
        return 0;
    if (!stays) {
        next = (struct voice_state){.user_id = s->user_id, .channel_id = r->channel_id};
        next.start_s = others_in(t, r->channel_id, s->user_id, &other) ? other.start_s : clock_wall_ms() / 1000;
        next.suppress = suppressed(t, (unsigned)slot, permissions);
    }
    if (!stays || !str_eq(h->now.session_id, str_c(s->id))) {
        token_make(token);
        next.token = str_c(token);
    }
    next.owner = str_c(t->g->standings->owner);
    next.session_id = str_c(s->id);
    next.member = sub->member->json;
    next.mute = is_true(sub->member->json, "mute");
    next.deaf = is_true(sub->member->json, "deaf");
    next.self_mute = r->self_mute;
    next.self_deaf = r->self_deaf;
    next.self_video = r->self_video;
    return held_put(t, h, &next, c);
}

static int request_try(struct topic *t, struct session *s, const struct voice_state_request *r)
{
    struct held h;
    int error = held_read(t, s->user_id, &h);

    if (error == 0 && r->channel_id)
        error = join(t, s, &h, r);
    else if (error == 0 && h.value.n)
        error = held_put(t, &h, NULL, (struct kv_change){0});
    arena_done(&h.arena);
    return error;
}

static void request_do(struct session *s, const struct voice_state_request *r)
{
    struct topic *t = map_get(&s->g->topics, r->guild_id);
    int error;

    if (!t || !t->standing || !topic_sub_find(t, s))
        return;
    topic_pin(t);
    for (int i = 0; (error = request_try(t, s, r)) < 0 && i < TRIES && !s->ended && !t->stale; i++) {
        co_sleep(RETRY_MS << i);
        if (error == -EAGAIN && i > 2)
            standing_reload(t, KV_VOICE);
    }
    if (error < 0)
        LOG_WARN("voice state not taken", "guild=%llu user=%llu error=%d", (unsigned long long)r->guild_id,
                 (unsigned long long)s->user_id, -error);
    topic_release(t);
}

static void requests_run(void *arg)
{
    struct session *s = arg;
    struct gateway *g = s->g;

    while (!list_empty(&s->voice.requests)) {
        struct voice_request *q = LIST_ENTRY(s->voice.requests.next, struct voice_request, item);
        list_remove(&q->item);
        if (!s->ended)
            request_do(s, &q->r);
        mem_free(q);
    }
    s->voice.running = false;
    session_unref(s);
    gateway_leave(g);
}

/* One after the other: the last counts. How many may wait is bounded by what a client may send in a minute. */
int voice_update(struct session *s, const struct json_t *d)
{
    struct voice_request *q = MEM_NEW(struct voice_request);
    int close = voice_state_read(d, &q->r);

    if (close || !q->r.guild_id) { /* a call in a DM: there are none */
        mem_free(q);
        return close;
    }
    list_append(&s->voice.requests, &q->item);
    if (s->voice.running)
        return 0;
    s->voice.running = true;
    session_ref(s);
    if (gateway_spawn(s->g, requests_run, s) == 0)
        return 0;
    s->voice.running = false;
    list_remove(&q->item);
    mem_free(q);
    session_unref(s);
    return GATEWAY_CLOSE_UNKNOWN_ERROR;
}

/* --- to clients ------------------------------------------------------------------------------------------------------
 */
static void server_update(struct topic *t, const struct voice_state *v)
{
    struct session *s = session_find(t->g, v->session_id);
    BUF_AUTO struct buf data = {0};

    if (!s || s->ended || s->user_id != v->user_id)
        return;
    jw_obj(&data);
    jw_kstr(&data, "token", v->token);
    jw_kid(&data, "guild_id", t->id);
    jw_kcstr(&data, "endpoint", t->g->voice_endpoint);
    jw_obj_end(&data);
    session_dispatch_own(s, EVENT_VOICE_SERVER_UPDATE, &data);
}

static void start_time_tell(struct topic *t, uint64_t channel_id, int64_t start_s)
{
    BUF_AUTO struct buf data = {0};

    jw_obj(&data);
    jw_kid(&data, "id", channel_id);
    jw_kid(&data, "guild_id", t->id);
    if (start_s)
        jw_ki64(&data, "voice_start_time", start_s);
    else
        jw_knull(&data, "voice_start_time");
    jw_obj_end(&data);
    struct event e = {.id = snowflake_next(),
                      .topic = t->id,
                      .type = EVENT_VOICE_CHANNEL_START_TIME_UPDATE,
                      .channel_id = channel_id,
                      .data = buf_str(&data)};
    dispatch_event(t, &e);
}

static void start_times(struct topic *t, uint64_t user_id, uint64_t from, const struct voice_state *to)
{
    struct voice_state one;

    if (from && from != to->channel_id && !others_in(t, from, user_id, &one))
        start_time_tell(t, from, 0);
    if (to->channel_id && from != to->channel_id && !others_in(t, to->channel_id, user_id, &one))
        start_time_tell(t, to->channel_id, to->start_s);
}

static void state_tell(struct topic *t, const struct voice_state *was, const struct voice_state *is)
{
    const struct voice_state *any = is->channel_id ? is : was;
    BUF_AUTO struct buf before = {0}, after = {0}, now = {0}, gone = {0};

    voice_state_write(&before, t->id, was, true, false);
    voice_state_write(&after, t->id, is, true, false);
    if (str_eq(buf_str(&before), buf_str(&after))) /* another node has it now, the member has another nick */
        return;
    voice_state_write(&now, t->id, any, is->channel_id != 0, true);
    voice_state_write(&gone, t->id, any, false, true);
    dispatch_voice_state(t, any->user_id, was->channel_id, is->channel_id, buf_str(&now), buf_str(&gone));
}

void voice_changed(struct entries_user *u, struct str old, void *topic)
{
    struct topic *t = topic;
    struct voice_state was = {0}, is = {0}, one;

    if (voice_status_changed(t, u, old))
        return;
    if (!u->shown || !old.n || voice_value_read(old, u->user_id, &was) < 0)
        was = (struct voice_state){.user_id = u->user_id};
    if (!voice_of(t, u->user_id, &is))
        is = (struct voice_state){.user_id = u->user_id};
    u->shown = is.channel_id != 0;
    if ((!was.channel_id && !is.channel_id) || t->state != TOPIC_LIVE || t->stale)
        return;
    state_tell(t, &was, &is);
    start_times(t, u->user_id, was.channel_id, &is);
    if (is.channel_id && mine(t, &is) && !str_eq(was.token, is.token))
        server_update(t, &is);
    if (was.channel_id && was.channel_id != is.channel_id && !others_in(t, was.channel_id, u->user_id, &one))
        voice_status_drop(t, was.channel_id);
}

/* Told while the channel's slot is still there; whose session is here is then removed from kv. */
void voice_channel_gone(struct topic *t, uint64_t channel_id)
{
    size_t cursor = 0;

    voice_status_drop(t, channel_id);
    for (struct entries_user *u; t->standing && (u = map_next(&voices(t)->users, &cursor));) {
        struct voice_state v, none = {.user_id = u->user_id};
        if (!voice_of(t, u->user_id, &v) || v.channel_id != channel_id || !u->shown)
            continue;
        state_tell(t, &v, &none);
        u->shown = 0;
        struct session *s = mine(t, &v) ? session_find(t->g, v.session_id) : NULL;
        if (!s)
            continue;
        struct voice_request *q = MEM_NEW(struct voice_request);
        q->r = (struct voice_state_request){.guild_id = t->id};
        list_append(&s->voice.requests, &q->item);
        if (s->voice.running)
            continue;
        s->voice.running = true;
        session_ref(s);
        if (gateway_spawn(t->g, requests_run, s) < 0) {
            s->voice.running = false;
            session_unref(s);
        }
    }
}

void voice_end(struct session *s)
{
    LIST_FOREACH_SAFE(it, &s->voice.requests)
    {
        list_remove(it);
        mem_free(LIST_ENTRY(it, struct voice_request, item));
    }
}

static bool shown_to(const struct sub *sub, const struct voice_state *v)
{
    int slot = guild_state_slot(sub->topic->guild, v->channel_id);

    return v->user_id == sub->user_id ||
           (slot >= 0 && guild_state_visible(sub->topic->guild, sub->member, (unsigned)slot));
}

void voice_lists_write(const struct sub *sub, struct buf *states, struct buf *members)
{
    const struct topic *t = sub->topic;
    struct voice_state v;
    size_t cursor = 0;

    jw_arr(states);
    for (struct entries_user *u; (u = map_next(&voices(t)->users, &cursor));) {
        if (!voice_of(t, u->user_id, &v) || !shown_to(sub, &v))
            continue;
        voice_state_write(states, 0, &v, true, false);
        const struct state_member *known = guild_state_member(t->guild, u->user_id);
        if (u->user_id != sub->user_id)
            jw_raw(members, known ? known->json : v.member);
    }
    jw_arr_end(states);
}

/* Seconds since the epoch; 0: nobody is in it. */
int64_t voice_start_s(const struct topic *t, uint64_t channel_id)
{
    struct voice_state one;

    return others_in(t, channel_id, 0, &one) ? one.start_s : 0;
}
