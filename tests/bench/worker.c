/* guildhall-worker-bench [--bin PATH] [throughput|latency]...: both by default; needs REDIS_URL and AMQP_URL
 * (tests/support/with-services redis rabbitmq -- ...).
 * throughput: events a second that 1, 2 and 4 workers on libguildhall handle, beside as many bare rabbitmq-c consumers
 * with the same prefetch and acknowledgements, out of full queues. latency: from the gateway's send to the worker's
 * handler, through a shard and RabbitMQ, and what it is made of, at fixed rates. Each part is a process; they meet in
 * shared memory. */
#include "tests/bench/bare.h"
#include "tests/bench/bench.h"

#include <guildhall/guildhall.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNS        3
#define EVENTS      20000 /* of a throughput run */
#define WORKERS_MAX 4
#define SECONDS     5 /* of a latency run */
#define RATE_MAX    2000
#define PARTITIONS  64
#define PATIENCE_NS 120000000000u
#define PAUSE_US    2000

enum sink { RAW, TYPED, LOOP }; /* a worker that gets JSON, one that gets structs, rabbitmq-c */
static const char *const sink_names[] = {"worker, raw events", "worker, typed events", "bare consumer"};

static struct shared {
    bool go, ready[WORKERS_MAX];
    unsigned handled;
    uint64_t last_ns;
    unsigned first, count; /* of the events the gateway sends next */
    double rate;
    uint32_t latency_us[RATE_MAX * SECONDS];
} * shared;

static unsigned events_so_far; /* no id comes twice */
static const char *program = "build/release/guildhall";

static void give_up(const char *what)
{
    fprintf(stderr, "guildhall-worker-bench: %s\n", what);
    exit(1);
}

/* --- those that handle --- */

static void handled_note(uint64_t stamp)
{
    uint64_t now = now_ns();
    unsigned n = __atomic_fetch_add(&shared->handled, 1, __ATOMIC_SEQ_CST);

    __atomic_store_n(&shared->last_ns, now, __ATOMIC_SEQ_CST);
    if (stamp && n < RATE_MAX * SECONDS)
        shared->latency_us[n] = (uint32_t)((now - stamp) / 1000);
}

static bool may_go(void)
{
    return __atomic_load_n(&shared->go, __ATOMIC_SEQ_CST);
}

static int on_message(struct gh_context *c, const struct gh_message *m, void *arg)
{
    (void)arg;
    while (!may_go())
        gh_sleep_ms(c, 5);
    handled_note(gh_json_id(m->nonce));
    return 0;
}

static uint64_t stamp_of(const char *body, size_t bytes)
{
    static const char key[] = "\"nonce\":\"";
    const char *at = memmem(body, bytes, key, sizeof key - 1);

    return at ? strtoull(at + sizeof key - 1, NULL, 10) : 0;
}

static int on_event(struct gh_context *c, const struct gh_event *e, void *arg)
{
    (void)arg;
    while (!may_go())
        gh_sleep_ms(c, 5);
    handled_note(stamp_of(e->json, strlen(e->json)));
    return 0;
}

static _Noreturn void worker_run(enum sink sink, int port)
{
    char admin[32];

    snprintf(admin, sizeof admin, "127.0.0.1:%d", port);
    setenv("GUILDHALL_ADMIN_LISTEN", admin, 1);
    setenv("GUILDHALL_LOG_LEVEL", "warn", 1);
    struct gh_bot *bot = gh_bot_new(&(struct gh_options){.token = BENCH_TOKEN, .proxy_url = "http://127.0.0.1:1/api"});
    if (!bot)
        _exit(1);
    if (sink == TYPED)
        gh_on_message_create(bot, on_message, NULL);
    else
        gh_on_event(bot, "MESSAGE_CREATE", on_event, NULL);
    _exit(gh_bot_run(bot));
}

static unsigned loop_number;

static void loop_ready(void)
{
    __atomic_store_n(&shared->ready[loop_number], true, __ATOMIC_SEQ_CST);
}

static void loop_told(const char *body, size_t bytes)
{
    while (!may_go())
        usleep(PAUSE_US);
    handled_note(stamp_of(body, bytes));
}

/* --- starting and ending them --- */

struct crew {
    enum sink sink;
    unsigned count;
    int pid[WORKERS_MAX], port[WORKERS_MAX];
};

static int free_port(void)
{
    int port;

    close(net_listen(&port));
    return port;
}

