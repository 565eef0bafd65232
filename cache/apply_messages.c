/* How dispatches change messages and their reactions. Loop thread. */
#include "cache/apply.h"

#include "platform/protocol/envelope.h"

static struct batch_channel channel_of(struct call *c)
{
    struct batch *b = &c->w->batch;
    uint64_t id = apply_id_of(c->f.channel_id);

    return (struct batch_channel){id, batch_key_part(b, CACHE_MESSAGES, id), batch_key_order(b, id),
                                  batch_key_part(b, CACHE_REACTIONS, id)};
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
    uint64_t id = apply_id_of(c->f.id);

    if (c->f.author.n > 0 && c->f.webhook_id.n == 0)
        apply_user_put(c, c->f.author);
    if (!id || !apply_id_of(c->f.channel_id) || !apply_keeps(c->w, CACHE_MESSAGES))
        return;
    struct batch_channel channel = channel_of(c);
    batch_message(b, &channel, batch_id(b, id),
                  apply_kept(c, CACHE_MESSAGES, c->data, c->f.reactions.n > 0 ? "|reactions|" : NULL), c->w->o.messages,
                  c->w->o.message_ttl_s);
    version_keep(c);
}

/* A partial one (no author) would lose fields: the old message is better than half of the new one. */
void apply_message_update(struct call *c)
{
    struct batch *b = &c->w->batch;

    if (c->f.author.n == 0 || !apply_keeps(c->w, CACHE_MESSAGES))
        return;
    struct batch_channel channel = channel_of(c);
    batch_message_update(b, &channel, batch_id(b, apply_id_of(c->f.id)),
                         apply_kept(c, CACHE_MESSAGES, c->data, c->f.reactions.n > 0 ? "|reactions|" : NULL),
                         apply_keeps(c->w, CACHE_REACTIONS) ? c->f.reactions : STR_NONE);
    version_keep(c);
}

void apply_message_delete(struct call *c)
{
    struct batch *b = &c->w->batch;

    if (!apply_keeps(c->w, CACHE_MESSAGES))
        return;
    struct batch_channel channel = channel_of(c);
    batch_message_del(b, &channel, batch_id(b, apply_id_of(c->f.id)));
    version_keep(c);
}

struct bulk {
    struct batch *b;
    struct batch_channel channel;
};

static int message_drop(struct str value, void *arg)
{
    struct bulk *bulk = arg;

    batch_message_del(bulk->b, &bulk->channel, batch_id(bulk->b, apply_id_of(value)));
    return 0;
}

void apply_message_delete_bulk(struct call *c)
{
    if (!apply_keeps(c->w, CACHE_MESSAGES))
        return;
    struct bulk bulk = {&c->w->batch, channel_of(c)};
    json_elements_scan(c->f.ids, message_drop, &bulk);
    version_keep(c);
}

/* --- reactions --- */

static void reaction(struct call *c, int by)
{
    struct batch *b = &c->w->batch;

    if (c->f.emoji.n == 0 || !apply_keeps(c->w, CACHE_MESSAGES))
        return;
    struct batch_channel channel = channel_of(c);
    batch_reaction(b, &channel, batch_id(b, apply_id_of(c->f.message_id)), c->f.emoji, by,
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

    batch_del(b, channel_of(c).reactions, batch_id(b, apply_id_of(c->f.message_id)));
    version_keep(c);
}
