/* One change of a guild's structure at a time: coroutines of this process wait for each other in line, processes by a
 * lease in kv. Loop thread. */
#include "platform/api/api_private.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/io/co.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* Guilds share locks: a wait for a stranger is harmless and rare. */
#define STRIPES       1024
#define RETRY_WAIT_MS 5

static struct {
    struct co_mutex mutex;
    uint64_t epoch; /* of the lease; 0: none held */
} stripes[STRIPES];

static unsigned stripe_of(uint64_t guild_id)
{
    return (unsigned)((guild_id * UINT64_C(0x9E3779B97F4A7C15)) >> 54);
}

static void names(uint64_t guild_id, char name[48], char owner[32])
{
    snprintf(name, 48, "guild:%llu", (unsigned long long)guild_id);
    snprintf(owner, 32, "api:%d:%llx", (int)getpid(), (unsigned long long)(uintptr_t)stripes);
}

void api_guild_lock(struct api_ctx *x, uint64_t guild_id)
{
    unsigned i = stripe_of(guild_id);
    int64_t until = clock_mono_ms() + LIMIT_GUILD_LOCK_MS;
    char name[48], owner[32];

    if (x->locked_guild)
        return;
    x->locked_guild = guild_id;
    co_mutex_lock(&stripes[i].mutex);
    if (kv_is_embedded(x->ports->kv))
        return;
    names(guild_id, name, owner);
    while (kv_lease_take(x->ports->kv, name, owner, LIMIT_GUILD_LOCK_MS, &stripes[i].epoch) == -EBUSY &&
           clock_mono_ms() < until)
        co_sleep(RETRY_WAIT_MS);
}

void api_guild_unlock(struct api_ctx *x)
{
    unsigned i = stripe_of(x->locked_guild);
    char name[48], owner[32];

    if (!x->locked_guild)
        return;
    if (stripes[i].epoch) {
        names(x->locked_guild, name, owner);
        (void)kv_lease_release(x->ports->kv, name, owner, stripes[i].epoch);
        stripes[i].epoch = 0;
    }
    x->locked_guild = 0;
    co_mutex_unlock(&stripes[i].mutex);
}
