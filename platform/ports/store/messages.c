/* Messages, by (channel, id). Their nonces, and pins. Coroutine only. */
#include "platform/base/clock.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/ids.h"
#include "platform/ports/store/store.h"

#include <errno.h>

#define MESSAGE_COLUMNS                                                                                                \
    "channel_id, id, guild_id, author_id, type, flags, content, embeds, attachments, components, sticker_items, "      \
    "poll, "                                                                                                           \
    "mentions, mention_roles, mention_everyone, tts, reference, reference_id, nonce, nonce_is_number, edited_ms, "     \
    "webhook_id, interaction, pinned_ms"

#define MESSAGE_VALUES(c, m)                                                                                           \
    SQL_I(m->channel_id), SQL_I(m->id), SQL_ID(m->guild_id), SQL_I(m->author_id), SQL_I(m->type), SQL_I(m->flags),     \
        SQL_S(m->content.p ? m->content : STR("")), SQL_S(m->embeds_json), SQL_S(m->attachments_json),                 \
        SQL_S(m->components_json), SQL_S(m->sticker_items_json), SQL_S(m->poll_json),                                  \
        SQL_S(ids_join(c->arena, m->mentions, m->mention_count)),                                                      \
        SQL_S(ids_join(c->arena, m->mention_roles, m->mention_role_count)), SQL_I(m->mention_everyone), SQL_I(m->tts), \
        SQL_S(m->reference_json), SQL_ID(m->reference_id), SQL_S(m->nonce), SQL_I(m->nonce_is_number),                 \
        SQL_I(m->edited_ms), SQL_ID(m->webhook_id), SQL_S(m->interaction_json), SQL_I(m->pinned ? clock_wall_ms() : 0)

void store_message_insert(struct commit *c, const struct message *m)
{
    commit_sql(c, 1,
               "INSERT INTO messages (" MESSAGE_COLUMNS ") VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,"
               "$16,$17,$18,$19,$20,$21,$22,$23,$24)",
               MESSAGE_VALUES(c, m));
}

/* Without an id, which must not be NULL, nothing is inserted: so the statement stays a plain INSERT, of which many
 * share a transaction. */
void store_message_insert_checked(struct commit *c, const struct message *m, uint64_t guild_version,
                                  uint64_t user_version)
{
    commit_sql(c, 1,
               "INSERT INTO messages (" MESSAGE_COLUMNS ") VALUES ($1,"
               "CASE WHEN (SELECT g.access_version FROM guilds g WHERE g.id = $3) = $25 AND "
               "(SELECT u.access_version FROM users u WHERE u.id = $4) = $26 THEN CAST($2 AS BIGINT) END,"
               "$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,$24)",
               MESSAGE_VALUES(c, m), SQL_I(guild_version), SQL_I(user_version));
}

void store_message_update(struct commit *c, const struct message *m)
{
    commit_sql(c, 1,
               "UPDATE messages SET flags = $3, content = $4, embeds = $5, attachments = $6, components = $7, "
               "mentions = $8, mention_roles = $9, mention_everyone = $10, edited_ms = $11 "
               "WHERE channel_id = $1 AND id = $2",
               SQL_I(m->channel_id), SQL_I(m->id), SQL_I(m->flags), SQL_S(m->content.p ? m->content : STR("")),
               SQL_S(m->embeds_json), SQL_S(m->attachments_json), SQL_S(m->components_json),
               SQL_S(ids_join(c->arena, m->mentions, m->mention_count)),
               SQL_S(ids_join(c->arena, m->mention_roles, m->mention_role_count)), SQL_I(m->mention_everyone),
               SQL_I(m->edited_ms));
}

void store_message_delete(struct commit *c, uint64_t channel_id, uint64_t message_id)
{
    commit_sql(c, 1, "DELETE FROM messages WHERE channel_id = $1 AND id = $2", SQL_I(channel_id), SQL_I(message_id));
    store_reactions_clear(c, channel_id, message_id, STR_NONE, 0);
}

void store_messages_delete(struct commit *c, uint64_t channel_id, const uint64_t *ids, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        commit_sql(c, 0, "DELETE FROM messages WHERE channel_id = $1 AND id = $2", SQL_I(channel_id), SQL_I(ids[i]));
        store_reactions_clear(c, channel_id, ids[i], STR_NONE, 0);
    }
}

