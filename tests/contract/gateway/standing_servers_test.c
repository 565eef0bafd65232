/* Presences and voice states on real Redis and RabbitMQ: a Redis that begins anew is told everything again, and clients
 * notice nothing. */
#include "tests/contract/gateway/fixture.h"

#include "tests/support/services.h"

#include <stdio.h>

enum { TALK = 601 };

static void seed_talk(void)
{
    static struct overwrite all[] = {{GUILD, 0, PERMISSION_CONNECT | PERMISSION_SPEAK, 0}};
    struct channel talk = {.id = TALK,
                           .guild_id = GUILD,
                           .name = STR("talk"),
                           .type = CHANNEL_GUILD_VOICE,
                           .overwrites = all,
                           .overwrite_count = 1};
    struct arena a = {0};
    struct commit c;

    commit_init(&c, &a);
    store_channel_insert(&c, &talk);
    assert_int_equal(commit_run(&c, &ports), 0);
    arena_done(&a);
}

static unsigned count_of(enum kv_kind kind)
{
    unsigned count = 0;

    (void)kv_entries_count(ports.kv, kind, GUILD, &count);
    return count;
}

/* The next dispatch of this type about bob; what else comes is no matter. */
static json_t *of_bob(struct client *c, const char *type)
{
    for (int tries = 0; tries < 10; tries++)
        for (json_t *p; (p = client_next(c));) {
            json_t *d = json_object_get(p, "d"), *user = json_object_get(d, "user");
            if (strcmp(text_at(p, "t"), type) == 0 &&
                (strcmp(text_at(d, "user_id"), "102") == 0 || strcmp(text_at(user, "id"), "102") == 0))
                return d;
        }
    fail_msg("%s did not come", type);
    return NULL;
}

static void nothing_of_bob(struct client *c, int64_t ms)
{
    co_sleep(ms);
    while (json_array_size(c->got)) {
        json_t *p = client_next(c), *d = json_object_get(p, "d");
        assert_string_not_equal(text_at(p, "t"), "VOICE_STATE_UPDATE");
        if (strcmp(text_at(p, "t"), "PRESENCE_UPDATE") == 0)
            assert_string_not_equal(text_at(json_object_get(d, "user"), "id"), "102");
    }
}

static void conversation(void)
{
    struct node n;
    struct client full, bob;

    world_redis_url = services_env("REDIS_URL");
    world_amqp_url = services_env("AMQP_URL");
    world_open();
    seed_talk();
    node_options.heartbeat_interval_ms = 120000;
    node_open(&n, "a");
    client_login(&full, &n, FULL, INTENTS_ALL, 1);
    client_login(&bob, &n, BOB, INTENTS_ALL, 1);
    assert_string_equal(text_at(of_bob(&full, "PRESENCE_UPDATE"), "status"), "online");
    client_send(&bob, "{\"op\":4,\"d\":{\"guild_id\":\"%d\",\"channel_id\":\"%d\"}}", GUILD, TALK);
    assert_string_equal(text_at(of_bob(&full, "VOICE_STATE_UPDATE"), "channel_id"), "601");
    UNTIL(count_of(KV_PRESENCE) == 2 && count_of(KV_VOICE) == 1);
    for (int i = 0; i < 2; i++) {
        services_await("restart", "redis");
        UNTIL(kv_ready(ports.kv));
        UNTIL(count_of(KV_PRESENCE) == 2 && count_of(KV_VOICE) == 1);
    }
    nothing_of_bob(&full, 25000); /* also when what was not put again is judged */
    client_send(&bob, "{\"op\":3,\"d\":{\"status\":\"dnd\",\"activities\":[]}}");
    assert_string_equal(text_at(of_bob(&full, "PRESENCE_UPDATE"), "status"), "dnd");
    client_send(&bob, "{\"op\":4,\"d\":{\"guild_id\":\"%d\",\"channel_id\":null}}", GUILD);
    assert_string_equal(text_at(of_bob(&full, "VOICE_STATE_UPDATE"), "channel_id"), "");
    client_close(&full, 1000), client_close(&bob, 1000);
    node_close(&n);
    world_close();
}
ON_LOOP(conversation)

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(conversation_test)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
