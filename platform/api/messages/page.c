/* A page of messages: loads what their JSON needs in few batches, and writes it. Coroutine; nothing outlives the
 * request. */
#include "platform/api/messages/messages.h"

#include "platform/base/jw.h"
#include "platform/base/log.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"
#include "platform/protocol/json_text.h"

static void id_want(struct map *seen, uint64_t *ids, unsigned *count, uint64_t id)
{
    if (id && !map_get(seen, id)) {
        map_put(seen, id, seen);
        ids[(*count)++] = id;
    }
}

static int references_load(struct api_ctx *x, struct message_page *p)
{
    uint64_t *ids = ARENA_ARRAY(x->arena, uint64_t, p->count + 1);
    struct map seen = {0};
    unsigned count = 0;
    for (unsigned i = 0; i < p->count; i++)
        id_want(&seen, ids, &count, p->messages[i].reference_id);
    map_done(&seen);
    if (!count)
        return 0;
    struct message *found;
    unsigned found_count;
    int r = store_messages_get(x->ports->db, x->arena, p->messages[0].channel_id, ids, count, &found, &found_count);
    for (unsigned i = 0; r == 0 && i < found_count; i++)
        map_put(&p->references, found[i].id, &found[i]);
    return r;
}

static unsigned people_count(const struct message *m)
{
    return 1 + m->mention_count;
}

static void people_want(struct map *seen, uint64_t *ids, unsigned *count, const struct message *m)
{
    id_want(seen, ids, count, m->author_id);
    for (unsigned i = 0; i < m->mention_count; i++)
        id_want(seen, ids, count, m->mentions[i]);
}

static int users_load(struct api_ctx *x, struct message_page *p)
{
    unsigned most = 1, count = 0;
    for (unsigned i = 0; i < p->count; i++) {
        const struct message *ref = map_get(&p->references, p->messages[i].reference_id);
        most += people_count(&p->messages[i]) + (ref ? people_count(ref) : 0);
    }
    uint64_t *ids = ARENA_ARRAY(x->arena, uint64_t, most);
    struct map seen = {0};
    for (unsigned i = 0; i < p->count; i++) {
        const struct message *ref = map_get(&p->references, p->messages[i].reference_id);
        people_want(&seen, ids, &count, &p->messages[i]);
        if (ref)
            people_want(&seen, ids, &count, ref);
    }
    map_done(&seen);
    struct user *users;
    unsigned user_count;
    int r = store_users_get(x->ports->db, x->arena, ids, count, &users, &user_count);
    for (unsigned i = 0; r == 0 && i < user_count; i++)
        map_put(&p->users, users[i].id, &users[i]);
    return r;
}

static int reactions_load(struct api_ctx *x, struct message_page *p, uint64_t viewer)
{
    uint64_t *ids = ARENA_ARRAY(x->arena, uint64_t, p->count + 1);
    for (unsigned i = 0; i < p->count; i++)
        ids[i] = p->messages[i].id;
    p->reactions = ARENA_ARRAY(x->arena, struct reaction_count *, p->count + 1);
    p->reaction_counts = ARENA_ARRAY(x->arena, unsigned, p->count + 1);
    return store_reactions_of(x->ports->db, x->arena, p->messages[0].channel_id, ids, p->count, viewer, p->reactions,
                              p->reaction_counts);
}

int message_page_load(struct api_ctx *x, struct message *messages, unsigned count, uint64_t viewer,
                      struct message_page *ret)
{
    *ret = (struct message_page){.messages = messages, .count = count};
    if (!count)
        return 0;
    int r = references_load(x, ret);
    if (r == 0)
        r = users_load(x, ret);
    if (r == 0)
        r = reactions_load(x, ret, viewer);
    if (r < 0)
        message_page_done(ret);
    return r;
}

int message_page_new(struct api_ctx *x, struct message *m, const struct user *author, struct message_page *ret)
{
    *ret = (struct message_page){.messages = m, .count = 1};
    ret->reactions = ARENA_NEW(x->arena, struct reaction_count *);
    ret->reaction_counts = ARENA_NEW(x->arena, unsigned);
    int r = references_load(x, ret);
    if (r == 0 && author && !m->mention_count && !ret->references.count)
        map_put(&ret->users, author->id, (void *)(uintptr_t)author);
    else if (r == 0)
        r = users_load(x, ret);
    if (r < 0)
        message_page_done(ret);
    return r;
}

void message_page_done(struct message_page *p)
{
    map_done(&p->users);
    map_done(&p->references);
}

static void user_or_ghost_write(struct buf *b, const struct message_page *p, uint64_t id)
{
    const struct user *u = map_get(&p->users, id);
    struct user ghost = {.id = id, .username = STR("Deleted User"), .discriminator = STR("0000"), .accent_color = -1};
    user_write(b, u ? u : &ghost);
}

static void mentions_write(struct buf *b, const struct message_page *p, const struct message *m)
{
    jw_karr(b, "mentions");
    for (unsigned i = 0; i < m->mention_count; i++)
        user_or_ghost_write(b, p, m->mentions[i]);
    jw_arr_end(b);
    jw_karr(b, "mention_roles");
    for (unsigned i = 0; i < m->mention_role_count; i++)
        jw_id(b, m->mention_roles[i]);
    jw_arr_end(b);
    jw_kbool(b, "mention_everyone", m->mention_everyone);
}

static struct str array_or_empty(struct str json)
{
    return json.n ? json : STR("[]");
}

