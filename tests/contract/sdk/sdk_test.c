/* Workers on real RabbitMQ and Redis: they share the partitions, keep each guild's order, take over from one that was
 * killed, finish what they hold when they are asked to stop, drop repetitions, and give up what always fails. The test
 * is the shard: it publishes. */
#include "tests/support/co_test.h"
#include "tests/support/services.h"

#include "cache/broker.h"
#include "platform/base/clock.h"
#include "platform/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUILDS      24
#define EVENTS_MAX  1024
#define TAKEOVER_MS 3000

/* "MTAw..." is the base64 of the user id; each test has an application of its own, so queues do not mix. */
static const char *const tokens[] = {"MTAwMQ.x.y", "MTAwMg.x.y", "MTAwMw.x.y", "MTAwNA.x.y",
                                     "MTAwNQ.x.y", "MTAwNg.x.y", "MTAwNw.x.y", "MTAwOA.x.y"};
static uint64_t application;
static const char *token;

static void application_next(void)
{
    token = tokens[application ? application - 1000 : 0];
    application = application ? application + 1 : 1001;
}

/* --- workers --- */

struct worker {
    int pid, out;
    struct buf text;
};

static int handled[EVENTS_MAX];   /* by seq: how often */
static uint64_t last_seq[GUILDS]; /* as seen by one worker at a time */
static int out_of_order;

