/* See sql_fixture.h. */
#include "tests/contract/sql/sql_fixture.h"

#include <unistd.h>

enum db_kind db_kind;
struct sql *db;
struct arena arena;
struct sql_result result;

static char folder[64], path[128], url[256];

void db_choose(int argc, char **argv)
{
    static const char *const names[] = {"memory", "file", "postgresql"};
    for (int i = 0; argc > 1 && i < 3; i++) {
        if (strcmp(argv[1], names[i]) == 0) {
            db_kind = (enum db_kind)i;
            return;
        }
    }
    fprintf(stderr, "usage: %s memory|file|postgresql\n", argv[0]);
    exit(2);
}

static void file_remove(void)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3 && folder[0]; i++) {
        char name[160];
        snprintf(name, sizeof(name), "%s%s", path, endings[i]);
        unlink(name);
    }
    if (folder[0])
        rmdir(folder);
    folder[0] = 0;
}

static void url_make(void)
{
    if (db_kind == DB_POSTGRES) {
        const char *env = getenv("DATABASE_URL");
        CHECK_MSG(env, "DATABASE_URL is not set: run under tests/support/with-services postgres --");
        snprintf(url, sizeof(url), "%s", env);
    } else if (db_kind == DB_MEMORY) {
        snprintf(url, sizeof(url), "sqlite::memory:");
    } else {
        file_remove();
        snprintf(folder, sizeof(folder), "/tmp/guildhall-sql-XXXXXX");
        CHECK(mkdtemp(folder));
        atexit(file_remove);
        snprintf(path, sizeof(path), "%s/test.db", folder);
        snprintf(url, sizeof(url), "sqlite:%s", path);
    }
}

void db_use(const char *other_url)
{
    snprintf(url, sizeof(url), "%s", other_url);
}

const char *db_url(void)
{
    return url;
}

const char *db_file_path(void)
{
    return path;
}

void db_open(void)
{
    struct buf err = BUF_INIT(0);
    db = sql_open(url, 4, &err);
    CHECK_MSG(db, "%s", err.data);
}

void db_open_fresh(void)
{
    url_make();
    db_open();
    if (db_kind == DB_POSTGRES)
        expect_int(sql_script(db, "DROP SCHEMA public CASCADE; CREATE SCHEMA public"), 0);
    expect_int(sql_script(db, "CREATE TABLE things (id BIGINT PRIMARY KEY, n BIGINT NOT NULL DEFAULT 0,"
                              " name TEXT UNIQUE, parent BIGINT REFERENCES things (id), CHECK (n < 1000000));"
                              "CREATE INDEX things_n ON things (n);"),
               0);
}

void db_close(void)
{
    sql_close(db);
    db = NULL;
    arena_done(&arena);
    co_sleep(20); /* work that was under way ends */
}

int run_params(bool read_only, int rows_min, const char *text, const struct sql_value *params, size_t count)
{
    struct sql_stmt s = {.text = text, .param_count = (int)count, .rows_min = rows_min};
    memcpy(s.params, params, sizeof(*params) * count);
    struct sql_result r;
    int error = read_only ? sql_read(db, &arena, &s, 1, &r) : sql_run(db, &arena, &s, 1, &r);
    if (!error)
        result = r;
    return error;
}

int64_t count_things(void)
{
    return read_sql("SELECT count(*) FROM things") ? -1 : sql_int(&result, 0, 0);
}
