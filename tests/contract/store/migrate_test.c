/* store_migrate and store_schema_check: from nothing, again, by several at once, and where the database is newer. */
#include "tests/contract/sql/sql_fixture.h"

#include "platform/ports/store/store.h"

static void from_nothing_to_now(void)
{
    db_open_fresh();
    expect_true(store_schema_version() >= 1);
    expect_int(store_schema_check(db), -ESTALE);
    expect_int(store_migrate(db), 0);
    expect_int(store_schema_check(db), 0);
    expect_int(run_sql("INSERT INTO users (id, username, created_ms) VALUES (1, 'alice', 1)"), 0);
    expect_int(store_migrate(db), 0); /* nothing to do: nothing is lost */
    expect_int(read_sql("SELECT username, locale FROM users"), 0);
    expect_text(sql_str(&result, 0, 1), "en-US");
    db_close();
}

static void migrates(void *arg)
{
    struct buf err = BUF_INIT(0);
    struct sql *own = db_kind == DB_MEMORY ? db : sql_open(db_url(), 1, &err);
    int error = store_migrate(own);
    expect_int(error, 0);
    expect_int(store_schema_check(own), 0);
    *(int *)arg += error == 0;
    if (own != db)
        sql_close(own);
}

static void several_starters_at_once(void)
{
    struct co_group g = {0};
    int done = 0;
    db_open_fresh();
    for (int i = 0; i < 8; i++)
        expect_int(co_group_spawn(&g, migrates, &done), 0);
    co_group_wait(&g);
    expect_int(done, 8);
    expect_int(read_sql("SELECT count(*), max(version) FROM schema_version"), 0);
    expect_int(sql_int(&result, 0, 0), store_schema_version());
    expect_int(sql_int(&result, 0, 1), store_schema_version());
    db_close();
}

static void a_newer_database_is_left_alone(void)
{
    db_open_fresh();
    expect_int(store_migrate(db), 0);
    expect_int(run_sql("INSERT INTO schema_version (version) VALUES ($1)", SQL_I(store_schema_version() + 1)), 0);
    expect_int(store_migrate(db), -EPROTO);
    expect_int(store_schema_check(db), -EPROTO);
    db_close();
}

static void a_failed_migration_leaves_nothing(void)
{
    db_open_fresh();
    expect_int(sql_script(db, "CREATE TABLE outbox (id BIGINT)"), 0); /* in the way of the first migration */
    expect_int(store_migrate(db), -EIO);
    expect_int(store_schema_check(db), -ESTALE);
    expect_int(sql_script(db, "DROP TABLE outbox"), 0);
    expect_int(store_migrate(db), 0);
    expect_int(store_schema_check(db), 0);
    db_close();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(from_nothing_to_now),
        CO_TEST(several_starters_at_once),
        CO_TEST(a_newer_database_is_left_alone),
        CO_TEST(a_failed_migration_leaves_nothing),
    };
    db_choose(argc, argv);
    return cmocka_run_group_tests_name("store_migrate", tests, NULL, NULL);
}