static void reactions_write(struct buf *b, const struct reaction_count *counts, unsigned count)
{
    if (!count)
        return;
    jw_karr(b, "reactions");
    for (unsigned i = 0; i < count; i++) {
        jw_obj(b);
        jw_ki64(b, "count", counts[i].count);
        jw_kobj(b, "count_details");
        jw_ku64(b, "burst", 0);
        jw_ki64(b, "normal", counts[i].count);
        jw_obj_end(b);
        jw_kbool(b, "me", counts[i].me);
        jw_kbool(b, "me_burst", false);
        jw_kobj(b, "emoji");
        jw_kid(b, "id", counts[i].emoji_id);
        jw_kstr(b, "name", counts[i].emoji_name);
        jw_obj_end(b);
        jw_karr(b, "burst_colors");
        jw_arr_end(b);
        jw_obj_end(b);
    }
    jw_arr_end(b);
}

/* Everything but reactions and the referenced message; the object stays open. */
static void message_write_own(struct api_ctx *x, struct buf *b, const struct message_page *p, const struct message *m)
{
    jw_obj(b);
    jw_kid(b, "id", m->id);
    jw_kid(b, "channel_id", m->channel_id);
    jw_ki64(b, "type", m->type);
    jw_kstr(b, "content", m->content.p ? m->content : STR(""));
    jw_key(b, "author");
    user_or_ghost_write(b, p, m->author_id);
    jw_ktime_ms(b, "timestamp", snowflake_ms(m->id));
    jw_ktime_ms(b, "edited_timestamp", m->edited_ms);
    jw_kbool(b, "tts", m->tts && !p->told_again);
    mentions_write(b, p, m);
    jw_key(b, "attachments");
    attachments_write(x, b, m->channel_id, m->attachments_json);
    bool suppressed = m->flags & MESSAGE_SUPPRESS_EMBEDS;
    jw_kraw(b, "embeds",
            suppressed ? STR("[]")
                       : array_or_empty(attachments_in_embeds(x, m->channel_id, m->attachments_json, m->embeds_json)));
    jw_kraw(b, "components",
            array_or_empty(attachments_in_components(x, m->channel_id, m->attachments_json, m->components_json)));
    jw_kbool(b, "pinned", m->pinned);
    jw_ki64(b, "flags", m->flags);
    if (p->with_nonce && m->nonce.p && m->nonce_is_number)
        jw_kraw(b, "nonce", m->nonce);
    else if (p->with_nonce && m->nonce.p)
        jw_kstr(b, "nonce", m->nonce);
    if (m->reference_json.n)
        jw_kraw(b, "message_reference", m->reference_json);
    if (m->webhook_id) {
        jw_kid(b, "webhook_id", m->webhook_id);
        jw_kid(b, "application_id", m->webhook_id);
        (void)json_members_copy(b, m->interaction_json, NULL, 0);
    }
}

static void referenced_write(struct api_ctx *x, struct buf *b, const struct message_page *p, const struct message *m)
{
    if (m->type != MESSAGE_REPLY && !(m->type == MESSAGE_CONTEXT_MENU_COMMAND && m->reference_id))
        return;
    const struct message *ref = map_get(&p->references, m->reference_id);
    jw_key(b, "referenced_message");
    if (!ref) {
        jw_null(b);
        return;
    }
    message_write_own(x, b, p, ref);
    jw_obj_end(b);
}

void message_write(struct api_ctx *x, struct buf *b, const struct message_page *p, unsigned i)
{
    message_write_own(x, b, p, &p->messages[i]);
    reactions_write(b, p->reactions[i], p->reaction_counts[i]);
    referenced_write(x, b, p, &p->messages[i]);
    jw_obj_end(b);
}

void message_write_event(struct api_ctx *x, struct buf *b, const struct message_page *p, unsigned i,
                         const struct member *member)
{
    const struct message *m = &p->messages[i];
    message_write_own(x, b, p, m);
    reactions_write(b, p->reactions[i], p->reaction_counts[i]);
    referenced_write(x, b, p, m);
    if (m->guild_id)
        jw_kid(b, "guild_id", m->guild_id);
    if (member) {
        jw_key(b, "member");
        member_write(b, member, false);
    }
    jw_obj_end(b);
}

void message_page_write(struct api_ctx *x, struct buf *b, const struct message_page *p)
{
    jw_arr(b);
    for (unsigned i = 0; i < p->count; i++)
        message_write(x, b, p, i);
    jw_arr_end(b);
}

void message_event_head(struct buf *b, const struct channel *ch)
{
    jw_obj(b);
    jw_kid(b, "channel_id", ch->id);
    if (ch->guild_id)
        jw_kid(b, "guild_id", ch->guild_id);
}

struct str message_payload(struct arena *a, struct buf *b)
{
    struct str s = arena_str(a, buf_str(b));
    buf_done(b);
    return s;
}

static void event_fill(struct event *e, const struct channel *ch, uint64_t user_id, struct str data,
                       const uint64_t *mentions, unsigned mention_count)
{
    e->channel_id = ch->id;
    e->user_id = user_id;
    e->data = data;
    e->mentions = mentions;
    e->mention_count = mention_count < EVENT_MENTIONS_MAX ? mention_count : EVENT_MENTIONS_MAX;
}

void message_event(struct commit *c, enum event_type type, const struct channel *ch, uint64_t user_id, struct str data,
                   const uint64_t *mentions, unsigned mention_count)
{
    if (ch->guild_id) {
        event_fill(commit_event(c, type, ch->guild_id, false), ch, user_id, data, mentions, mention_count);
        return;
    }
    for (unsigned i = 0; i < ch->recipient_count; i++)
        event_fill(commit_event(c, type, ch->recipients[i].id, true), ch, user_id, data, mentions, mention_count);
}
