/* RESUME of a session that another node had, or may have by now. The record in kv says who has it; it is claimed by
 * compare-and-set, from a node that let go of it, that is gone, or that does not answer. Then its replay buffer comes
 * from that node's log, and what its topics had since from the outbox. Whatever cannot be known for certain gets op 9.
 * One coroutine for each RESUME. Limits: LIMIT_ADOPT_MS, LIMIT_RELEASE_ASK_MS. */
#include "gateway/server/server.h"

#include "gateway/server/log_reader.h"
#include "gateway/server/members_open.h"
#include "gateway/server/requests.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/base/snowflake.h"
#include "platform/io/co.h"
#include "platform/ports/kv.h"
#include "platform/ports/store/store.h"
#include "platform/protocol/json_text.h"

#include <errno.h>
#include <stdio.h>

#define STEP_MS       20
#define ASK_STEP_MS   10
#define SILENT_MAX    1024
#define CLAIM_KEEP_MS LIMIT_SESSION_RECORD_MS

METRIC_DEFINE(adopted, METRIC_COUNTER, "guildhall_gateway_sessions_adopted_total",
              "Sessions taken over from other nodes");
METRIC_DEFINE(adopt_failed, METRIC_COUNTER, "guildhall_gateway_sessions_not_adopted_total",
              "RESUMEs of other nodes' sessions answered with op 9 or 4000");

struct adoption {
    struct gateway *g;
    struct conn *conn;
    struct arena arena;
    char id[SESSION_ID_CHARS + 1];
    char *token;
    uint64_t user_id, seq;
    int64_t deadline_ms;
    /* what is found */
    struct session_record record;
    char *owner; /* of the record when it was claimed */
    struct log_reader *reader;
    const struct log_line *lines;
    unsigned line_count;
    uint64_t last;
    struct topic *own; /* the user's, pinned */
    uint64_t own_number;
    uint64_t *guild_ids, *numbers;
    unsigned guild_count;
    struct past_home homes[PAST_HOMES_MAX];
    unsigned home_count;
    struct str requests; /* op 8 under way */
};

/* --- asking the node that has it -------------------------------------------------------------------------------------
 */
static bool is_silent(struct gateway *g, struct str node)
{
    const int64_t *since = smap_get(&g->silent, node);

    return since && clock_mono_ms() - *since < LIMIT_NODE_LEASE_MS;
}

static void set_silent(struct gateway *g, struct str node, bool silent)
{
    mem_free(smap_del(&g->silent, node));
    if (!silent || g->silent.count >= SILENT_MAX)
        return;
    int64_t *since = MEM_NEW(int64_t);
    *since = clock_mono_ms();
    (void)smap_put(&g->silent, node, since);
}

static void ask_write(const struct adoption *a, uint64_t nonce, struct buf *out)
{
    jw_obj(out);
    jw_kcstr(out, "session_id", a->id);
    jw_kid(out, "user_id", a->user_id);
    jw_kid(out, "nonce", nonce);
    jw_obj_end(out);
}

/* 0: it has let go of it. -ENOENT: it does not have it. -ETIMEDOUT: no answer. */
static int ask(struct adoption *a, const char *node)
{
    BUF_AUTO struct buf data = {0};
    struct event e = {.id = snowflake_next(), .type = EVENT_CONTROL_SESSION_RELEASE, .topic = a->user_id};
    int64_t deadline_ms = clock_mono_ms() + LIMIT_RELEASE_ASK_MS;
    char key[48];

    if (is_silent(a->g, str_c(node)))
        return -ETIMEDOUT;
    ask_write(a, e.id, &data);
    e.data = buf_str(&data);
    snprintf(key, sizeof key, "release:%llu", (unsigned long long)e.id);
    int r = bus_publish(a->g->ports->bus, &e, &node, 1);
    while (r == 0 && clock_mono_ms() < deadline_ms) {
        struct str answer;
        if (kv_get(a->g->ports->kv, &a->arena, key, &answer) == 0) {
            set_silent(a->g, str_c(node), false);
            return str_eq(answer, STR("released")) ? 0 : -ENOENT;
        }
        co_sleep(ASK_STEP_MS);
    }
    set_silent(a->g, str_c(node), true);
    return -ETIMEDOUT;
}

