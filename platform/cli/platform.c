/* The ports of a process of the platform, from settings to ready. Loop thread; the start runs on a coroutine because
 * servers may come later than the process. */
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/snowflake.h"
#include "platform/cli/cli.h"
#include "platform/io/admin.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include "platform/ports/outbox.h"
#include "platform/ports/store/store.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#define WORKER_IDS_MAX   1023
#define WORKER_LEASE_MS  30000
#define TOKENS_RELOAD_MS 60000

static struct {
    bool canceled;
    char owner[48];
    unsigned worker_id;
    uint64_t worker_epoch; /* 0: no lease held */
    bool renewing;
    struct loop_timer *tick;
    int64_t tokens_loaded_ms;
} process;

static bool database_ready(void *p)
{
    return sql_ready(((struct platform *)p)->ports.db);
}

static bool kv_is_ready(void *p)
{
    return kv_ready(((struct platform *)p)->ports.kv);
}

static bool bus_is_ready(void *p)
{
    return bus_ready(((struct platform *)p)->ports.bus);
}

static bool started(void *p)
{
    return ((struct platform *)p)->ready;
}

int platform_open(struct platform *p, const struct platform_urls *urls, struct buf *err)
{
    *p = (struct platform){0};
    p->ports.db = sql_open(urls->database, urls->database_connections, err);
    if (p->ports.db)
        p->ports.kv = kv_open(urls->redis, err);
    if (p->ports.kv)
        p->ports.bus = bus_open(urls->amqp, err);
    if (p->ports.bus)
        bus_set_durable(p->ports.bus, urls->bus_durable);
    if (p->ports.bus)
        p->ports.objects = objects_open(urls->objects_dir, err);
    if (!p->ports.objects) {
        platform_close(p);
        return -EINVAL;
    }
    p->tokens = token_registry_new(urls->secret);
    admin_check("database", database_ready, p);
    admin_check("kv", kv_is_ready, p);
    admin_check("bus", bus_is_ready, p);
    admin_check("started", started, p);
    return 0;
}

void platform_close(struct platform *p)
{
    loop_timer_free(process.tick);
    process.tick = NULL;
    if (p->ports.objects)
        objects_close(p->ports.objects);
    if (p->ports.bus)
        bus_close(p->ports.bus);
    if (p->ports.kv)
        kv_close(p->ports.kv);
    if (p->ports.db)
        sql_close(p->ports.db);
    token_registry_free(p->tokens);
    *p = (struct platform){0};
}

void platform_stop_waiting(void)
{
    process.canceled = true;
}

/* Waits a little, longer each time. False: give up. */
static bool retry(const char *what, int error, int64_t *wait_ms)
{
    if (process.canceled)
        return false;
    LOG_WARN("waiting", "for=%s error=\"%s\" next_ms=%lld", what, strerror(-error), (long long)*wait_ms);
    co_sleep(*wait_ms);
    *wait_ms = *wait_ms < 2000 ? *wait_ms * 2 : 2000;
    return !process.canceled;
}

static int schema_ready(struct platform *p, bool migrate)
{
    int64_t wait_ms = 50;
    for (;;) {
        int r = migrate ? store_migrate(p->ports.db) : store_schema_check(p->ports.db);
        if (r == -ESTALE || r == -EPROTO) {
            LOG_ERROR("schema version", "wanted=%d problem=\"%s\"", store_schema_version(),
                      r == -ESTALE ? "database is older: run `guildhall ctl migrate`"
                                   : "database is newer than this binary");
            return r;
        }
        if (r == 0)
            return 0;
        if (!retry("database", r, &wait_ms))
            return -ECANCELED;
    }
}

static int tokens_ready(struct platform *p)
{
    int64_t wait_ms = 50;
    for (int r; (r = token_registry_load(p->tokens, p->ports.db)) < 0;)
        if (!retry("database", r, &wait_ms))
            return -ECANCELED;
    process.tokens_loaded_ms = clock_mono_ms();
    return 0;
}

unsigned platform_worker_id(void)
{
    return process.worker_id;
}

static int worker_id_take(struct platform *p, int worker_id)
{
    if (worker_id >= 0 || kv_is_embedded(p->ports.kv)) {
        process.worker_id = worker_id >= 0 ? (unsigned)worker_id : 0;
        snowflake_init(process.worker_id);
        return 0;
    }
    int64_t wait_ms = 50;
    snprintf(process.owner, sizeof process.owner, "%08x%08x", randombytes_random(), randombytes_random());
    for (int r; (r = kv_lease_take_any(p->ports.kv, "worker", process.owner, WORKER_IDS_MAX, WORKER_LEASE_MS,
                                       &process.worker_id, &process.worker_epoch)) < 0;)
        if (!retry("kv", r, &wait_ms))
            return -ECANCELED;
    snowflake_init(process.worker_id);
    return 0;
}

static void lease_name(char out[32])
{
    snprintf(out, 32, "worker:%u", process.worker_id);
}

/* A lost lease is taken back as long as nobody has it: kv may have restarted empty. If somebody has, two processes
 * would make the same ids, so this one goes on with another. */
static void lease_renew(struct platform *p)
{
    char name[32];
    lease_name(name);
    int r = kv_lease_renew(p->ports.kv, name, process.owner, process.worker_epoch, WORKER_LEASE_MS);
    if (r == -EOWNERDEAD)
        r = kv_lease_take(p->ports.kv, name, process.owner, WORKER_LEASE_MS, &process.worker_epoch);
    if (r != -EBUSY)
        return;
    unsigned lost = process.worker_id;
    if (worker_id_take(p, -1) == 0)
        LOG_WARN("worker id lost", "worker_id=%u now=%u", lost, process.worker_id);
}

static void upkeep(void *arg)
{
    struct platform *p = arg;
    if (process.worker_epoch && !process.renewing) {
        process.renewing = true;
        lease_renew(p);
        process.renewing = false;
    }
    if (clock_mono_ms() - process.tokens_loaded_ms >= TOKENS_RELOAD_MS) {
        process.tokens_loaded_ms = clock_mono_ms();
        (void)token_registry_load(p->tokens, p->ports.db);
    }
}

static void tick(void *arg)
{
    (void)co_spawn(upkeep, arg);
}

int platform_start(struct platform *p, bool migrate, int worker_id)
{
    int r = schema_ready(p, migrate);
    if (r == 0)
        r = tokens_ready(p);
    if (r == 0)
        r = worker_id_take(p, worker_id);
    if (r < 0)
        return r;
    process.tick = loop_timer_new(tick, p);
    loop_timer_start(process.tick, WORKER_LEASE_MS / 5, WORKER_LEASE_MS / 5);
    p->ready = true;
    return 0;
}

void platform_release(struct platform *p)
{
    char name[32];
    lease_name(name);
    if (process.worker_epoch)
        (void)kv_lease_release(p->ports.kv, name, process.owner, process.worker_epoch);
    process.worker_epoch = 0;
}
