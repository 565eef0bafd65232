/* Workers on real RabbitMQ and Redis: they share the partitions, keep each guild's order, take over from one that was
 * killed, finish what they hold when they are asked to stop, drop repetitions, and give up what always fails. The test
 * is the shard: it publishes. */
#include "tests/support/co_test.h"
#include "tests/support/services.h"

#include "cache/broker.h"
#include "platform/base/clock.h"
#include "platform/base/mem.h"
#include "platform/io/redis.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUILDS      64 /* one in each partition */
#define EVENTS_MAX  8192
#define TAKEOVER_MS 3000

/* "MTAw..." is the base64 of the user id; each test has an application of its own, so queues do not mix. */
static const char *const tokens[] = {"MTAwMQ.x.y", "MTAwMg.x.y", "MTAwMw.x.y", "MTAwNA.x.y", "MTAwNQ.x.y",
                                     "MTAwNg.x.y", "MTAwNw.x.y", "MTAwOA.x.y", "MTAwOQ.x.y", "MTAxMA.x.y",
                                     "MTAxMQ.x.y", "MTAxMg.x.y", "MTAxMw.x.y"};
static uint64_t application;
static const char *token;

static void application_next(void)
{
    token = tokens[application ? application - 1000 : 0];
    application = application ? application + 1 : 1001;
}

/* --- workers --- */

struct worker {
    int pid;
};

static int out[2] = {-1, -1}; /* one pipe for all: its order is the order of handling */
static struct buf text;
static int handled[EVENTS_MAX];   /* by seq: how often */
static uint64_t last_seq[GUILDS]; /* handled last */
static int out_of_order;
static int begun_by[EVENTS_MAX]; /* by seq: the process that says it begins */
static int failed[EVENTS_MAX];   /* by seq: tries that ended badly */
static int threads_seen[64], thread_count, pids_seen[64], pid_count;

static struct worker worker_start_with(const char *threads)
{
    if (out[0] < 0)
        assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
    struct worker w = {.pid = fork()};
    if (w.pid == 0) {
        dup2(out[1], 1);
        fcntl(1, F_SETFL, 0);
        setenv("DISCORD_TOKEN", token, 1);
        setenv("PROXY_URL", "http://127.0.0.1:1/api", 1);
        setenv("WORKER_THREADS", threads, 1);
        const char *program = getenv("SDK_TEST_WORKER");
        if (program)
            execl(program, "worker", (char *)NULL);
        _exit(127);
    }
    return w;
}

static struct worker worker_start(void)
{
    return worker_start_with("1");
}

static bool seen(const int *all, int count, int number)
{
    for (int i = 0; i < count; i++)
        if (all[i] == number)
            return true;
    return false;
}

static void note(int *all, int *count, int number)
{
    if (!seen(all, *count, number) && *count < 64)
        all[(*count)++] = number;
}

static void line_read(const char *line)
{
    char type[64];
    long long number;
    unsigned long long guild;
    int thread, pid;
    if (sscanf(line, "%63s %lld %llu %d %d", type, &number, &guild, &thread, &pid) != 5 || number < 0 ||
        number >= EVENTS_MAX)
        return;
    if (strcmp(type, "begins") == 0) {
        begun_by[number] = pid;
        return;
    }
    if (strcmp(type, "fails") == 0) {
        failed[number]++;
        return;
    }
    handled[number]++;
    note(threads_seen, &thread_count, thread);
    note(pids_seen, &pid_count, pid);
    uint64_t g = (guild >> 22) % GUILDS;
    if (handled[number] == 1) {
        out_of_order += (uint64_t)number <= last_seq[g];
        last_seq[g] = (uint64_t)number;
    }
}

static void workers_read(void)
{
    char bytes[4096];
    for (ssize_t n; out[0] >= 0 && (n = read(out[0], bytes, sizeof bytes)) > 0;)
        buf_add(&text, bytes, (size_t)n);
    for (char *end; text.len && (end = memchr(text.data, '\n', text.len));) {
        *end = '\0';
        line_read(text.data);
        buf_consume(&text, (size_t)(end - text.data) + 1);
    }
}