/* A live node, by its id or by the first characters of its sessions' ids. NULL: none but this one. */
static int node_find(struct adoption *a, struct str id, const char **ret)
{
    struct kv_node *nodes;
    unsigned count;
    char chars[SESSION_NODE_CHARS + 1];
    int r = kv_nodes_list(a->g->ports->kv, &a->arena, &nodes, &count);

    *ret = NULL;
    for (unsigned i = 0; r == 0 && i < count && !*ret; i++) {
        const char *node = arena_strdup(&a->arena, nodes[i].id);
        session_node_chars(node, chars);
        if (strcmp(node, a->g->node_id) != 0 &&
            (id.p ? str_eq(id, nodes[i].id) : strncmp(chars, a->id, SESSION_NODE_CHARS) == 0))
            *ret = node;
    }
    return r;
}

/* --- claiming --------------------------------------------------------------------------------------------------------
 */
static int claim(struct adoption *a)
{
    int r = kv_session_claim(a->g->ports->kv, a->id, a->owner, session_log_owner(a->g), CLAIM_KEEP_MS);

    if (r == -EBUSY)
        co_sleep(STEP_MS);
    return r == -EBUSY ? -EAGAIN : r;
}

/* There is a record. 0: it is ours now. -EAGAIN: look again. */
static int claim_recorded(struct adoption *a, struct str value)
{
    const char *node, *slash = strrchr(a->owner, '/');

    if (session_record_read(value, &a->arena, &a->record) < 0 || !slash || a->record.user_id != a->user_id)
        return -ENOENT;
    bool moved = strcmp(a->owner, session_record_owner(&a->record, &a->arena)) != 0; /* the owner has not written it */
    bool complete = a->record.released || a->record.is_bot;
    if (a->record.released && !moved)
        return claim(a);
    int r = node_find(a, (struct str){a->owner, (size_t)(slash - a->owner)}, &node);
    if (r < 0)
        return r;
    if (node && ask(a, node) == 0)
        return -EAGAIN;
    /* gone, an earlier run of this one, or without an answer: that one finds out when it writes the record */
    return complete ? claim(a) : -ENOENT;
}

/* There is none: a person's session, which only its node knows. */
static int claim_unrecorded(struct adoption *a)
{
    const char *node;
    int r = node_find(a, STR_NONE, &node);

    if (r < 0)
        return r;
    return node && ask(a, node) == 0 ? -EAGAIN : -ENOENT;
}

static int look_and_claim(struct adoption *a)
{
    struct str owner, value;
    int r = kv_session_get(a->g->ports->kv, &a->arena, a->id, &owner, &value);

    if (r == -ENOENT)
        return claim_unrecorded(a);
    if (r < 0)
        return r;
    a->owner = arena_strdup(&a->arena, owner);
    return claim_recorded(a, value);
}

/* --- finding out where it was ----------------------------------------------------------------------------------------
 */
static uint64_t number_in_record(const struct session_record *r, uint64_t topic)
{
    for (unsigned i = 0; i < r->topic_count; i++)
        if (r->topics[i] == topic)
            return r->numbers[i];
    return KV_LOG_NUMBER_UNKNOWN;
}

/* The user's number in the log says, too, whether the numbers still mean the same: they belong to a run of kv. */
static int own_number(struct adoption *a)
{
    int r = kv_log_numbers(a->g->ports->kv, a->record.run, &a->user_id, 1, &a->own_number);

    if (r == 0 && a->own_number == KV_LOG_NUMBER_UNKNOWN)
        return -ENODATA;
    if (r == 0 && a->record.released)
        a->own_number = number_in_record(&a->record, a->user_id);
    return r == 0 && a->own_number == KV_LOG_NUMBER_UNKNOWN ? -ENODATA : r;
}

/* Of its guilds, which may be many thousands. */
static void numbers_in_record(struct adoption *a)
{
    struct map places = {0};

    for (unsigned i = 0; i < a->record.topic_count; i++)
        (void)map_put(&places, a->record.topics[i], &a->record.numbers[i]);
    for (unsigned i = 0; i < a->guild_count; i++) {
        const uint64_t *number = map_get(&places, a->guild_ids[i]);
        a->numbers[i] = number ? *number : KV_LOG_NUMBER_UNKNOWN;
    }
    map_done(&places);
}

static int guilds_read(struct adoption *a)
{
    struct session_record *rec = &a->record;
    unsigned count = 0;
    int r = store_user_guild_ids(a->g->ports->db, &a->arena, a->user_id, &a->guild_ids, &a->guild_count);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < a->guild_count; i++)
        if ((a->guild_ids[i] >> 22) % rec->shard_count == rec->shard)
            a->guild_ids[count++] = a->guild_ids[i];
    a->guild_count = count;
    a->numbers = ARENA_ARRAY(&a->arena, uint64_t, count + 1);
    if (!rec->released)
        return kv_log_numbers(a->g->ports->kv, rec->run, a->guild_ids, count, a->numbers);
    numbers_in_record(a);
    return 0;
}

