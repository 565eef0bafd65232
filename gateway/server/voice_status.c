/* Statuses of voice channels: what the API has put beside the guild's voice states (field: the channel, value:
 * {"owner":"","status":"..."}). A status goes with the last who leaves the channel, and with the channel. Loop thread;
 * what reaches kv runs on coroutines.
 * Source: Discord API documentation, "Channel: Set Voice Channel Status", "Gateway Events: Voice Channel Status
 * Update".
 */
#include "gateway/server/server.h"

#include "platform/base/jw.h"
#include "platform/base/mem.h"
#include "platform/base/snowflake.h"
#include "platform/protocol/json_text.h"

static struct str value_of(const struct topic *t, uint64_t channel_id)
{
    uint64_t version;

    return t->standing ? entries_value(&t->standing->kinds[KV_VOICE], channel_id, STR(""), &version) : STR_NONE;
}

struct str voice_status_of(const struct topic *t, uint64_t channel_id)
{
    struct str value = value_of(t, channel_id);

    return value.n ? json_member(value, STR("status")) : STR_NONE;
}

static void tell(struct topic *t, uint64_t channel_id, struct str status)
{
    BUF_AUTO struct buf data = {0};

    jw_obj(&data);
    jw_kid(&data, "id", channel_id);
    jw_kid(&data, "guild_id", t->id);
    jw_kraw(&data, "status", status.n ? status : STR("null"));
    jw_obj_end(&data);
    struct event e = {.id = snowflake_next(),
                      .topic = t->id,
                      .type = EVENT_VOICE_CHANNEL_STATUS_UPDATE,
                      .channel_id = channel_id,
                      .data = buf_str(&data)};
    dispatch_event(t, &e);
}

bool voice_status_changed(struct topic *t, const struct entries_user *u, struct str old)
{
    struct str status = voice_status_of(t, u->user_id);

    if (!status.n && !(old.n && json_member(old, STR("status")).n))
        return false;
    if (t->state == TOPIC_LIVE && !t->stale && guild_state_slot(t->guild, u->user_id) >= 0)
        tell(t, u->user_id, status);
    return true;
}

struct dropping {
    struct topic *topic;
    uint64_t channel_id;
};

/* Every node that follows the guild comes to this; the first one does it. */
static void drop_run(void *arg)
{
    struct dropping *d = arg;
    struct topic *t = d->topic;
    struct gateway *g = t->g;
    struct arena a = {0};
    struct kv_change c = {.kind = KV_VOICE, .topic = t->id, .expect = arena_str(&a, value_of(t, d->channel_id))};

    c.field = arena_printf(&a, "%llu", (unsigned long long)d->channel_id);
    if (c.expect.n)
        (void)standing_change(t, &c);
    arena_done(&a);
    topic_release(t);
    mem_free(d);
    gateway_leave(g);
}

void voice_status_drop(struct topic *t, uint64_t channel_id)
{
    if (!voice_status_of(t, channel_id).n || t->g->stopping || t->stale)
        return;
    struct dropping *d = MEM_NEW(struct dropping);
    *d = (struct dropping){t, channel_id};
    topic_pin(t);
    if (gateway_spawn(t->g, drop_run, d) == 0)
        return;
    topic_release(t);
    mem_free(d);
}
