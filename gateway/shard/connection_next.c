/* A shard's connection beside another set of shards, which publishes: when it is ready to publish itself. Loop thread.
 */
#include "gateway/shard/connection_private.h"

#include "platform/base/clock.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/json_text.h"

#define INTENT_GUILDS  1u
#define SETTLE_MS      1000
#define GUILD_WAIT_MS  30000 /* since the last one: the others are not coming */
#define SETTLE_BLIND   5000  /* without the GUILDS intent nothing tells when guilds are loaded; */
#define BLIND_GUILD_MS 10    /* and so much for each */

static int guild_take(struct str value, void *arg)
{
    struct connection *c = arg;
    uint64_t id = json_member_id(value, STR("id"));

    if (id)
        map_put(&c->missing, id, c);
    c->ready_guilds++;
    return 0;
}

void connection_guilds_begin(struct connection *c, struct str guilds)
{
    map_done(&c->missing);
    c->ready_guilds = 0;
    c->guild_ms = clock_mono_ms();
    if (c->o.silent && guilds.n)
        json_elements_scan(guilds, guild_take, c);
}

void connection_guilds_event(struct connection *c, struct str type, struct str data)
{
    if (!c->o.silent || (!str_eq(type, STR("GUILD_CREATE")) && !str_eq(type, STR("GUILD_DELETE"))))
        return;
    map_del(&c->missing, json_member_id(data, STR("id")));
    c->guild_ms = clock_mono_ms();
}

static bool is_ready(const struct connection *c)
{
    int64_t quiet_ms = clock_mono_ms() - c->guild_ms;

    if (c->step != LIVE || c->paused)
        return false;
    if (!(c->o.intents & INTENT_GUILDS))
        return quiet_ms >= SETTLE_BLIND + (int64_t)c->ready_guilds * BLIND_GUILD_MS;
    return quiet_ms >= (c->missing.count == 0 ? SETTLE_MS : GUILD_WAIT_MS);
}

enum shard_progress connection_progress(const struct connection *c)
{
    if (c->dropped || c->leaving)
        return SHARD_NOT_READY;
    if (!is_ready(c))
        return SHARD_NOT_READY;
    return c->publishes ? SHARD_PUBLISHES : SHARD_READY;
}

void connection_publish(struct connection *c)
{
    if (c->publishes || c->dropped)
        return;
    c->publishes = true;
    pipeline_publish(c->pipeline);
}