static void message_read(struct arena *a, const struct sql_result *r, int row, struct message *m)
{
    int col = 0;
    *m = (struct message){0};
    m->channel_id = sql_id(r, row, col++);
    m->id = sql_id(r, row, col++);
    m->guild_id = sql_id(r, row, col++);
    m->author_id = sql_id(r, row, col++);
    m->type = sql_int(r, row, col++);
    m->flags = sql_int(r, row, col++);
    m->content = sql_str(r, row, col++);
    m->embeds_json = sql_str(r, row, col++);
    m->attachments_json = sql_str(r, row, col++);
    m->components_json = sql_str(r, row, col++);
    m->sticker_items_json = sql_str(r, row, col++);
    m->poll_json = sql_str(r, row, col++);
    m->mentions = ids_split(a, sql_str(r, row, col++), &m->mention_count);
    m->mention_roles = ids_split(a, sql_str(r, row, col++), &m->mention_role_count);
    m->mention_everyone = sql_int(r, row, col++) != 0;
    m->tts = sql_int(r, row, col++) != 0;
    m->reference_json = sql_str(r, row, col++);
    m->reference_id = sql_id(r, row, col++);
    m->nonce = sql_str(r, row, col++);
    m->nonce_is_number = sql_int(r, row, col++) != 0;
    m->edited_ms = sql_int(r, row, col++);
    m->webhook_id = sql_id(r, row, col++);
    m->interaction_json = sql_str(r, row, col++);
    m->pinned = sql_int(r, row, col++) != 0;
}

static void messages_read(struct arena *a, const struct sql_result *r, struct message **ret, unsigned *ret_count)
{
    *ret = ARENA_ARRAY(a, struct message, (size_t)r->row_count + 1);
    for (int i = 0; i < r->row_count; i++)
        message_read(a, r, i, &(*ret)[i]);
    *ret_count = (unsigned)r->row_count;
}

static const struct sql_stmt message_get_stmt = {
    .text = "SELECT " MESSAGE_COLUMNS " FROM messages WHERE channel_id = $1 AND id = $2", .param_count = 2};

int store_message_get(struct sql *db, struct arena *a, uint64_t channel_id, uint64_t message_id, struct message *ret)
{
    struct message *found;
    unsigned count;
    int r = store_messages_get(db, a, channel_id, &message_id, 1, &found, &count);
    if (r == 0 && !count)
        r = -ENOENT;
    if (r == 0)
        *ret = found[0];
    return r;
}

int store_messages_get(struct sql *db, struct arena *a, uint64_t channel_id, const uint64_t *ids, unsigned count,
                       struct message **ret, unsigned *ret_count)
{
    struct message *found = ARENA_ARRAY(a, struct message, count + 1);
    unsigned found_count = 0;
    if (count) {
        struct sql_stmt *stmts = ARENA_ARRAY(a, struct sql_stmt, count);
        struct sql_result *results = ARENA_ARRAY(a, struct sql_result, count);
        for (unsigned i = 0; i < count; i++) {
            stmts[i] = message_get_stmt;
            stmts[i].params[0] = SQL_I(channel_id);
            stmts[i].params[1] = SQL_I(ids[i]);
        }
        int r = sql_read(db, a, stmts, (int)count, results);
        if (r < 0)
            return r;
        for (unsigned i = 0; i < count; i++)
            if (results[i].row_count)
                message_read(a, &results[i], 0, &found[found_count++]);
    }
    *ret = found;
    *ret_count = found_count;
    return 0;
}

/* Around: the older half with the message itself, and the newer half. */
static int messages_around(struct sql *db, struct arena *a, uint64_t channel_id, uint64_t id, unsigned limit,
                           struct message **ret, unsigned *ret_count)
{
    struct message *newer, *older;
    unsigned newer_count, older_count;
    int r = store_messages_list(db, a, channel_id, STORE_AFTER, id, limit / 2, &newer, &newer_count);
    if (r == 0)
        r = store_messages_list(db, a, channel_id, STORE_BEFORE, id + 1, limit - limit / 2, &older, &older_count);
    if (r < 0)
        return r;
    *ret = ARENA_ARRAY(a, struct message, newer_count + older_count + 1);
    memcpy(*ret, newer, sizeof *newer * newer_count);
    memcpy(*ret + newer_count, older, sizeof *older * older_count);
    *ret_count = newer_count + older_count;
    return 0;
}