/* The lines without a left out one among them that are needed. */
static int log_read(struct adoption *a)
{
    int r = log_reader_open(a->g, a->record.run, &a->reader);

    if (r == 0)
        r = log_reader_session(a->reader, &a->record, &a->lines, &a->line_count, &a->last);
    if (r < 0)
        return r == -EINVAL ? -ENODATA : r;
    for (unsigned i = a->line_count; i-- > 0;)
        if (!log_line_encoded(a->reader, &a->lines[i])) {
            a->lines += i + 1;
            a->line_count -= i + 1;
            break;
        }
    return a->seq <= a->last && a->last - a->seq <= a->line_count ? 0 : -ENODATA;
}

static void home_add(struct adoption *a, const struct log_reader *reader, uint64_t entry, int64_t left_ms)
{
    if (a->home_count < PAST_HOMES_MAX)
        a->homes[a->home_count++] = (struct past_home){past_ref(log_reader_past(reader)), entry, left_ms};
}

/* Where it came from: up to the entry at which it let go; when it did not, up to the last one now, for it may only have
 * slept, and go on with its log. Then the homes before that one, whose logs may be gone. */
static int homes_read(struct adoption *a)
{
    const struct session_record *rec = &a->record;
    int64_t now_ms = clock_wall_ms();
    int r = 0;

    home_add(a, a->reader, rec->released ? rec->entry : log_reader_last(a->reader), now_ms);
    for (unsigned i = 0; r == 0 && i < rec->home_count; i++) {
        struct log_reader *reader;
        if (now_ms - rec->homes[i].left_ms > LIMIT_PAST_MS)
            break;
        r = log_reader_open(a->g, rec->homes[i].run, &reader);
        if (r == 0) {
            home_add(a, reader, rec->homes[i].entry, rec->homes[i].left_ms);
            log_reader_release(reader);
        }
    }
    return r == -EINVAL ? 0 : r;
}

static void homes_drop(struct adoption *a)
{
    while (a->home_count)
        past_unref(a->homes[--a->home_count].past);
}

static int own_topic(struct adoption *a)
{
    int r = topic_acquire(a->g, a->user_id, true, &a->own);

    return r == 0 ? recent_reach(a->own, a->own_number) : r;
}

static int requests_read(struct adoption *a)
{
    return members_open_get(a->g->ports->kv, &a->arena, a->id, &a->requests);
}

/* Numbers before the log: what is dispatched in between, by a node that only seemed to be gone, is then in the log. */
static int (*const adopt_steps[])(struct adoption *a) = {own_number, guilds_read,   log_read,
                                                         homes_read, requests_read, own_topic};

/* --- going on with it ------------------------------------------------------------------------------------------------
 */
static void ring_fill(struct adoption *a, struct session *s)
{
    s->known = MEM_NEW(struct map);
    for (unsigned i = 0; i < a->line_count; i++) {
        const struct log_line *l = &a->lines[i];
        struct encoded *e = log_line_encoded(a->reader, l);
        enum redaction redaction = l->redaction < REDACTION_COUNT ? (enum redaction)l->redaction : REDACTION_ALL;
        replay_push(&s->replay, e, redaction);
        if (encoded_event_id(e))
            (void)map_put(s->known, encoded_event_id(e), s);
        if (s->logged)
            session_log_copy(s, l->seq, e, redaction);
    }
    s->seq = s->released = a->last;
}

static struct session *session_make(struct adoption *a)
{
    const struct session_record *rec = &a->record;
    struct session *s = session_ref(session_new(a->g, a->id));

    s->starting = false;
    s->token = mem_strdup(a->token);
    s->user_id = rec->user_id;
    s->is_bot = rec->is_bot;
    s->compress = rec->compress;
    if (rec->presence.p)
        s->presence.value = (struct str){mem_strndup(rec->presence.p, rec->presence.n), rec->presence.n};
    s->presence.device = (unsigned char)rec->device;
    s->intents = rec->intents;
    s->shard = rec->shard;
    s->shard_count = rec->shard_count;
    s->large_threshold = rec->large_threshold;
    session_log_begin(s);
    s->recorded = s->adopted = true;
    s->homes = mem_alloc(sizeof *s->homes * a->home_count);
    memcpy(s->homes, a->homes, sizeof *s->homes * a->home_count);
    s->home_count = a->home_count;
    a->home_count = 0; /* its references now */
    ring_fill(a, s);
    topic_sub_add(a->own, s, NULL);
    return s;
}

