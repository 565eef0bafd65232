/* Brings the schema up to date: each migration is one transaction that also writes its version, so of several starters
 * one does it and the others see that it is done. Coroutine only. */
#include "platform/base/log.h"
#include "platform/ports/store/migrations.h"
#include "platform/ports/store/store.h"

#include <errno.h>

/* Which advisory lock: any number that nobody else takes. Held until the migration's transaction ends. */
#define LOCK_STATEMENT "SELECT pg_advisory_xact_lock(7168201504881203);\n"

int store_schema_version(void)
{
    return store_migrations[store_migration_count - 1].version;
}

/* 0 where there is no schema at all. */
static int version_read(struct sql *db, int *ret_version)
{
    static const struct sql_stmt in_sqlite = {
        .text = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'"};
    static const struct sql_stmt in_postgres = {
        .text = "SELECT CASE WHEN to_regclass('schema_version') IS NULL THEN 0 ELSE 1 END"};
    static const struct sql_stmt version = {.text = "SELECT coalesce(max(version), 0) FROM schema_version"};
    struct arena a = {0};
    struct sql_result r;
    int error = sql_read(db, &a, sql_is_sqlite(db) ? &in_sqlite : &in_postgres, 1, &r);
    if (!error && sql_int(&r, 0, 0) == 0)
        *ret_version = 0;
    else if (!error && (error = sql_read(db, &a, &version, 1, &r)) == 0)
        *ret_version = (int)sql_int(&r, 0, 0);
    arena_done(&a);
    return error;
}

/* The lines of a migration that are for this database: "--[postgresql]" and "--[sqlite]" begin what only one of them
 * gets, "--[both]" ends it. */
static void text_for(bool sqlite, struct str text, struct buf *out)
{
    bool mine = true;
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        struct str line = {text.p, end ? (size_t)(end - text.p) + 1 : text.n};
        if (str_starts(line, STR("--[")))
            mine = str_starts(line, STR("--[both]")) ||
                   str_starts(line, sqlite ? STR("--[sqlite]") : STR("--[postgresql]"));
        else if (mine)
            buf_add_str(out, line);
        text = (struct str){text.p + line.n, text.n - line.n};
    }
}

/* -EEXIST: the version is there already, or the migration found two of what must be one. */
static int migration_run(struct sql *db, const struct store_migration *m)
{
    BUF_AUTO struct buf text = BUF_INIT(0);
    if (!sql_is_sqlite(db))
        buf_adds(&text, LOCK_STATEMENT);
    buf_addf(&text,
             "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY);\n"
             "INSERT INTO schema_version (version) VALUES (%d);\n",
             m->version);
    text_for(sql_is_sqlite(db), str_c(m->text), &text);
    return buf_failed(&text) ? -EIO : sql_script(db, text.data);
}

static int migration_apply(struct sql *db, const struct store_migration *m)
{
    int error = migration_run(db, m), version = 0;
    if (error == -EEXIST && version_read(db, &version) == 0 && version >= m->version)
        return 0; /* somebody else has just done it */
    if (error)
        LOG_ERROR("migration_failed", "name=%s error=%d", m->name, -error);
    else
        LOG_INFO("migrated", "name=%s", m->name);
    return error;
}

int store_migrate(struct sql *db)
{
    int version, error = version_read(db, &version);
    if (!error && version > store_schema_version())
        return -EPROTO;
    for (int i = 0; i < store_migration_count && !error; i++)
        if (store_migrations[i].version > version)
            error = migration_apply(db, &store_migrations[i]);
    return error;
}

int store_schema_check(struct sql *db)
{
    int version, error = version_read(db, &version);
    if (error)
        return error;
    return version == store_schema_version() ? 0 : version < store_schema_version() ? -ESTALE : -EPROTO;
}