/* How many partitions the worker says it holds. */
static unsigned partitions_of(int port)
{
    static char answer[1 << 18];
    static const char name[] = "\nguildhall_worker_partitions ";
    int fd = net_try(port);

    if (fd < 0)
        return 0;
    http_request(fd, "GET", "/metrics", "", NULL, answer, sizeof answer);
    close(fd);
    const char *at = strstr(answer, name);
    return at ? (unsigned)strtoul(at + sizeof name - 1, NULL, 10) : 0;
}

static bool crew_shares(const struct crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++)
        if (crew->sink == LOOP ? !__atomic_load_n(&shared->ready[i], __ATOMIC_SEQ_CST)
                               : partitions_of(crew->port[i]) != PARTITIONS / crew->count)
            return false;
    return true;
}

static void crew_start(struct crew *crew, enum sink sink, unsigned count)
{
    uint64_t end = now_ns() + PATIENCE_NS;

    *crew = (struct crew){.sink = sink, .count = count};
    memset(shared->ready, 0, sizeof shared->ready);
    fflush(stdout);
    for (unsigned i = 0; i < count; i++) {
        crew->port[i] = free_port();
        crew->pid[i] = fork();
        if (crew->pid[i] != 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        loop_number = i;
        if (sink == LOOP)
            bare_consume(bare_open(), i, count, loop_ready, loop_told);
        worker_run(sink, crew->port[i]);
    }
    while (!crew_shares(crew))
        if (usleep(20000), now_ns() > end)
            give_up("the workers do not share the partitions");
}

static void crew_end(const struct crew *crew)
{
    for (unsigned i = 0; i < crew->count; i++)
        kill(crew->pid[i], crew->sink == LOOP ? SIGKILL : SIGTERM);
    for (unsigned i = 0; i < crew->count; i++)
        waitpid(crew->pid[i], NULL, 0);
}

static double crew_cpu_us(const struct crew *crew)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < crew->count; i++)
        sum += process_cpu_ns(crew->pid[i]);
    return (double)sum / 1e3;
}

static void handled_wait(unsigned count)
{
    uint64_t end = now_ns() + PATIENCE_NS;

    while (__atomic_load_n(&shared->handled, __ATOMIC_SEQ_CST) < count)
        if (usleep(PAUSE_US), now_ns() > end)
            give_up("events are missing");
}

/* --- throughput --- */

static void in_child(void (*fn)(void))
{
    int status, pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fn();
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        give_up("publishing failed");
}

static void fill(void)
{
    struct bare *b = bare_open();

    for (unsigned n = 0; n < EVENTS; n++)
        bare_publish(b, events_so_far + n, 0);
    bare_confirmed(b);
}

/* Out of full queues, each consumer with its prefetch at hand. */
static double throughput_run(enum sink sink, unsigned count, double *ret_cpu_us)
{
    struct crew crew;

    shared->go =
        true; /* what the last crew did not acknowledge comes again, and no partition moves while it is handled */
    crew_start(&crew, sink, count);
    usleep(300000);
    shared->go = false;
    shared->handled = 0;
    in_child(fill);
    events_so_far += EVENTS;
    usleep(300000); /* what is prefetched has come */
    double cpu = crew_cpu_us(&crew);
    uint64_t begun = now_ns();
    __atomic_store_n(&shared->go, true, __ATOMIC_SEQ_CST);
    handled_wait(EVENTS);
    *ret_cpu_us = (crew_cpu_us(&crew) - cpu) / EVENTS;
    double seconds = (double)(shared->last_ns - begun) / 1e9;
    crew_end(&crew);
    return EVENTS / seconds;
}

static void throughput(void)
{
    static const unsigned counts[] = {1, 2, 4};

    for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
        double rate[3][RUNS], cpu[3][RUNS], ratio[3][RUNS];
        for (int run = 0; run < RUNS; run++) {
            for (enum sink s = RAW; s <= LOOP; s++)
                rate[s][run] = throughput_run(s, counts[i], &cpu[s][run]);
            for (enum sink s = RAW; s <= LOOP; s++)
                ratio[s][run] = rate[s][run] / rate[LOOP][run];
        }
        for (enum sink s = RAW; s <= LOOP; s++)
            printf("throughput %u x %s: %.0f events/s, %.2f of the bare consumer's, %.1f us of processor time each\n",
                   counts[i], sink_names[s], median(rate[s], RUNS), median(ratio[s], RUNS), median(cpu[s], RUNS));
        fflush(stdout);
    }
}

