/* Op 8 that is under way when its session goes to another node: drained, taken from a live node, or killed. Every chunk
 * comes, under the same nonce; after a kill some come again. */
#include "tests/contract/gateway/fixture.h"

#include "platform/base/limits.h"
#include "platform/base/map.h"

#include <errno.h>
#include <stdio.h>

#define MEMBERS 12004 /* 13 chunks, more than a session that is not read is given ahead */
#define CHUNKS  13

static struct node a, b;

static void nodes_open(void)
{
    world_open();
    members_make(MEMBERS - 4);
    node_options.limits = true;
    node_options.session_log = true;
    node_options.heartbeat_interval_ms = 600000;
    node_open(&a, "a"), node_open(&b, "b");
}

static void nodes_close(void)
{
    node_close(&a), node_close(&b);
    world_close();
}

static void login(struct client *c, uint64_t user)
{
    client_login(c, &a, user, INTENTS_USUAL | INTENT_GUILD_MEMBERS, 1);
    if (user != FULL)
        return;
    struct arena arena = {0};
    struct str owner, value;
    UNTIL(kv_session_get(ports.kv, &arena, c->session_id, &owner, &value) == 0);
    arena_done(&arena);
}

static void ask(struct client *c)
{
    client_send(c, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"query\":\"\",\"limit\":0,\"nonce\":\"all\"}}", GUILD);
}

/* The next chunk, whose index is `index` at most; answers it. */
static int chunk(struct client *c, int index, struct map *members)
{
    json_t *d = client_event(c, "GUILD_MEMBERS_CHUNK"), *m;
    int at = (int)json_integer_value(json_object_get(d, "chunk_index"));
    size_t i;

    assert_string_equal(text_at(d, "nonce"), "all");
    assert_int_equal(json_integer_value(json_object_get(d, "chunk_count")), CHUNKS);
    assert_in_range(at, 0, index);
    json_array_foreach(json_object_get(d, "members"), i, m)
    {
        map_put(members, strtoull(text_at(json_object_get(m, "user"), "id"), NULL, 10), c);
    }
    return at;
}

/* False: op 9, the client must begin anew: a chunk is too large for the log. */
static bool resumes_on(struct client *c, const struct node *n, uint64_t user)
{
    char session_id[40];
    uint64_t seq = c->seq;

    snprintf(session_id, sizeof session_id, "%s", c->session_id);
    client_cut(c);
    client_open(c, n, "?v=10&encoding=json");
    snprintf(c->session_id, sizeof c->session_id, "%s", session_id);
    c->seq = seq;
    (void)client_op(c, 10);
    client_resume(c, user);
    for (json_t *p; (p = client_next(c));)
        if (strcmp(text_at(p, "t"), "RESUMED") == 0)
            return true;
        else if (json_integer_value(json_object_get(p, "op")) == 9)
            return false;
    fail_msg("neither RESUMED nor op 9 came");
    return false;
}

/* What has come so far, `had` chunks of it before; how many there are now. */
static int chunks_had(struct client *c, int had, struct map *members)
{
    while (json_array_size(c->got))
        if (strcmp(text_at(json_array_get(c->got, 0), "t"), "GUILD_MEMBERS_CHUNK") == 0)
            had = chunk(c, had, members) + 1;
        else
            (void)client_next(c);
    return had;
}

/* The rest, from chunk `first` on; none of them twice when `once`. */
static void rest_comes(struct client *c, int first, bool once, struct map *members)
{
    for (int next = first; next < CHUNKS;) {
        int at = chunk(c, next, members);
        if (once || at == next)
            assert_int_equal(at, next);
        next = at + 1;
    }
    assert_int_equal(members->count, MEMBERS);
    assert_false(c->numbers_wrong);
    map_done(members);
}

static void drained(void)
{
    static const uint64_t users[] = {FULL, BOB};

    for (int i = 0; i < 2; i++) {
        struct client c;
        struct map members = {0};
        nodes_open();
        login(&c, users[i]);
        ask(&c);
        (void)chunk(&c, 0, &members);
        gateway_drain(a.gateway);
        (void)client_closed(&c);
        int had = chunks_had(&c, 1, &members);
        bool resumed = resumes_on(&c, &b, users[i]);
        if (resumed)
            rest_comes(&c, had, true, &members);
        print_message("drained after %d chunks: %s\n", had, resumed ? "resumed" : "op 9");
        map_done(&members);
        client_close(&c, 1000);
        nodes_close();
    }
}

/* The store answers nobody for a while: whatever is asked is under way so long. */
static void busy_run(void *arg)
{
    const struct sql_stmt s = {.text =
                                   "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000000) "
                                   "SELECT count(*) FROM c"};
    struct sql_result r;
    struct arena arena = {0};

    assert_int_equal(sql_read(ports.db, &arena, &s, 1, &r), 0);
    arena_done(&arena);
    *(bool *)arg = true;
}

/* Op 8 has been read. */
static void ask_surely(struct client *c)
{
    ask(c);
    client_send(c, "{\"op\":1,\"d\":null}");
    (void)client_op(c, 11);
}

static void taken_from_a_live_node(void)
{
    static const uint64_t users[] = {FULL, BOB};

    for (int i = 0; i < 2; i++) {
        struct client c;
        struct map members = {0};
        bool idle = false;
        nodes_open();
        login(&c, users[i]);
        assert_int_equal(co_spawn(busy_run, &idle), 0);
        ask_surely(&c);
        bool resumed = resumes_on(&c, &b, users[i]);
        if (resumed)
            rest_comes(&c, 0, false, &members);
        print_message("taken: %s\n", resumed ? "resumed" : "op 9");
        UNTIL(idle);
        map_done(&members);
        client_close(&c, 1000);
        nodes_close();
    }
}

static void killed(void)
{
    struct client c;
    struct map members = {0};
    struct arena arena = {0};
    bool idle = false;
    char key[64];
    struct str value;

    nodes_open();
    login(&c, FULL);
    assert_int_equal(co_spawn(busy_run, &idle), 0);
    ask_surely(&c);
    snprintf(key, sizeof key, "members:%s", c.session_id);
    UNTIL(kv_get(ports.kv, &arena, key, &value) == 0);
    gateway_abandon(a.gateway);
    a.gateway = NULL;
    bool resumed = resumes_on(&c, &b, FULL);
    if (resumed)
        rest_comes(&c, 0, false, &members);
    print_message("killed: %s\n", resumed ? "resumed" : "op 9");
    if (resumed) /* answered: nobody would go on with it again */
        UNTIL(kv_get(ports.kv, &arena, key, &value) == -ENOENT);
    UNTIL(idle);
    map_done(&members);
    arena_done(&arena);
    client_close(&c, 1000);
    nodes_close();
}

CONVERSATIONS(CONVERSATION(drained), CONVERSATION(taken_from_a_live_node), CONVERSATION(killed))
