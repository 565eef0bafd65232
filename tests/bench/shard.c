/* What a shard process costs: events a second from a gateway to RabbitMQ, with the cache written, beside a loop that
 * only publishes the same bytes; and its memory for each shard. The gateway is a process of our own that writes
 * prepared frames. Needs REDIS_URL and AMQP_URL (tests/support/with-services). Coroutine; the gateway has a thread for
 * each connection. */
#include "tests/bench/bench.h"

#include "cache/broker.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/amqp.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include "platform/io/redis.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define APPLICATION   4242
#define RUNS          3
#define EVENTS        15000 /* all runs together stay under the test broker's memory alarm */
#define GUILDS        1000
#define MEMORY_SHARDS 33
#define PATIENCE_MS   120000

/* Between this program and its gateway. */
static struct shared {
    unsigned shards;     /* recommended */
    unsigned to_send;    /* raised by EVENTS: then they are sent on the first shard's connection */
    unsigned identified; /* sessions so far */
} * shared;

/* --- events --- */

static struct str event_body(struct buf *b, unsigned n)
{
    unsigned long long guild = (unsigned long long)(1 + n % GUILDS) << 22, id = (unsigned long long)n << 22 | 1;

    buf_clear(b);
    buf_addf(
        b,
        "{\"id\":\"%llu\",\"type\":0,\"content\":\"the quick brown fox jumps over the lazy dog, number %u\","
        "\"channel_id\":\"%llu\",\"guild_id\":\"%llu\",\"author\":{\"id\":\"100000000000000001\",\"username\":"
        "\"alice\",\"discriminator\":\"0\",\"global_name\":\"Alice\",\"avatar\":null,\"public_flags\":0},\"member\":{"
        "\"roles\":[\"100000000000000031\",\"100000000000000032\"],\"joined_at\":\"2026-01-01T00:00:00.000000+00:00\","
        "\"deaf\":false,\"mute\":false,\"nick\":null,\"flags\":0},\"attachments\":[],\"embeds\":[],\"mentions\":[],"
        "\"mention_roles\":[],\"mention_everyone\":false,\"pinned\":false,\"tts\":false,\"timestamp\":"
        "\"2026-01-01T00:00:00.000000+00:00\",\"edited_timestamp\":null,\"flags\":0,\"components\":[]}",
        id, n, guild | 7, guild);
    return buf_str(b);
}

/* --- the gateway, in a process of its own --- */

static void frame_send(int fd, struct buf *out, struct str text)
{
    unsigned char head[4] = {0x81, 126, (unsigned char)(text.n >> 8), (unsigned char)text.n};

    if (text.n < 126)
        head[1] = (unsigned char)text.n;
    buf_add(out, head, text.n < 126 ? 2 : 4);
    buf_add_str(out, text);
    if (fd >= 0) {
        net_write(fd, out->data, out->len);
        buf_clear(out);
    }
}

static void events_send(int fd, uint64_t *seq)
{
    struct buf out = BUF_INIT(1 << 20), body = BUF_INIT(1 << 16), text = BUF_INIT(1 << 16);

    for (unsigned n = 0; n < EVENTS; n++) {
        buf_clear(&text);
        buf_addf(&text, "{\"t\":\"MESSAGE_CREATE\",\"s\":%llu,\"op\":0,\"d\":", (unsigned long long)++*seq);
        buf_add_str(&text, event_body(&body, n));
        buf_addc(&text, '}');
        frame_send(-1, &out, buf_str(&text));
        if (out.len > 65536) {
            net_write(fd, out.data, out.len);
            buf_clear(&out);
        }
    }
    net_write(fd, out.data, out.len);
    buf_done(&out);
    buf_done(&body);
    buf_done(&text);
}

static void session_run(int fd, const char *request)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const char *key = strcasestr(request, "sec-websocket-key: ");
    char text[128], accept[64];
    unsigned char digest[SHA_DIGEST_LENGTH], in[8192];
    struct buf b = BUF_INIT(1 << 16), frame = BUF_INIT(1 << 16);
    uint64_t seq = 1;
    unsigned sent = 0, number;

    snprintf(text, sizeof text, "%.24s%s", key + 19, guid);
    SHA1((const unsigned char *)text, strlen(text), digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    buf_addf(&b,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
             "%s\r\n\r\n",
             accept);
    net_write(fd, b.data, b.len);
    usleep(20000);
    frame_send(fd, &frame, STR("{\"op\":10,\"d\":{\"heartbeat_interval\":600000}}"));
    if (read(fd, in, sizeof in) <= 0)
        return;
    number = __atomic_add_fetch(&shared->identified, 1, __ATOMIC_SEQ_CST);
    buf_clear(&b);
    buf_addf(&b,
             "{\"t\":\"READY\",\"s\":1,\"op\":0,\"d\":{\"session_id\":\"bench%u\",\"resume_gateway_url\":\"ws://"
             "127.0.0.1:1\","
             "\"guilds\":[]}}",
             number);
    frame_send(fd, &frame, buf_str(&b));
    for (;;) {
        fd_set none;
        struct timeval wait = {.tv_usec = 1000};
        FD_ZERO(&none);
        FD_SET(fd, &none);
        if (select(fd + 1, &none, NULL, NULL, &wait) > 0 && recv(fd, in, sizeof in, MSG_DONTWAIT) <= 0)
            break;
        while (sent < __atomic_load_n(&shared->to_send, __ATOMIC_SEQ_CST) && shared->shards == 1) {
            events_send(fd, &seq);
            sent += EVENTS;
        }
    }
    buf_done(&b);
    buf_done(&frame);
}