/* --- latency --- */

static void due_wait(uint64_t due_ns)
{
    struct timespec t = {.tv_sec = (time_t)(due_ns / 1000000000), .tv_nsec = (long)(due_ns % 1000000000)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
        ;
}

static void gateway_turn(struct gateway_session *s)
{
    if (__atomic_load_n(&s->gateway->go, __ATOMIC_SEQ_CST) == s->done)
        return;
    s->done++;
    uint64_t begun = now_ns();
    for (unsigned n = 0; n < shared->count; n++) {
        due_wait(begun + (uint64_t)(n * 1e9 / shared->rate));
        gateway_say_event(s, shared->first + n, now_ns());
        gateway_flush(s);
    }
}

static void publish_at_rate(void)
{
    struct bare *b = bare_open();
    uint64_t begun = now_ns();

    for (unsigned n = 0; n < shared->count; n++) {
        due_wait(begun + (uint64_t)(n * 1e9 / shared->rate));
        bare_publish(b, shared->first + n, now_ns());
    }
    bare_confirmed(b);
}

struct figures {
    double p50_us, p99_us;
};

/* gateway NULL: published straight to RabbitMQ. */
static struct figures latency_run(struct gateway *gateway, enum sink sink, double rate)
{
    struct crew crew;

    shared->go = true;
    shared->first = events_so_far;
    shared->count = (unsigned)(rate * SECONDS);
    shared->rate = rate;
    events_so_far += shared->count;
    crew_start(&crew, sink, 1);
    usleep(300000);
    shared->handled = 0;
    if (gateway)
        __atomic_add_fetch(&gateway->go, 1, __ATOMIC_SEQ_CST);
    else
        in_child(publish_at_rate);
    handled_wait(shared->count);
    crew_end(&crew);
    times_sort(shared->latency_us, shared->count);
    return (struct figures){shared->latency_us[shared->count / 2], shared->latency_us[shared->count * 99 / 100]};
}

static void latency_at(struct gateway *gateway, double rate)
{
    static const char *const names[] = {"gateway to handler", "gateway to bare consumer", "bare publish to handler",
                                        "bare publish to bare consumer"};
    double p50[4][RUNS], p99[4][RUNS], ratio50[4][RUNS], ratio99[4][RUNS];

    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < 4; i++) {
            struct figures f = latency_run(i < 2 ? gateway : NULL, i % 2 ? LOOP : TYPED, rate);
            p50[i][run] = f.p50_us;
            p99[i][run] = f.p99_us;
        }
        for (int i = 0; i < 4; i++) {
            ratio50[i][run] = p50[i][run] / p50[3][run];
            ratio99[i][run] = p99[i][run] / p99[3][run];
        }
    }
    for (int i = 0; i < 4; i++)
        printf("latency at %.0f/s, %s: p50 %.2f ms, p99 %.2f ms; %.2f and %.2f of bare publish to bare consumer\n",
               rate, names[i], median(p50[i], RUNS) / 1e3, median(p99[i], RUNS) / 1e3, median(ratio50[i], RUNS),
               median(ratio99[i], RUNS));
    fflush(stdout);
}

static void latency(void)
{
    struct gateway *gateway = gateway_start(gateway_turn);
    int shard = gateway_shard_start(gateway, program, 1);
    uint64_t end = now_ns() + PATIENCE_NS;

    while (__atomic_load_n(&gateway->identified, __ATOMIC_SEQ_CST) == 0)
        if (usleep(20000), now_ns() > end)
            give_up("the shard does not identify");
    latency_at(gateway, 500);
    latency_at(gateway, 2000);
    process_end(shard);
    process_end(gateway->pid);
}

int main(int argc, char **argv)
{
    bool any = false;

    if (!getenv("REDIS_URL") || !getenv("AMQP_URL"))
        give_up("run it as: tests/support/with-services redis rabbitmq -- guildhall-worker-bench");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bin") == 0 && i + 1 < argc) {
            program = argv[++i];
            continue;
        }
        any = true;
        if (strcmp(argv[i], "throughput") == 0)
            throughput();
        else if (strcmp(argv[i], "latency") == 0)
            latency();
        else
            give_up("usage: guildhall-worker-bench [--bin PATH] [throughput|latency]...");
    }
    if (!any) {
        throughput();
        latency();
    }
    return 0;
}