int store_messages_list(struct sql *db, struct arena *a, uint64_t channel_id, enum store_list how, uint64_t id,
                        unsigned limit, struct message **ret, unsigned *ret_count)
{
    if (how == STORE_AROUND)
        return messages_around(db, a, channel_id, id, limit, ret, ret_count);
    struct sql_stmt stmt = {
        .text = how == STORE_AFTER ? "SELECT " MESSAGE_COLUMNS
                                     " FROM (SELECT * FROM messages WHERE channel_id = $1 AND id > $2 "
                                     "ORDER BY id LIMIT $3) AS page ORDER BY id DESC"
                                   : "SELECT " MESSAGE_COLUMNS
                                     " FROM messages WHERE channel_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        .param_count = 3,
        .params = {SQL_I(channel_id), SQL_I(how == STORE_LATEST ? INT64_MAX : (int64_t)id), SQL_I(limit)},
    };
    struct sql_result result;
    int r = sql_read(db, a, &stmt, 1, &result);
    if (r == 0)
        messages_read(a, &result, ret, ret_count);
    return r;
}

void store_message_nonce_put(struct commit *c, uint64_t channel_id, uint64_t author_id, struct str nonce,
                             uint64_t message_id)
{
    commit_sql(c, 1,
               "INSERT INTO message_nonces (channel_id, author_id, nonce, message_id, created_ms) "
               "VALUES ($1,$2,$3,$4,$5)",
               SQL_I(channel_id), SQL_I(author_id), SQL_S(nonce), SQL_I(message_id), SQL_I(clock_wall_ms()));
}

int store_message_nonce_get(struct sql *db, uint64_t channel_id, uint64_t author_id, struct str nonce, uint64_t *ret_id)
{
    struct arena a = {0};
    struct sql_stmt stmt = {
        .text = "SELECT message_id FROM message_nonces WHERE channel_id = $1 AND author_id = $2 AND nonce = $3",
        .param_count = 3,
        .params = {SQL_I(channel_id), SQL_I(author_id), SQL_S(nonce)},
    };
    struct sql_result result;
    int r = sql_read(db, &a, &stmt, 1, &result);
    if (r == 0 && !result.row_count)
        r = -ENOENT;
    if (r == 0)
        *ret_id = sql_id(&result, 0, 0);
    arena_done(&a);
    return r;
}

int store_message_nonce_sweep(struct sql *db, int64_t before_ms)
{
    struct arena a = {0};
    struct sql_stmt stmt = {
        .text = "DELETE FROM message_nonces WHERE created_ms < $1", .param_count = 1, .params = {SQL_I(before_ms)}};
    struct sql_result result;
    int r = sql_run(db, &a, &stmt, 1, &result);
    arena_done(&a);
    return r;
}

void store_pin_set(struct commit *c, uint64_t channel_id, uint64_t message_id, bool pinned, int64_t now_ms)
{
    if (!pinned) {
        commit_sql(c, 1, "UPDATE messages SET pinned_ms = 0 WHERE channel_id = $1 AND id = $2 AND pinned_ms > 0",
                   SQL_I(channel_id), SQL_I(message_id));
        return;
    }
    commit_sql(c, 1, "UPDATE messages SET pinned_ms = $3 WHERE channel_id = $1 AND id = $2 AND pinned_ms = 0",
               SQL_I(channel_id), SQL_I(message_id), SQL_I(now_ms));
    commit_sql(c, 0, "UPDATE channels SET last_pin_ms = $2 WHERE id = $1", SQL_I(channel_id), SQL_I(now_ms));
}

int store_pins_list(struct sql *db, struct arena *a, uint64_t channel_id, int64_t before_ms, unsigned limit,
                    struct message **ret, int64_t **ret_pinned_ms, unsigned *ret_count)
{
    struct sql_stmt stmt = {
        .text = "SELECT " MESSAGE_COLUMNS " FROM messages WHERE channel_id = $1 AND pinned_ms > 0 AND pinned_ms < $2 "
                "ORDER BY pinned_ms DESC, id DESC LIMIT $3",
        .param_count = 3,
        .params = {SQL_I(channel_id), SQL_I(before_ms), SQL_I(limit)},
    };
    struct sql_result result;
    int r = sql_read(db, a, &stmt, 1, &result);
    if (r < 0)
        return r;
    messages_read(a, &result, ret, ret_count);
    *ret_pinned_ms = ARENA_ARRAY(a, int64_t, *ret_count + 1);
    for (unsigned i = 0; i < *ret_count; i++)
        (*ret_pinned_ms)[i] = sql_int(&result, (int)i, result.column_count - 1);
    return 0;
}