static int worker_end(struct worker *w, int sig)
{
    int status = 0;
    kill(w->pid, sig);
    for (int i = 0; i < 2400 && waitpid(w->pid, &status, WNOHANG) == 0; i++) {
        workers_read();
        co_sleep(25);
    }
    workers_read();
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
static bool wait_handled(int wanted, int64_t timeout_ms)
{
    int64_t end = clock_mono_ms() + timeout_ms;
    while (handled_count() < wanted && clock_mono_ms() < end) {
        workers_read();
        co_sleep(10);
    }
    return handled_count() >= wanted;
}

/* Until it has handled something. */
static void wait_worker(const struct worker *w)
{
    for (int i = 0; !seen(pids_seen, pid_count, w->pid) && i < 6000; i++) {
        workers_read();
        co_sleep(10);
    }
    expect_true(seen(pids_seen, pid_count, w->pid));
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
    memset(begun_by, 0, sizeof begun_by);
    memset(failed, 0, sizeof failed);
    memset(last_seq, 0, sizeof last_seq);
    out_of_order = thread_count = pid_count = 0;
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
    expect_true(wait_handled(240, 60000));
    for (int64_t i = 1; i <= seq; i++)
        expect_int(handled[i], 1);
    expect_int(out_of_order, 0);
    expect_int(worker_end(&w[0], SIGTERM), 0);
    publish(24);
    expect_true(wait_handled(264, 60000));
    expect_int(worker_end(&w[1], SIGTERM), 0);
    end();
}

static void another_takes_over_from_a_killed_worker(void)
{
    begin();
    struct worker w[] = {worker_start(), worker_start()};
    publish(48);
    expect_true(wait_handled(48, 60000));
    worker_end(&w[0], SIGKILL);
    int64_t killed = clock_mono_ms();
    publish(48);
    expect_true(wait_handled(96, 15000));
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
    expect_true(wait_handled(24, 60000));
    seq++;
    publish_as(seq, 1, "{\"slow\":true}", 7);
    co_sleep(300);
    expect_int(worker_end(&w, SIGTERM), 0);
    expect_int(handled[seq], 1);
    struct worker next = worker_start();
    publish(24);
    expect_true(wait_handled(49, 60000));
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
    expect_true(wait_handled(14, 60000));
    co_sleep(200);
    workers_read();
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
    expect_true(wait_handled(1, 60000));
    publish_as(++seq, 2, "{}", 7);
    publish_as(++seq, 2, "{}", 9);
    expect_true(wait_handled(3, 60000));
    worker_end(&w, SIGTERM);
    end();
}

static void what_a_former_worker_handled_is_not_repeated(void)
{
    begin();
    struct worker w = worker_start();
    publish(48);
    expect_true(wait_handled(48, 60000));
    co_sleep(600); /* until it has told what it handled */
    worker_end(&w, SIGKILL);
    struct worker next = worker_start();
    for (int i = 1; i <= 48; i++)
        publish_as(i, (uint64_t)i % GUILDS, "{}",
                   9); /* the shard's next owner begins where the last one was confirmed */
    seq++;
    publish_as(seq, (uint64_t)seq % GUILDS, "{}", 9);
    expect_true(wait_handled(49, 60000));
    co_sleep(500);
    workers_read();
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
    expect_true(wait_handled(48, 60000));
    co_sleep(1000); /* until both hold their share */
    kill(w[0].pid, SIGSTOP);
    publish(96); /* half of them are delivered to the one that sleeps */
    co_sleep(5000);
    kill(w[0].pid, SIGCONT);
    expect_true(wait_handled(144, 15000));
    publish(48);
    expect_true(wait_handled(192, 15000));
    expect_int(out_of_order, 0);
    worker_end(&w[0], SIGTERM);
    worker_end(&w[1], SIGTERM);
    end();
}

/* So does one with a handler at work: the other, which holds the partition by then, waits for its end. */
static void what_a_handler_is_at_work_on_is_not_given_to_another(void)
{
    begin();
    struct worker w[] = {worker_start(), worker_start()};
    publish(64);
    expect_true(wait_handled(64, 60000));
    co_sleep(1000); /* until both hold their share */
    publish_as(++seq, 1, "{\"slower\":true}", 7);
    for (int i = 0; !begun_by[seq] && i < 6000; i++) {
        workers_read();
        co_sleep(10);
    }
    expect_true(begun_by[seq] != 0);
    kill(begun_by[seq], SIGSTOP);
    co_sleep(4000);
    kill(begun_by[seq], SIGCONT);
    publish_as(++seq, 1, "{\"content\":\"behind it\"}", 7);
    expect_true(wait_handled(66, 60000));
    expect_int(handled[65], 1);
    expect_int(handled[66], 1);
    expect_int(out_of_order, 0);
    worker_end(&w[0], SIGTERM);
    worker_end(&w[1], SIGTERM);
    end();
}

static bool redis_has(struct redis *redis, unsigned partition)
{
    struct redis_reply *reply = NULL;
    char key[96];
    snprintf(key, sizeof key, "gh:%llu:{%s:%u}:done", (unsigned long long)application, BROKER_GROUP_DEFAULT, partition);
    if (redis_await(redis, 2, (struct str[]){STR("EXISTS"), str_c(key)}, &reply) != 0)
        return false;
    bool has = redis_reply_int(reply) == 1;
    redis_reply_free(reply);
    return has;
}

/* The partitions of guilds 1 to 48. */
static bool redis_has_all(struct redis *redis)
{
    bool has = redis_connected(redis);
    for (unsigned i = 1; has && i <= 48; i++)
        has = redis_has(redis, broker_partition((uint64_t)(i + GUILDS * 1000) << 22));
    return has;
}

static void wait_redis(struct redis *redis)
{
    for (int i = 0; !redis_has_all(redis) && i < 600; i++)
        co_sleep(100);
    expect_true(redis_has_all(redis));
}

/* What it handled is known to the partition's next worker though Redis came back with nothing in between. */
static void what_was_handled_outlives_an_emptied_redis(void)
{
    BUF_AUTO struct buf err = {0};
    begin();
    struct redis *redis = redis_new(services_env("REDIS_URL"), &err);
    struct worker w = worker_start();
    publish(48);
    expect_true(wait_handled(48, 60000));
    wait_redis(redis);
    services_redis_empty();
    wait_redis(redis);
    worker_end(&w, SIGKILL);
    struct worker next = worker_start();
    for (int i = 1; i <= 48; i++)
        publish_as(i, (uint64_t)i % GUILDS, "{}", 9);
    for (int i = 1; i <= 48; i++)
        publish_as(++seq, (uint64_t)i % GUILDS, "{}", 9); /* behind them */
    expect_true(wait_handled(96, 60000));
    for (int i = 1; i <= 48; i++)
        expect_int(handled[i], 1);
    worker_end(&next, SIGTERM);
    redis_free(redis);
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
    expect_true(wait_handled(1, 60000));
    expect_int(handled[2], 1);
    for (int i = 0; !dead_letters && i < 2400; i++)
        co_sleep(25);
    workers_read();
    expect_int(dead_letters, 1);
    expect_int(failed[1], 4); /* the documented number */
    worker_end(&w, SIGTERM);
    amqp_consumer_free(consumer);
    buf_done(&dead);
    end();
}

/* A worker with threads is like as many workers: each guild on one of them at a time. */
static void threads_share_and_keep_each_guilds_order(void)
{
    begin();
    struct worker w = worker_start_with("3");
    publish(48);
    expect_true(wait_handled(48, 60000));
    publish(480);
    for (int i = 0; thread_count < 2 && i < 600; i++) { /* until they have shared the partitions */
        publish(8);
        workers_read();
        co_sleep(50);
    }
    expect_true(thread_count > 1);
    expect_true(wait_handled((int)seq, 60000));
    expect_int(out_of_order, 0);
    publish(240);
    expect_int(worker_end(&w, SIGTERM), 0);
    struct worker next = worker_start_with("2");
    publish(48);
    expect_true(wait_handled((int)seq, 60000));
    wait_worker(&next);
    for (int64_t i = 1; i <= seq; i++)
        expect_int(handled[i], 1);
    expect_int(out_of_order, 0);
    expect_int(worker_end(&next, SIGTERM), 0);
    end();
}

static bool enough, published;

static void publish_on(void *arg)
{
    (void)arg;
    while (!enough && seq < EVENTS_MAX - 10) {
        publish(5);
        co_sleep(20);
    }
    published = true;
}

static void wait_more(int count)
{
    int before = handled_count();
    for (int i = 0; handled_count() < before + count && i < 6000; i++) {
        workers_read();
        co_sleep(10);
    }
}

/* Each replacement starts while its predecessor works, and the predecessor is told to stop: nothing is lost, nothing
 * comes twice, each guild's order stays. */
static void workers_are_replaced_under_load(void)
{
    begin();
    struct worker w = worker_start();
    enough = published = false;
    expect_int(co_spawn(publish_on, NULL), 0);
    wait_worker(&w);
    for (int replaced = 0; replaced < 3; replaced++) {
        struct worker next = worker_start_with(replaced % 2 ? "1" : "2");
        wait_worker(&next);
        expect_int(worker_end(&w, SIGTERM), 0);
        w = next;
    }
    wait_more(100);
    enough = true;
    for (int i = 0; !published && i < 6000; i++)
        co_sleep(10);
    expect_true(wait_handled((int)seq, 60000));
    for (int64_t i = 1; i <= seq; i++)
        expect_int(handled[i], 1);
    expect_int(out_of_order, 0);
    expect_int(worker_end(&w, SIGTERM), 0);
    end();
}

static struct buf commands;

static void on_command(const struct amqp_delivery *d, void *arg)
{
    buf_addf(&commands, "%.*s %.*s\n", STR_ARG(d->routing_key), STR_ARG(d->body));
    amqp_ack(*(struct amqp_consumer **)arg, d->tag, d->epoch, false);
}

static void commands_reach_the_shards_queue(void)
{
    begin();
    struct buf err = {0}, queue = {0}, wanted = {0};
    struct amqp_consumer *consumer = NULL;
    char keys[2][32];
    uint64_t guild = (uint64_t)(GUILDS * 1000 + 3) << 22;
    buf_addf(&queue, "guildhall.%llu.commands.0", (unsigned long long)application);
    snprintf(keys[0], sizeof keys[0], "%llu.0", (unsigned long long)application);
    snprintf(keys[1], sizeof keys[1], "%llu.all", (unsigned long long)application);
    struct amqp_declare declares[] = {
        {.what = AMQP_EXCHANGE, .name = BROKER_COMMANDS, .type = "topic", .durable = true},
        {.what = AMQP_QUEUE, .name = queue.data, .durable = true},
        {.what = AMQP_BIND, .name = queue.data, .exchange = BROKER_COMMANDS, .routing_key = keys[0]},
        {.what = AMQP_BIND, .name = queue.data, .exchange = BROKER_COMMANDS, .routing_key = keys[1]}};
    consumer = amqp_consumer_new(services_env("AMQP_URL"), declares, 4, 10, on_command, &consumer, &err);
    amqp_consumer_add(consumer, queue.data);
    for (int i = 0; !amqp_consumer_connected(consumer) && i < 2400; i++)
        co_sleep(25);
    struct worker w = worker_start();
    publish_as(++seq, 3, "{\"gateway\":true}", 7);
    expect_true(wait_handled(1, 60000));
    buf_addf(
        &wanted,
        "%s {\"op\":4,\"d\":{\"guild_id\":\"%llu\",\"channel_id\":\"77\",\"self_mute\":true,\"self_deaf\":false}}\n"
        "%s {\"op\":3,\"d\":{\"since\":null,\"status\":\"idle\",\"activities\":[{\"name\":\"chess\",\"type\":3}],"
        "\"afk\":false}}\n"
        "%s {\"op\":8,\"d\":{\"guild_id\":\"%llu\",\"limit\":5,\"query\":\"al\",\"nonce\":\"n1\"}}\n",
        keys[0], (unsigned long long)guild, keys[1], keys[0], (unsigned long long)guild);
    for (int i = 0; commands.len < wanted.len && i < 2400; i++)
        co_sleep(25);
    expect_text(buf_str(&commands), wanted.data);
    expect_int(worker_end(&w, SIGTERM), 0);
    amqp_consumer_free(consumer);
    buf_done(&commands);
    buf_done(&wanted);
    buf_done(&queue);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(two_workers_share_and_keep_each_guilds_order),
        CO_TEST(another_takes_over_from_a_killed_worker),
        CO_TEST(a_stopping_worker_finishes_what_it_holds),
        CO_TEST(repetitions_and_old_owners_are_dropped),
        CO_TEST(what_always_fails_ends_with_the_dead_letters),
        CO_TEST(a_backlog_of_an_earlier_owner_is_handled),
        CO_TEST(what_a_former_worker_handled_is_not_repeated),
        CO_TEST(a_worker_that_stood_still_gives_back),
        CO_TEST(what_a_handler_is_at_work_on_is_not_given_to_another),
        CO_TEST(what_was_handled_outlives_an_emptied_redis),
        CO_TEST(threads_share_and_keep_each_guilds_order),
        CO_TEST(workers_are_replaced_under_load),
        CO_TEST(commands_reach_the_shards_queue),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("the worker SDK", tests, NULL, NULL);
}
