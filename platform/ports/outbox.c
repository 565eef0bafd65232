/* The outbox worker: marks what the bus confirmed, publishes what it did not, deletes what is old. One coroutine in
 * each process that commits; a lease lets one process at a time publish leftovers (two would only send repetitions,
 * which receivers drop by event id). Loop thread. */
#include "platform/ports/outbox.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/snowflake.h"
#include "platform/io/co.h"
#include "platform/ports/bus.h"
#include "platform/ports/kv.h"
#include "platform/ports/store/store.h"

#include <errno.h>
#include <stdio.h>

#define LEFTOVERS_AT_ONCE 256
#define LEFTOVER_ROUNDS   64 /* then what was confirmed meanwhile, and the sweep, have their turn */

static struct {
    const struct ports *ports;
    bool running;
    uint64_t *confirmed; /* ids waiting to be marked */
    unsigned count, cap;
    char owner[32];
    uint64_t lease_epoch;
    int64_t next_sweep_ms;
} outbox;

void outbox_confirmed(uint64_t event_id)
{
    if (!outbox.running || bus_is_embedded(outbox.ports->bus))
        return;
    if (outbox.count == outbox.cap) {
        if (outbox.cap >= LIMIT_OUTBOX_CONFIRMED)
            return; /* stays unmarked: published once more, and dropped by its id */
        outbox.cap = outbox.cap ? outbox.cap * 2 : 256;
        outbox.confirmed = mem_realloc(outbox.confirmed, sizeof *outbox.confirmed * outbox.cap);
    }
    outbox.confirmed[outbox.count++] = event_id;
}

static void flush_confirmed(void)
{
    unsigned count = outbox.count;
    if (!count)
        return;
    uint64_t *ids = outbox.confirmed;
    outbox.confirmed = NULL;
    outbox.count = outbox.cap = 0;
    int r = store_outbox_confirmed(outbox.ports->db, ids, count);
    if (r < 0)
        for (unsigned i = 0; i < count; i++)
            outbox_confirmed(ids[i]);
    mem_free(ids);
}

static bool lease_held(void)
{
    struct kv *kv = outbox.ports->kv;
    if (outbox.lease_epoch &&
        kv_lease_renew(kv, "outbox", outbox.owner, outbox.lease_epoch, LIMIT_OUTBOX_LEASE_MS) == 0)
        return true;
    outbox.lease_epoch = 0;
    return kv_lease_take(kv, "outbox", outbox.owner, LIMIT_OUTBOX_LEASE_MS, &outbox.lease_epoch) == 0;
}

/* True: there may be more. */
static bool publish_some(void)
{
    struct arena a = {0};
    struct event *events = NULL;
    unsigned count = 0;
    int64_t before = clock_wall_ms() - LIMIT_OUTBOX_PENDING_MS;
    int r = store_outbox_pending(outbox.ports->db, &a, before, LEFTOVERS_AT_ONCE, &events, &count);
    bool mine = r == 0 && count && lease_held();
    if (mine) {
        r = commit_publish(outbox.ports, events, count);
        LOG_INFO("outbox published", "events=%u error=%d", count, -r);
        flush_confirmed();
    }
    arena_done(&a);
    return mine && r == 0 && count == LEFTOVERS_AT_ONCE;
}

static void publish_leftovers(void)
{
    for (int i = 0; i < LEFTOVER_ROUNDS && outbox.running && publish_some(); i++)
        ;
}

static void sweep(void)
{
    int64_t now = clock_wall_ms();
    bool more = false;
    if (now < outbox.next_sweep_ms)
        return;
    (void)store_outbox_sweep(outbox.ports->db, now - LIMIT_OUTBOX_KEEP_MS, LIMIT_OUTBOX_SWEEP_ROWS, &more);
    if (more) /* in the next turn: what is confirmed must be marked meanwhile */
        return;
    outbox.next_sweep_ms = now + LIMIT_OUTBOX_SWEEP_MS;
    (void)store_message_nonce_sweep(outbox.ports->db, now - LIMIT_NONCE_KEEP_MS);
}

static void outbox_run(void *arg)
{
    (void)arg;
    for (int64_t turn = 0; outbox.running; turn++) {
        if (!bus_is_embedded(outbox.ports->bus)) {
            flush_confirmed();
            if (turn % 4 == 0)
                publish_leftovers();
        }
        sweep();
        co_sleep(250);
    }
    mem_free(outbox.confirmed);
    outbox.confirmed = NULL;
    outbox.count = outbox.cap = 0;
}

void outbox_start(const struct ports *p)
{
    outbox.ports = p;
    outbox.running = true;
    snprintf(outbox.owner, sizeof outbox.owner, "%llu", (unsigned long long)snowflake_next());
    (void)co_spawn(outbox_run, NULL);
}

void outbox_stop(void)
{
    outbox.running = false;
}
