/* What the shard's tests stand on: processes of `guildhall shard`, and a consumer in the workers' place. Loop thread.
 */
#include "tests/contract/shard/rig.h"

#include "cache/broker.h"
#include "platform/io/amqp.h"
#include "platform/io/http_client.h"
#include "platform/protocol/json_text.h"
#include "tests/support/services.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- what the workers get --- */

static struct amqp_consumer *consumer;
static struct broker_topology topology;
struct redis *redis;

struct got got;

static void on_delivery(const struct amqp_delivery *d, void *arg)
{
    uint64_t n = json_member_id(d->body, STR("id"));
    int64_t epoch = 0;

    (void)arg;
    if (n && n == got.reject) {
        amqp_reject(consumer, d->tag, d->epoch);
        return;
    }
    amqp_ack(consumer, d->tag, d->epoch, false);
    got.typings += str_eq(d->type, STR("TYPING_START"));
    got.presences += str_eq(d->type, STR("PRESENCE_UPDATE"));
    if (!str_eq(d->type, STR("MESSAGE_CREATE")))
        return;
    assert_in_range(n, 1, FAKE_EVENTS_MAX);
    if (str_starts(d->routing_key, STR("4242@")))
        epoch = got.epoch; /* replayed */
    else
        assert_true(amqp_delivery_header_int(d, BROKER_HEADER_EPOCH, &epoch));
    got.outdated += epoch < got.epoch;
    if (epoch > got.epoch)
        got.epoch = epoch;
    if (got.copies[n]++) {
        got.repeated++;
        got.renamed += !str_eq(d->message_id, str_c(got.ids[n]));
        return;
    }
    got.count++;
    snprintf(got.ids[n], sizeof got.ids[n], "%.*s", STR_ARG(d->message_id));
    unsigned guild = (unsigned)(json_member_id(d->body, STR("guild_id")) >> 22);
    assert_in_range(guild, 1, 15);
    got.disordered += n < got.last[guild];
    got.last[guild] = (unsigned)n;
}

/* --- shard processes --- */

int processes[PROCESSES];
struct shard_args shard_args;
static int ready_lines[PROCESSES];
static char admins[PROCESSES][64];