/* What the user's topic said meanwhile. */
struct catching_up {
    struct session *session;
    struct sub *own;
    struct map told; /* guilds that were joined or left */
};

static void guild_gone(struct session *s, uint64_t guild_id)
{
    BUF_AUTO struct buf data = {0};

    jw_obj(&data);
    jw_kid(&data, "id", guild_id);
    jw_obj_end(&data);
    if (session_wants(s, EVENT_GUILD_DELETE, true))
        session_dispatch_own(s, EVENT_GUILD_DELETE, &data);
}

static void own_event(const struct event *e, void *arg)
{
    struct catching_up *c = arg;
    uint64_t guild_id = json_member_id(e->data, STR("guild_id"));

    if (event_scope_of(e->type) != EVENT_SCOPE_CONTROL) {
        if (!map_get(c->session->known, e->id))
            (void)dispatch_missed(c->own, e);
        return;
    }
    if (!guild_id || !session_has_guild(c->session, guild_id))
        return;
    (void)map_put(&c->told, guild_id, c);
    if (e->type == EVENT_CONTROL_GUILD_JOINED)
        loader_add(c->session, guild_id, false);
    else if (e->type == EVENT_CONTROL_GUILD_LEFT)
        guild_gone(c->session, guild_id);
}

/* Those that it had and that are neither the user's any more nor were left: they were deleted. */
static void guilds_deleted(struct adoption *a, struct catching_up *c)
{
    struct map here = {0};

    for (unsigned i = 0; i < a->guild_count; i++)
        (void)map_put(&here, a->guild_ids[i], a);
    for (unsigned i = 0; i < a->record.topic_count; i++) {
        uint64_t id = a->record.topics[i];
        if (id != a->user_id && !map_get(&here, id) && !map_get(&c->told, id))
            guild_gone(c->session, id);
    }
    map_done(&here);
}

static void catch_up(struct adoption *a, struct session *s)
{
    struct catching_up c = {.session = s, .own = topic_sub_find(a->own, s)};

    recent_each(a->own, a->own_number, own_event, &c);
    guilds_deleted(a, &c);
    for (unsigned i = 0; i < a->guild_count && !s->ended; i++) {
        if (map_get(&c.told, a->guild_ids[i]))
            continue;
        if (a->numbers[i] == KV_LOG_NUMBER_UNKNOWN)
            loader_add(s, a->guild_ids[i], true); /* it was not announced yet */
        else
            loader_adopt(s, a->guild_ids[i], a->numbers[i]);
    }
    map_done(&c.told);
    if (!s->load_count && !s->loaders)
        session_log_loaded(s);
}

static bool conn_waits(const struct adoption *a)
{
    return a->conn->ws && a->conn->step == CONN_IDENTIFYING;
}

/* In one step of the loop: from here on the session lives here, with or without its client. */
static void take_over(struct adoption *a)
{
    struct session *s = session_make(a);

    if (conn_waits(a)) {
        resume_here(a->conn, s, a->seq);
    } else {
        s->detached_ms = clock_mono_ms();
        list_append(&a->g->detached, &s->item);
    }
    catch_up(a, s);
    if (!s->ended)
        members_continue(s, a->requests);
    metric_add(&adopted, 1);
    LOG_INFO("session adopted", "id=%s user=%llu from=%s seq=%llu last=%llu guilds=%u released=%d", a->id,
             (unsigned long long)a->user_id, a->record.node, (unsigned long long)a->seq, (unsigned long long)a->last,
             a->guild_count, a->record.released);
    session_unref(s);
}

static bool is_transient(int error)
{
    return error != -ENOENT && error != -ENODATA;
}

/* It is ours. Its former owner gets it back when only kv or the store is away. */
static int adopt_claimed(struct adoption *a)
{
    struct kv *kv = a->g->ports->kv;
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof adopt_steps / sizeof *adopt_steps; i++)
        r = adopt_steps[i](a);
    if (r == 0 && !a->g->draining && !a->g->stopping)
        take_over(a);
    else if (r == 0)
        r = -ECANCELED;
    if (r < 0)
        LOG_WARN("session not adopted", "id=%s from=%s seq=%llu last=%llu lines=%u error=%d", a->id, a->record.node,
                 (unsigned long long)a->seq, (unsigned long long)a->last, a->line_count, -r);
    if (r < 0 && is_transient(r))
        (void)kv_session_claim(kv, a->id, session_log_owner(a->g), a->owner, CLAIM_KEEP_MS);
    else if (r < 0)
        (void)kv_session_del(kv, a->id, session_log_owner(a->g));
    homes_drop(a);
    if (a->reader)
        log_reader_release(a->reader);
    if (a->own)
        topic_release(a->own);
    a->reader = NULL; /* it may be tried again */
    a->own = NULL;
    return r;
}