static struct worker worker_start(void)
{
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
    struct worker w = {.out = out[0]};
    w.pid = fork();
    if (w.pid == 0) {
        dup2(out[1], 1);
        fcntl(1, F_SETFL, 0);
        setenv("DISCORD_TOKEN", token, 1);
        setenv("PROXY_URL", "http://127.0.0.1:1/api", 1);
        const char *program = getenv("SDK_TEST_WORKER");
        if (program)
            execl(program, "worker", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    return w;
}

static void line_read(const char *line, uint64_t last[GUILDS])
{
    char type[64];
    long long seq;
    unsigned long long guild;
    if (sscanf(line, "%63s %lld %llu", type, &seq, &guild) != 3 || seq < 0 || seq >= EVENTS_MAX)
        return;
    handled[seq]++;
    uint64_t g = (guild >> 22) % GUILDS;
    if (handled[seq] == 1) {
        out_of_order += (uint64_t)seq <= last[g];
        last[g] = (uint64_t)seq;
    }
}

static void worker_read(struct worker *w)
{
    char bytes[4096];
    for (ssize_t n; (n = read(w->out, bytes, sizeof bytes)) > 0;)
        buf_add(&w->text, bytes, (size_t)n);
    for (char *end; w->text.len && (end = memchr(w->text.data, '\n', w->text.len));) {
        *end = '\0';
        line_read(w->text.data, last_seq);
        buf_consume(&w->text, (size_t)(end - w->text.data) + 1);
    }
}

static int worker_end(struct worker *w, int sig)
{
    int status = 0;
    kill(w->pid, sig);
    for (int i = 0; i < 400 && waitpid(w->pid, &status, WNOHANG) == 0; i++) {
        worker_read(w);
        co_sleep(25);
    }
    worker_read(w);
    close(w->out);
    buf_done(&w->text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int handled_count(void)
{
    int n = 0;
    for (int i = 0; i < EVENTS_MAX; i++)
        n += handled[i] > 0;
    return n;
}

/* False when `wanted` different events were not handled in time. */
static bool wait_handled(struct worker *workers, int count, int wanted, int64_t timeout_ms)
{
    int64_t end = clock_mono_ms() + timeout_ms;
    while (handled_count() < wanted && clock_mono_ms() < end) {
        for (int i = 0; i < count; i++)
            if (workers[i].pid)
                worker_read(&workers[i]);
        co_sleep(10);
    }
    return handled_count() >= wanted;
}

/* --- the shard --- */

static struct broker_topology topology;
static struct amqp_publisher *publisher;
static int64_t seq;

static void begin(void)
{
    static const char *groups[] = {BROKER_GROUP_DEFAULT};
    struct buf err = {0};
    application_next();
    memset(handled, 0, sizeof handled);
    memset(last_seq, 0, sizeof last_seq);
    out_of_order = 0;
    seq = 0;
    broker_topology_init(&topology, application, groups, 1);
    publisher = amqp_publisher_new(services_env("AMQP_URL"), topology.declares, topology.count, &err);
    expect_true(publisher != NULL);
    for (int i = 0; !amqp_publisher_connected(publisher) && i < 800; i++)
        co_sleep(25);
}

static void end(void)
{
    amqp_publisher_free(publisher);
    broker_topology_done(&topology);
}

static void publish_as(int64_t as, uint64_t guild_number, const char *json, int64_t epoch)
{
    uint64_t guild = (guild_number + GUILDS * 1000) << 22;
    char id[32], guild_text[24];
    struct buf key = {0};
    snprintf(id, sizeof id, "s1:%lld", (long long)as);
    snprintf(guild_text, sizeof guild_text, "%llu", (unsigned long long)guild);
    broker_routing_key(&key, application, STR("MESSAGE_CREATE"), broker_partition(guild));
    struct amqp_header headers[] = {
        {.name = BROKER_HEADER_SHARD, .is_int = true, .number = 0},
        {.name = BROKER_HEADER_SHARDS, .is_int = true, .number = 1},
        {.name = BROKER_HEADER_SEQ, .is_int = true, .number = as},
        {.name = BROKER_HEADER_GUILD, .value = str_c(guild_text)},
        {.name = BROKER_HEADER_SESSION, .value = STR("s1")},
        {.name = BROKER_HEADER_EPOCH, .is_int = true, .number = epoch},
    };
    struct amqp_message m = {.exchange = BROKER_EXCHANGE,
                             .routing_key = key.data,
                             .body = str_c(json),
                             .persistent = true,
                             .message_id = id,
                             .headers = headers,
                             .header_count = 6};
    expect_int(amqp_publish_await(publisher, &m), 0);
    buf_done(&key);
}

static void publish(int count)
{
    for (int i = 0; i < count; i++) {
        seq++;
        publish_as(seq, (uint64_t)seq % GUILDS, "{\"content\":\"x\"}", 7);
    }
}

/* --- what must hold --- */

static void two_workers_share_and_keep_each_guilds_order(void)
{
    begin();
    struct worker w[] = {worker_start(), worker_start()};
    publish(240);
    expect_true(wait_handled(w, 2, 240, 20000));
    for (int64_t i = 1; i <= seq; i++)
        expect_int(handled[i], 1);
    expect_int(out_of_order, 0);
    expect_int(worker_end(&w[0], SIGTERM), 0);
    publish(24);
    expect_true(wait_handled(w + 1, 1, 264, 10000));
    expect_int(worker_end(&w[1], SIGTERM), 0);
    end();
}

static void another_takes_over_from_a_killed_worker(void)
{
    begin();
    struct worker w[] = {worker_start(), worker_start()};
    publish(48);
    expect_true(wait_handled(w, 2, 48, 20000));
    worker_end(&w[0], SIGKILL);
    w[0].pid = 0;
    int64_t killed = clock_mono_ms();
    publish(48);
    expect_true(wait_handled(w, 2, 96, 15000));
    expect_true(clock_mono_ms() - killed <
                TAKEOVER_MS + 6000); /* the events themselves take a little, a busy machine more */
    expect_int(out_of_order, 0);
    worker_end(&w[1], SIGTERM);
    end();
}

static void a_stopping_worker_finishes_what_it_holds(void)
{
    begin();
    struct worker w = worker_start();
    publish(24);
    expect_true(wait_handled(&w, 1, 24, 20000));
    seq++;
    publish_as(seq, 1, "{\"slow\":true}", 7);
    co_sleep(300);
    expect_int(worker_end(&w, SIGTERM), 0);
    expect_int(handled[seq], 1);
    struct worker next = worker_start();
    publish(24);
    expect_true(wait_handled(&next, 1, 49, 20000));
    expect_int(handled[25], 1); /* it was acknowledged, so it did not come again */
    worker_end(&next, SIGTERM);
    end();
}

static void repetitions_and_old_owners_are_dropped(void)
{
    begin();
    struct worker w = worker_start();
    publish(10);
    publish_as(5, 5, "{}", 7);              /* again */
    publish_as(500, 500 % GUILDS, "{}", 9); /* the shard's next owner */
    publish_as(501, 500 % GUILDS, "{}", 7); /* its old one, late */
    publish_as(502, 500 % GUILDS, "{}", 9);
    publish_as(600, 600 % GUILDS, "{\"id\":\"99\"}", 9);
    publish_as(601, 600 % GUILDS, "{\"id\":\"99\"}", 9); /* the same message, numbered by another set of shards */
    publish_as(602, 600 % GUILDS, "{\"id\":\"100\"}", 9);
    expect_true(wait_handled(&w, 1, 14, 20000));
    co_sleep(200);
    worker_read(&w);
    expect_int(handled[5], 1);
    expect_int(handled[501], 0);
    expect_int(handled[502], 1);
    expect_int(handled[601], 0);
    expect_int(handled[602], 1);
    worker_end(&w, SIGTERM);
    end();
}

/* A shard moved to another owner while a partition had a backlog: what the first owner published there still counts,
 * though another partition has brought the next owner's events already. */
static void a_backlog_of_an_earlier_owner_is_handled(void)
{
    begin();
    struct worker w = worker_start();
    publish_as(++seq, 1, "{}", 9);
    expect_true(wait_handled(&w, 1, 1, 20000));
    publish_as(++seq, 2, "{}", 7);
    publish_as(++seq, 2, "{}", 9);
    expect_true(wait_handled(&w, 1, 3, 20000));
    worker_end(&w, SIGTERM);
    end();
}

static void what_a_former_worker_handled_is_not_repeated(void)
{
    begin();
    struct worker w = worker_start();
    publish(48);
    expect_true(wait_handled(&w, 1, 48, 20000));
    co_sleep(600); /* until it has told what it handled */
    worker_end(&w, SIGKILL);
    struct worker next = worker_start();
    for (int i = 1; i <= 48; i++)
        publish_as(i, (uint64_t)i % GUILDS, "{}",
                   9); /* the shard's next owner begins where the last one was confirmed */
    seq++;
    publish_as(seq, (uint64_t)seq % GUILDS, "{}", 9);
    expect_true(wait_handled(&next, 1, 49, 20000));
    co_sleep(500);
    worker_read(&next);
    for (int i = 1; i <= 48; i++)
        expect_int(handled[i], 1);
    worker_end(&next, SIGTERM);
    end();
}

/* A worker that stands still for longer than its lease gives back what it held, and goes on afterwards. */
static void a_worker_that_stood_still_gives_back(void)
{
    begin();
    struct worker w[] = {worker_start(), worker_start()};
    publish(48);
    expect_true(wait_handled(w, 2, 48, 20000));
    co_sleep(1000); /* until both hold their share */
    kill(w[0].pid, SIGSTOP);
    publish(96); /* half of them are delivered to the one that sleeps */
    co_sleep(5000);
    kill(w[0].pid, SIGCONT);
    expect_true(wait_handled(w, 2, 144, 15000));
    publish(48);
    expect_true(wait_handled(w, 2, 192, 15000));
    expect_int(out_of_order, 0);
    worker_end(&w[0], SIGTERM);
    worker_end(&w[1], SIGTERM);
    end();
}

static int dead_letters;

static void on_dead(const struct amqp_delivery *d, void *arg)
{
    dead_letters++;
    expect_true(str_eq(d->body, STR("{\"fail\":true}")));
    amqp_ack(*(struct amqp_consumer **)arg, d->tag, d->epoch, false);
}

static void what_always_fails_ends_with_the_dead_letters(void)
{
    begin();
    struct buf err = {0}, dead = {0};
    struct amqp_consumer *consumer = NULL;
    struct worker w = worker_start();
    broker_dead(&dead, application, BROKER_GROUP_DEFAULT);
    consumer =
        amqp_consumer_new(services_env("AMQP_URL"), topology.declares, topology.count, 10, on_dead, &consumer, &err);
    amqp_consumer_add(consumer, dead.data);
    dead_letters = 0;
    publish_as(++seq, 3, "{\"fail\":true}", 7);
    publish_as(++seq, 3, "{\"content\":\"behind it\"}", 7);
    expect_true(wait_handled(&w, 1, 1, 20000));
    expect_int(handled[2], 1);
    for (int i = 0; !dead_letters && i < 200; i++)
        co_sleep(25);
    expect_int(dead_letters, 1);
    worker_end(&w, SIGTERM);
    amqp_consumer_free(consumer);
    buf_done(&dead);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(two_workers_share_and_keep_each_guilds_order), CO_TEST(another_takes_over_from_a_killed_worker),
        CO_TEST(a_stopping_worker_finishes_what_it_holds),     CO_TEST(repetitions_and_old_owners_are_dropped),
        CO_TEST(what_always_fails_ends_with_the_dead_letters), CO_TEST(a_backlog_of_an_earlier_owner_is_handled),
        CO_TEST(what_a_former_worker_handled_is_not_repeated), CO_TEST(a_worker_that_stood_still_gives_back),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("the worker SDK", tests, NULL, NULL);
}