void shard_start(int at)
{
    char upstream[64];

    snprintf(upstream, sizeof upstream, "http://127.0.0.1:%d/api", fake_port());
    const char *program = services_env("GUILDHALL_BIN");
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    processes[at] = fork();
    if (processes[at] == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails ends at once */
        dup2(ends[1], 1);
        setenv("DISCORD_TOKEN", "NDI0Mg.x.y", 1);
        execl(program, "guildhall", "shard", "--upstream", upstream, "--redis-url", getenv("REDIS_URL"), "--amqp-url",
              getenv("AMQP_URL"), "--compress", "off", "--shards-max", shard_args.shards_max, "--intents",
              shard_args.intents, "--worker-groups", shard_args.worker_groups, "--shed-depth", shard_args.shed_depth,
              "--admin-listen", "127.0.0.1:0", "--log-level", getenv("SHARD_LOG") ? "debug" : "warn", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    if (ready_lines[at])
        close(ready_lines[at]);
    ready_lines[at] = ends[0];
    admins[at][0] = 0;
}

/* {"ready":"shard","admin":"http://127.0.0.1:PORT"} */
static bool admin_known(int at)
{
    char line[256];

    if (admins[at][0])
        return true;
    ssize_t n = read(ready_lines[at], line, sizeof line - 1);
    if (n <= 0)
        return false;
    line[n] = 0;
    const char *url = strstr(line, "http://");
    assert_non_null(url);
    snprintf(admins[at], sizeof admins[at], "%.*s", (int)strcspn(url, "\""), url);
    return true;
}

int shard_admin(int at, const char *path, struct buf *ret)
{
    struct http_client_options ho = {.user_agent = "test"};
    struct http_client *client = http_client_new(&ho);
    struct http_result r;
    char url[128];

    WAIT(admin_known(at));
    snprintf(url, sizeof url, "%s%s", admins[at], path);
    struct http_call_options o = {.method = "GET", .url = url, .timeout_ms = PATIENCE_MS, .body_max = 4u << 20};
    assert_int_equal(http_call_await(client, &o, &r), 0);
    int status = r.status;
    buf_clear(ret);
    buf_add_str(ret, buf_str(&r.body));
    http_result_done(&r);
    http_client_free(client);
    return status;
}

int shard_end(int at, int sig)
{
    int status = 0, pid = processes[at];
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;

    if (!pid)
        return 0;
    processes[at] = 0;
    kill(pid, sig);
    kill(pid, SIGCONT);
    while (waitpid(pid, &status, WNOHANG) == 0 && clock_mono_ms() < end_ms)
        co_sleep(20);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* --- a test's beginning and end --- */

void redis_flush(void)
{
    struct redis_reply *reply = NULL;

    WAIT(redis_connected(redis));
    assert_int_equal(redis_await(redis, 1, (struct str[]){STR("FLUSHALL")}, &reply), 0);
    redis_reply_free(reply);
}

bool redis_has(const char *key)
{
    struct redis_reply *reply = NULL;

    if (redis_await(redis, 2, (struct str[]){STR("EXISTS"), str_c(key)}, &reply) < 0)
        return false;
    bool has = redis_reply_int(reply) == 1;
    redis_reply_free(reply);
    return has;
}

void begin(void)
{
    static const char *groups[] = {BROKER_GROUP_DEFAULT};
    BUF_AUTO struct buf err = {0}, queue = {0};

    memset(&got, 0, sizeof got);
    shard_args =
        (struct shard_args){.shards_max = "1", .intents = "33280", .worker_groups = "workers", .shed_depth = "50000"};
    fake_start();
    redis = redis_new(services_env("REDIS_URL"), &err);
    redis_flush();
    broker_topology_init(&topology, APPLICATION, groups, 1);
    consumer =
        amqp_consumer_new(services_env("AMQP_URL"), topology.declares, topology.count, 1000, on_delivery, NULL, &err);
    assert_non_null(consumer);
    for (unsigned p = 0; p < BROKER_PARTITIONS; p++) {
        buf_clear(&queue);
        broker_queue(&queue, APPLICATION, BROKER_GROUP_DEFAULT, p);
        amqp_consumer_add(consumer, queue.data);
    }
    WAIT(amqp_consumer_connected(consumer));
}

/* Everything dispatched is there, in order; a second copy only under the first one's id. */
void all_came(void)
{
    WAIT(got.count == fake.emitted);
    assert_int_equal(got.disordered, 0);
    assert_int_equal(got.renamed, 0);
}

/* A process that is told to stop leaves what it has not read to its successor; here comes none. */
void end(void)
{
    all_came();
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(shard_end(i, SIGTERM), 0);
    all_came();
    amqp_consumer_free(consumer);
    broker_topology_done(&topology);
    redis_free(redis);
    fake_stop();
    co_sleep(50); /* for what they post */
}

uint64_t stored_seq_of(unsigned shard, unsigned shard_count, unsigned generation)
{
    struct redis_reply *reply = NULL;
    char key[96];
    uint64_t seq = 0;

    snprintf(key, sizeof key, "gh:4242:{shard:%u/%u}:session:%u", shard, shard_count, generation);
    if (redis_await(redis, 3, (struct str[]){STR("HGET"), str_c(key), STR("seq")}, &reply) < 0)
        return 0;
    seq = (uint64_t)redis_reply_int(reply);
    redis_reply_free(reply);
    return seq;
}

uint64_t stored_seq(void)
{
    return stored_seq_of(0, 1, 1);
}

void begin_live(void)
{
    begin();
    shard_start(0);
    WAIT(fake.live);
    fake_emit(20);
    WAIT(got.count == 20 && stored_seq() == fake_seq_of(20));
}

int ctl_run(char *out, size_t size, const char *const *words)
{
    const char *argv[16] = {"guildhall", "ctl"}, *program = services_env("GUILDHALL_BIN");
    int status = 0, argc = 2, ends[2], pid;
    int64_t end_ms = clock_mono_ms() + PATIENCE_MS;
    size_t n = 0;

    for (; *words; words++)
        argv[argc++] = *words;
    const char *settings[] = {"--token",           "NDI0Mg.x.y", "--redis-url",
                              getenv("REDIS_URL"), "--amqp-url", getenv("AMQP_URL")};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        argv[argc++] = settings[i];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], 1);
        execv(program, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(ends[1]);
    for (bool over = false; !over;) {
        over = waitpid(pid, &status, WNOHANG) != 0;
        for (ssize_t got_bytes; n + 1 < size && (got_bytes = read(ends[0], out + n, size - 1 - n)) > 0;)
            n += (size_t)got_bytes;
        if (clock_mono_ms() > end_ms)
            kill(pid, SIGKILL);
        if (!over)
            co_sleep(20);
    }
    out[n] = 0;
    close(ends[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