/* --- the session is here ---------------------------------------------------------------------------------------------
 */
/* Unless somebody took it meanwhile, because this node did not answer: then it is theirs. */
static int resume_own(struct adoption *a, struct session *s)
{
    struct str owner = STR_NONE, value;
    int r;

    session_ref(s);
    r = s->recorded ? kv_session_get(a->g->ports->kv, &a->arena, a->id, &owner, &value) : -ENOENT;
    if (s->ended || s->handed) {
        r = -EAGAIN;
    } else if (r == 0 && !str_eq(owner, str_c(session_log_owner(a->g)))) {
        struct conn *c = s->conn;
        s->handed = true;
        session_end(s);
        if (c)
            conn_close(c, GATEWAY_CLOSE_UNKNOWN_ERROR);
        r = -EAGAIN;
    } else if (!conn_waits(a)) {
        r = 0;
    } else if (s->user_id != a->user_id || s->starting) {
        r = -ENOENT;
    } else {
        a->conn->step = CONN_HELLO; /* what a refusal goes back to */
        r = resume_local(a->conn, s, a->seq);
    }
    session_unref(s);
    return r;
}

static int adopt_once(struct adoption *a)
{
    struct session *s = session_find(a->g, str_c(a->id));

    if (s && !s->handed)
        return resume_own(a, s);
    if (s || smap_get(&a->g->adopting, str_c(a->id))) {
        co_sleep(STEP_MS);
        return -EAGAIN;
    }
    (void)smap_put(&a->g->adopting, str_c(a->id), a);
    int r = look_and_claim(a);
    if (r == 0)
        r = adopt_claimed(a);
    (void)smap_del(&a->g->adopting, str_c(a->id));
    return r;
}

static bool go_on(const struct adoption *a)
{
    return conn_waits(a) && clock_mono_ms() < a->deadline_ms && !a->g->stopping && !a->g->draining;
}

static void adopt_run(void *arg)
{
    struct adoption *a = arg;
    struct conn *c = a->conn;
    struct gateway *g = a->g;
    int r;

    while ((r = adopt_once(a)) < 0 && is_transient(r) && go_on(a))
        co_sleep(STEP_MS);
    if (r < 0)
        metric_add(&adopt_failed, 1);
    if (conn_waits(a) && (r == -ENOENT || r == -ENODATA))
        (void)resume_refuse(c, NULL);
    else if (conn_waits(a) || r > 0)
        conn_close(c, r > 0 ? r : GATEWAY_CLOSE_UNKNOWN_ERROR);
    arena_done(&a->arena);
    mem_free(a);
    conn_unref(c);
    gateway_leave(g);
}

int adopt_begin(struct conn *c, const struct resume_request *r, uint64_t user_id)
{
    if (r->session_id.n != SESSION_ID_CHARS)
        return resume_refuse(c, NULL);
    struct adoption *a = MEM_NEW(struct adoption);
    a->g = c->g;
    a->conn = conn_ref(c);
    memcpy(a->id, r->session_id.p, SESSION_ID_CHARS);
    a->token = arena_strdup(&a->arena, r->token);
    a->user_id = user_id;
    a->seq = r->seq;
    a->deadline_ms = clock_mono_ms() + LIMIT_ADOPT_MS;
    c->step = CONN_IDENTIFYING;
    if (gateway_spawn(c->g, adopt_run, a) == 0)
        return 0;
    arena_done(&a->arena);
    mem_free(a);
    conn_unref(c);
    return GATEWAY_CLOSE_UNKNOWN_ERROR;
}

void adopt_tick(struct gateway *g, int64_t now_ms)
{
    log_readers_tick(g, now_ms);
}

void adopt_stop(struct gateway *g)
{
    size_t cursor = 0;
    struct str key;

    for (int64_t *since; (since = smap_next(&g->silent, &cursor, &key));)
        mem_free(since);
    smap_done(&g->silent);
    smap_done(&g->adopting);
    log_readers_free(g);
}
