/* A node on real Redis and RabbitMQ that go away and come back: nothing acknowledged is lost, nothing comes twice, and
 * nobody is told to identify again. */
#include "tests/contract/gateway/fixture.h"

#include "platform/base/mem.h"
#include "platform/ports/outbox.h"
#include "tests/support/services.h"

#include <pthread.h>
#include <stdatomic.h>

#define LINES_MAX 2000

/* Restarting a server takes seconds: on a thread, so that the loop goes on meanwhile. */
struct restart {
    const char *verb, *name;
    atomic_bool done;
};

static void *restart_run(void *arg)
{
    struct restart *r = arg;

    services_do(r->verb, r->name);
    r->done = true;
    return NULL;
}

/* Messages all the while; how many of them were acknowledged. */
static unsigned speak_during(const char *verb, const char *name)
{
    struct restart r = {.verb = verb, .name = name};
    pthread_t thread;
    unsigned said = 0;
    char text[16];

    assert_int_equal(pthread_create(&thread, NULL, restart_run, &r), 0);
    for (int after = 0; after < 20 && said < LINES_MAX; after += r.done) {
        snprintf(text, sizeof text, "%u", said++);
        say(GENERAL, ALICE, text);
        co_sleep(20);
    }
    pthread_join(thread, NULL);
    return said;
}

/* Each exactly once. What was left to the outbox may come later than what was said after it. */
static void hears_all(struct client *c, unsigned count)
{
    unsigned *times = mem_zalloc(sizeof *times * count);

    for (unsigned n = 0; n < count; n++) {
        json_t *m = NULL;
        for (int tries = 0; !m && tries < 20; tries++)
            while ((m = client_next(c)) && strcmp(text_at(m, "t"), "MESSAGE_CREATE") != 0)
                if (json_integer_value(json_object_get(m, "op")) == 9)
                    fail_msg("told to identify again");
        if (!m)
            fail_msg("%u of %u came", n, count);
        unsigned line = (unsigned)atoi(text_at(json_object_get(m, "d"), "content"));
        assert_true(line < count);
        if (times[line]++)
            fail_msg("line %u came twice", line);
    }
    mem_free(times);
    client_quiet(c, 300);
    assert_false(c->numbers_wrong);
}

static void through(const char *verb, const char *server)
{
    struct node n;
    struct client bob, bot;

    world_open();
    node_options.heartbeat_interval_ms = 600000;
    outbox_start(&ports);
    node_open(&n, server);
    client_login(&bob, &n, BOB, INTENTS_ALL, 1);
    client_login(&bot, &n, FULL, INTENTS_ALL, 1);
    say(GENERAL, ALICE, "0");
    hears_all(&bob, 1), hears_all(&bot, 1);
    unsigned said = speak_during(verb, server);
    hears_all(&bob, said), hears_all(&bot, said);
    print_message("%s %s: %u lines, exactly once each\n", verb, server, said);
    /* and a topic that was quiet all the time */
    (void)tell(EVENT_MESSAGE_CREATE, FULL, true, DM, BOB, "{\"content\":\"0\"}");
    hears_all(&bot, 1);
    client_close(&bob, 1000), client_close(&bot, 1000);
    outbox_stop();
    node_close(&n);
    co_sleep(500);
    world_close();
}

static void conversations(void)
{
    world_redis_url = services_env("REDIS_URL");
    world_amqp_url = services_env("AMQP_URL");
    through("restart", "redis");
    through("restart", "rabbitmq");
}
ON_LOOP(conversations)

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(conversations_test)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
