/* How dispatches change messages and their reactions. Loop thread. */
#include "cache/apply.h"

#include "platform/base/clock.h"
#include "platform/base/mem.h"
#include "platform/protocol/envelope.h"

#define RENEWED 16384 /* a power of two */

/* Channels whose messages' expiry was set lately, so that it is not set with each message. */
struct renewed {
    uint64_t channel;
    int64_t at_ms;
};

void apply_messages_forget(struct cache_writer *w)
{
    if (w->renewed)
        memset(w->renewed, 0, sizeof(*w->renewed) * RENEWED);
}

/* After a sixteenth of it. */
static bool expiry_is_due(struct cache_writer *w, uint64_t channel)
{
    int64_t now = clock_mono_ms();

    if (!w->renewed)
        w->renewed = mem_zalloc(sizeof(*w->renewed) * RENEWED);
    struct renewed *r = &w->renewed[(channel >> 22 ^ channel) % RENEWED];
    if (r->channel == channel && now - r->at_ms < w->o.message_ttl_s * INT64_C(1000) / 16)
        return false;
    *r = (struct renewed){channel, now};
    return true;
}

/* Outside guilds the version goes with the messages that it guards. */
static void version_keep(struct call *c)
{
    if (!c->guild)
        batch_version_keep(&c->w->batch, c->w->o.message_ttl_s);
}

/* A webhook's author is no user. */
void apply_message_create(struct call *c)
{
    struct batch *b = &c->w->batch;
    uint64_t id = apply_id_of(c->f.id), channel = apply_id_of(c->f.channel_id);

    if (c->f.author.n > 0 && c->f.webhook_id.n == 0)
        apply_user_put(c, c->f.author);
    if (!id || !channel || !apply_keeps(c->w, CACHE_MESSAGES))
        return;
    batch_message(b, channel, batch_id(b, id),
                  apply_kept(c, CACHE_MESSAGES, c->data, c->f.reactions.n > 0 ? "|reactions|" : NULL), c->w->o.messages,
                  c->w->o.message_ttl_s, expiry_is_due(c->w, channel));
    version_keep(c);
}

/* A partial one (no author) would lose fields: the old message is better than half of the new one. */
void apply_message_update(struct call *c)
{
    struct batch *b = &c->w->batch;

    if (c->f.author.n == 0 || !apply_keeps(c->w, CACHE_MESSAGES))
        return;
    batch_message_update(b, apply_id_of(c->f.channel_id), batch_id(b, apply_id_of(c->f.id)),
                         apply_kept(c, CACHE_MESSAGES, c->data, c->f.reactions.n > 0 ? "|reactions|" : NULL),
                         apply_keeps(c->w, CACHE_REACTIONS) ? c->f.reactions : STR_NONE);
    version_keep(c);
}

void apply_message_delete(struct call *c)
{
    struct batch *b = &c->w->batch;

    if (!apply_keeps(c->w, CACHE_MESSAGES))
        return;
    batch_message_del(b, apply_id_of(c->f.channel_id), batch_id(b, apply_id_of(c->f.id)));
    version_keep(c);
}

struct bulk {
    struct batch *b;
    uint64_t channel;
};

static int message_drop(struct str value, void *arg)
{
    struct bulk *bulk = arg;

    batch_message_del(bulk->b, bulk->channel, batch_id(bulk->b, apply_id_of(value)));
    return 0;
}

void apply_message_delete_bulk(struct call *c)
{
    if (!apply_keeps(c->w, CACHE_MESSAGES))
        return;
    struct bulk bulk = {&c->w->batch, apply_id_of(c->f.channel_id)};
    json_elements_scan(c->f.ids, message_drop, &bulk);
    version_keep(c);
}

/* --- reactions --- */

static void reaction(struct call *c, int by)
{
    struct batch *b = &c->w->batch;

    if (c->f.emoji.n == 0 || !apply_keeps(c->w, CACHE_MESSAGES))
        return;
    batch_reaction(b, apply_id_of(c->f.channel_id), batch_id(b, apply_id_of(c->f.message_id)), c->f.emoji, by,
                   apply_id_of(c->f.user_id) == c->w->own_user, apply_is_true(c->f.burst), c->f.burst_colors);
    version_keep(c);
}

void apply_reaction_add(struct call *c)
{
    reaction(c, 1);
}

void apply_reaction_remove(struct call *c)
{
    reaction(c, -1);
}

void apply_reaction_clear_emoji(struct call *c)
{
    reaction(c, 0);
}

void apply_reactions_clear(struct call *c)
{
    struct batch *b = &c->w->batch;

    batch_del(b, batch_key_part(b, CACHE_REACTIONS, apply_id_of(c->f.channel_id)),
              batch_id(b, apply_id_of(c->f.message_id)));
    version_keep(c);
}
