/* Store: application commands and their permissions. Coroutine. */
#include "platform/ports/store/commands.h"

#include "platform/ports/store/rows.h"

#include <errno.h>

#define COMMAND_COLUMNS "id, application_id, guild_id, type, name, version, definition"

void store_command_put(struct commit *c, const struct application_command *cmd)
{
    commit_sql(c, 1,
               "INSERT INTO application_commands (" COMMAND_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7) "
               "ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, version = EXCLUDED.version, "
               "definition = EXCLUDED.definition",
               SQL_I(cmd->id), SQL_I(cmd->application_id), SQL_ID(cmd->guild_id), SQL_I(cmd->type), SQL_S(cmd->name),
               SQL_I(cmd->version), SQL_S(cmd->definition_json));
}

void store_command_delete(struct commit *c, uint64_t application_id, uint64_t guild_id, uint64_t id)
{
    commit_sql(c, 1,
               "DELETE FROM application_commands WHERE id = $1 AND application_id = $2 AND COALESCE(guild_id, 0) = $3",
               SQL_I(id), SQL_I(application_id), SQL_I(guild_id));
}

void store_commands_clear(struct commit *c, uint64_t application_id, uint64_t guild_id)
{
    commit_sql(c, 0, "DELETE FROM application_commands WHERE application_id = $1 AND COALESCE(guild_id, 0) = $2",
               SQL_I(application_id), SQL_I(guild_id));
}

static void commands_read(struct arena *a, const struct sql_result *r, struct application_command **ret,
                          unsigned *ret_count)
{
    *ret = ARENA_ARRAY(a, struct application_command, (size_t)r->row_count + 1);
    *ret_count = (unsigned)r->row_count;
    for (int i = 0; i < r->row_count; i++)
        (*ret)[i] = (struct application_command){.id = sql_id(r, i, 0),
                                                 .application_id = sql_id(r, i, 1),
                                                 .guild_id = sql_id(r, i, 2),
                                                 .type = (int)sql_int(r, i, 3),
                                                 .name = sql_str(r, i, 4),
                                                 .version = sql_id(r, i, 5),
                                                 .definition_json = sql_str(r, i, 6)};
}

int store_commands_list(struct sql *db, struct arena *a, uint64_t application_id, uint64_t guild_id,
                        struct application_command **ret, unsigned *ret_count)
{
    const struct sql_stmt s = {.text = "SELECT " COMMAND_COLUMNS " FROM application_commands "
                                       "WHERE application_id = $1 AND COALESCE(guild_id, 0) = $2 ORDER BY id",
                               .param_count = 2,
                               .params = {SQL_I(application_id), SQL_I(guild_id)}};
    struct sql_result r;
    int err = sql_read(db, a, &s, 1, &r);

    if (err == 0)
        commands_read(a, &r, ret, ret_count);
    return err;
}

int store_command_get(struct sql *db, struct arena *a, uint64_t id, struct application_command *ret)
{
    struct sql_result r;
    struct application_command *found;
    unsigned count;
    int err = rows_one(db, a, "SELECT " COMMAND_COLUMNS " FROM application_commands WHERE id = $1", SQL_I(id), &r);

    if (err < 0)
        return err;
    commands_read(a, &r, &found, &count);
    *ret = found[0];
    return 0;
}

int store_guild_commands(struct sql *db, struct arena *a, uint64_t guild_id, struct application_command **ret,
                         unsigned *ret_count)
{
    struct sql_result r;
    int err = rows_all(db, a,
                       "SELECT " COMMAND_COLUMNS " FROM application_commands WHERE guild_id = $1 OR "
                       "(guild_id IS NULL AND application_id IN (SELECT p.id FROM applications p "
                       "JOIN members m ON m.user_id = p.bot_id WHERE m.guild_id = $1)) ORDER BY id",
                       SQL_I(guild_id), &r);

    if (err == 0)
        commands_read(a, &r, ret, ret_count);
    return err;
}

int store_user_commands(struct sql *db, struct arena *a, uint64_t user_id, struct application_command **ret,
                        unsigned *ret_count)
{
    struct sql_result r;
    int err = rows_all(db, a,
                       "SELECT " COMMAND_COLUMNS " FROM application_commands WHERE guild_id IS NULL AND "
                       "application_id IN (SELECT application_id FROM user_installs WHERE user_id = $1) ORDER BY id",
                       SQL_I(user_id), &r);

    if (err == 0)
        commands_read(a, &r, ret, ret_count);
    return err;
}

void store_command_permissions_put(struct commit *c, const struct command_permissions *p)
{
    commit_sql(c, 0,
               "DELETE FROM application_command_permissions "
               "WHERE application_id = $1 AND guild_id = $2 AND command_id = $3",
               SQL_I(p->application_id), SQL_I(p->guild_id), SQL_I(p->command_id));
    if (str_eq(p->permissions_json, STR("[]")))
        return;
    commit_sql(c, 1,
               "INSERT INTO application_command_permissions (application_id, guild_id, command_id, permissions) "
               "VALUES ($1, $2, $3, $4)",
               SQL_I(p->application_id), SQL_I(p->guild_id), SQL_I(p->command_id), SQL_S(p->permissions_json));
}

void store_command_permissions_drop(struct commit *c, uint64_t application_id, uint64_t command_id)
{
    commit_sql(c, 0, "DELETE FROM application_command_permissions WHERE application_id = $1 AND command_id = $2",
               SQL_I(application_id), SQL_I(command_id));
}

void store_command_permissions_sweep(struct commit *c, uint64_t application_id)
{
    commit_sql(c, 0,
               "DELETE FROM application_command_permissions WHERE application_id = $1 AND command_id <> $1 AND "
               "command_id NOT IN (SELECT id FROM application_commands WHERE application_id = $1)",
               SQL_I(application_id));
}

int store_command_permissions_list(struct sql *db, struct arena *a, uint64_t application_id, uint64_t guild_id,
                                   struct command_permissions **ret, unsigned *ret_count)
{
    const struct sql_stmt s = {.text = "SELECT application_id, command_id, permissions "
                                       "FROM application_command_permissions WHERE guild_id = $1 AND "
                                       "(application_id = $2 OR CAST($2 AS BIGINT) = 0) "
                                       "ORDER BY application_id, command_id",
                               .param_count = 2,
                               .params = {SQL_I(guild_id), SQL_I(application_id)}};
    struct sql_result r;
    int err = sql_read(db, a, &s, 1, &r);

    if (err < 0)
        return err;
    *ret = ARENA_ARRAY(a, struct command_permissions, (size_t)r.row_count + 1);
    *ret_count = (unsigned)r.row_count;
    for (int i = 0; i < r.row_count; i++)
        (*ret)[i] = (struct command_permissions){.application_id = sql_id(&r, i, 0),
                                                 .guild_id = guild_id,
                                                 .command_id = sql_id(&r, i, 1),
                                                 .permissions_json = sql_str(&r, i, 2)};
    return 0;
}