static int gateway_port;

static void *connection_main(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char request[8192], answer[1024], head[256];
    ssize_t n;

    while ((n = read(fd, request, sizeof request - 1)) > 0) {
        request[n] = 0;
        if (strcasestr(request, "sec-websocket-key")) {
            session_run(fd, request);
            break;
        }
        if (strstr(request, "/applications/@me"))
            snprintf(answer, sizeof answer, "{\"id\":\"%d\"}", APPLICATION);
        else
            snprintf(
                answer, sizeof answer,
                "{\"url\":\"ws://127.0.0.1:%d\",\"shards\":%u,\"session_start_limit\":{\"total\":1000,\"remaining\":"
                "1000,\"reset_after\":0,\"max_concurrency\":64}}",
                gateway_port, shared->shards);
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                 strlen(answer));
        net_write(fd, head, strlen(head));
        net_write(fd, answer, strlen(answer));
    }
    close(fd);
    return NULL;
}

static int gateway_start(void)
{
    int listener = net_listen(&gateway_port), pid = fork();

    if (pid) {
        close(listener);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, NULL, connection_main, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
    }
}

/* --- the shard --- */

static const char *program;

static int shard_start(unsigned shards)
{
    char upstream[64];
    int pid;

    shared->shards = shards;
    shared->identified = 0;
    shared->to_send = 0;
    snprintf(upstream, sizeof upstream, "http://127.0.0.1:%d/api", gateway_port);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("DISCORD_TOKEN", "NDI0Mg.x.y", 1);
        if (!freopen("/dev/null", "w", stdout))
            _exit(127);
        execl(program, "guildhall", "shard", "--upstream", upstream, "--redis-url", getenv("REDIS_URL"), "--amqp-url",
              getenv("AMQP_URL"), "--compress", "off", "--shards-max", "64", "--intents", "33280", "--log-level",
              "warn", (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void process_end(int pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void redis_flush(struct redis *redis)
{
    struct redis_reply *reply = NULL;

    while (redis_await(redis, 1, (struct str[]){STR("FLUSHALL")}, &reply) != 0)
        co_sleep(20);
    redis_reply_free(reply);
}

static uint64_t seq_stored(struct redis *redis)
{
    struct redis_reply *reply = NULL;

    if (redis_await(redis, 3, (struct str[]){STR("HGET"), STR("gh:4242:{shard:0/1}:session:1"), STR("seq")}, &reply) !=
        0)
        return 0;
    uint64_t seq = (uint64_t)redis_reply_int(reply);
    redis_reply_free(reply);
    return seq;
}

static void give_up(const char *what)
{
    fprintf(stderr, "guildhall-bench: %s\n", what);
    exit(1);
}

static void identified_wait(unsigned count)
{
    int64_t end = clock_mono_ms() + PATIENCE_MS;

    while (__atomic_load_n(&shared->identified, __ATOMIC_SEQ_CST) < count)
        if (co_sleep(20), clock_mono_ms() > end)
            give_up("the shards do not identify");
}

/* Events a second: from the first one written until Redis says that the broker has confirmed the last. */
static double shard_rate(struct redis *redis)
{
    int64_t end = clock_mono_ms() + PATIENCE_MS;

    redis_flush(redis);
    int pid = shard_start(1);
    identified_wait(1);
    co_sleep(1000);
    uint64_t begun = now_ns();
    __atomic_store_n(&shared->to_send, EVENTS, __ATOMIC_SEQ_CST);
    while (seq_stored(redis) < EVENTS + 1)
        if (co_sleep(5), clock_mono_ms() > end)
            give_up("the shard does not get on");
    double seconds = (double)(now_ns() - begun) / 1e9, cpu = (double)process_cpu_ns(pid) / 1e9;
    printf("  shard: %.0f events/s (%.1f us of its processor time each)\n", EVENTS / seconds, cpu * 1e6 / EVENTS);
    process_end(pid);
    return EVENTS / seconds;
}

/* --- the loop that only publishes --- */

static unsigned confirmed;

static void on_confirmed(int error, void *arg)
{
    (void)arg;
    if (error) {
        fprintf(stderr, "guildhall-bench: RabbitMQ: %s\n", strerror(-error));
        exit(1);
    }
    confirmed++;
}

static double publish_rate(struct amqp_publisher *publisher)
{
    struct buf key = BUF_INIT(256), body = BUF_INIT(1 << 16);
    char id[32], guild[24];

    confirmed = 0;
    uint64_t begun = now_ns();
    for (unsigned n = 0; n < EVENTS; n++) {
        unsigned long long tag = (unsigned long long)(1 + n % GUILDS) << 22;
        buf_clear(&key);
        broker_routing_key(&key, APPLICATION, STR("MESSAGE_CREATE"), broker_partition(tag));
        snprintf(id, sizeof id, "bench0:%u", n);
        snprintf(guild, sizeof guild, "%llu", tag);
        struct amqp_header headers[] = {
            {.name = BROKER_HEADER_SHARD, .is_int = true, .number = 0},
            {.name = BROKER_HEADER_SHARDS, .is_int = true, .number = 1},
            {.name = BROKER_HEADER_SEQ, .is_int = true, .number = n},
            {.name = BROKER_HEADER_GUILD, .value = str_c(guild)},
            {.name = BROKER_HEADER_SESSION, .value = STR("bench0")},
            {.name = BROKER_HEADER_EPOCH, .is_int = true, .number = 1},
        };
        struct amqp_message m = {.exchange = BROKER_EXCHANGE,
                                 .routing_key = key.data,
                                 .body = event_body(&body, n),
                                 .persistent = true,
                                 .message_id = id,
                                 .type = "MESSAGE_CREATE",
                                 .headers = headers,
                                 .header_count = sizeof headers / sizeof *headers};
        while (n - confirmed >= LIMIT_SHARD_PUBLISHING)
            co_sleep(1);
        amqp_publish(publisher, &m, on_confirmed, NULL);
    }
    while (confirmed < EVENTS)
        co_sleep(1);
    double seconds = (double)(now_ns() - begun) / 1e9;
    printf("  publishing alone: %.0f events/s\n", EVENTS / seconds);
    buf_done(&key);
    buf_done(&body);
    return EVENTS / seconds;
}

/* --- memory --- */

static long resident_kb(int pid)
{
    struct server s = {.pid = pid};

    return server_resident_kb(&s);
}

static long shards_kb(struct redis *redis, unsigned shards)
{
    redis_flush(redis);
    int pid = shard_start(shards);
    identified_wait(shards);
    co_sleep(2000);
    long kb = resident_kb(pid);
    process_end(pid);
    return kb;
}

static void shard_main(void *arg)
{
    static const char *groups[] = {BROKER_GROUP_DEFAULT};
    struct broker_topology topology;
    struct buf err = BUF_INIT(1024);
    double shard[RUNS], alone[RUNS], ratios[RUNS];

    (void)arg;
    struct redis *redis = redis_new(getenv("REDIS_URL"), &err);
    broker_topology_init(&topology, APPLICATION, groups, 1);
    struct amqp_publisher *publisher = amqp_publisher_new(getenv("AMQP_URL"), topology.declares, topology.count, &err);
    while (!amqp_publisher_connected(publisher) || !redis_connected(redis))
        co_sleep(20);
    for (int i = 0; i < RUNS; i++) {
        alone[i] = publish_rate(publisher);
        shard[i] = shard_rate(redis);
        ratios[i] = shard[i] / alone[i];
    }
    printf("shard events=%d: %.0f events/s to RabbitMQ with the cache written, %.2f of publishing alone (%.0f); "
           "medians of "
           "%d runs\n",
           EVENTS, median(shard, RUNS), median(ratios, RUNS), median(alone, RUNS), RUNS);
    long one = shards_kb(redis, 1), many = shards_kb(redis, MEMORY_SHARDS);
    printf("shard memory: %.1f MB resident with 1 shard, %.1f MB with %d: %.0f KB for each shard\n", (double)one / 1024,
           (double)many / 1024, MEMORY_SHARDS, (double)(many - one) / (MEMORY_SHARDS - 1));
    fflush(stdout);
    amqp_publisher_free(publisher);
    broker_topology_done(&topology);
    redis_free(redis);
    buf_done(&err);
    loop_stop();
}

void bench_shard(const char *bin)
{
    if (!getenv("REDIS_URL") || !getenv("AMQP_URL"))
        give_up("run it as: tests/support/with-services redis rabbitmq -- guildhall-bench shard");
    program = bin;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int gateway = gateway_start();
    loop_init();
    (void)co_spawn(shard_main, NULL);
    loop_run();
    loop_done();
    process_end(gateway);
}
