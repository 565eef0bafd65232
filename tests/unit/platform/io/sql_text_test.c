/* sql_text.c: what statements become before they are prepared. */
#include "tests/support/cm.h"

#include "platform/io/sql_text.h"

static void check(enum sql_dialect dialect, const char *text, int rows_min, const char *wanted)
{
    BUF_AUTO struct buf out = BUF_INIT(0);
    sql_text_rewrite(dialect, text, rows_min, &out);
    assert_buf(&out, wanted);
}

static void leaves_the_rest_alone(void **state)
{
    (void)state;
    static const char text[] = "SELECT 'a;'';', \"b;\" -- sql_ids($1)\n /* sql_ids($2) */ FROM t_sql_ids($1)";
    check(SQL_DIALECT_POSTGRES, text, 0, text);
    check(SQL_DIALECT_SQLITE, text, 0, text);
    check(SQL_DIALECT_SQLITE, "SELECT 1 ; \n", 7, "SELECT 1");
    check(SQL_DIALECT_POSTGRES, "", 0, "");
    check(SQL_DIALECT_POSTGRES, "SELECT 'open", 0, "SELECT 'open");
    check(SQL_DIALECT_POSTGRES, "SELECT 1 /* open", 0, "SELECT 1 /* open");
}

static void expands_lists_of_ids(void **state)
{
    (void)state;
    static const char text[] = "SELECT id FROM sql_ids($12) WHERE 's' <> 'sql_ids($1)'";
    check(SQL_DIALECT_POSTGRES, text, 0,
          "SELECT id FROM unnest(CAST(string_to_array($12, ',') AS BIGINT[])) AS sql_ids(id) WHERE 's' <> "
          "'sql_ids($1)'");
    check(SQL_DIALECT_SQLITE, text, 0,
          "SELECT id FROM (SELECT value AS id FROM json_each('[' || $12 || ']')) AS sql_ids WHERE 's' <> "
          "'sql_ids($1)'");
}

#define COUNTED(n)                                                                                                     \
    "\nRETURNING 1) SELECT count(*), CAST(CASE WHEN count(*) >= " n " THEN '1' ELSE 'guildhall_rows_min' END AS "      \
    "INTEGER) FROM sql_guarded"
#define JOINED(n)                                                                                                      \
    "\n), sql_guard AS MATERIALIZED (SELECT CAST(CASE WHEN count(*) >= " n " THEN '1' ELSE 'guildhall_rows_min' END "  \
    "AS INTEGER) AS ok FROM sql_guarded) SELECT sql_guarded.* FROM sql_guard LEFT JOIN sql_guarded ON "                \
    "sql_guard.ok = 1"

static void guards_what_returns_nothing(void **state)
{
    (void)state;
    check(SQL_DIALECT_POSTGRES, "UPDATE t SET returning_x = (SELECT 1 RETURNING) WHERE a = 'RETURNING'", 1,
          "WITH sql_guarded AS (UPDATE t SET returning_x = (SELECT 1 RETURNING) WHERE a = 'RETURNING'" COUNTED("1"));
    check(SQL_DIALECT_POSTGRES, "insert into t select 1", 3,
          "WITH sql_guarded AS (insert into t select 1" COUNTED("3"));
    check(SQL_DIALECT_POSTGRES, "WITH a AS (SELECT 1), b AS (SELECT 2) DELETE FROM t", 1,
          "WITH a AS (SELECT 1), b AS (SELECT 2) , sql_guarded AS (DELETE FROM t" COUNTED("1"));
}

static void guards_what_returns_rows(void **state)
{
    (void)state;
    check(SQL_DIALECT_POSTGRES, "SELECT a FROM t", 1, "WITH sql_guarded AS (SELECT a FROM t" JOINED("1"));
    check(SQL_DIALECT_POSTGRES, "DELETE FROM t Returning a", 2,
          "WITH sql_guarded AS (DELETE FROM t Returning a" JOINED("2"));
    check(SQL_DIALECT_POSTGRES, "WITH RECURSIVE a AS (SELECT 1) SELECT a FROM a", 1,
          "WITH RECURSIVE a AS (SELECT 1) , sql_guarded AS (SELECT a FROM a" JOINED("1"));
}

static void leaves_plain_inserts_alone(void **state)
{
    (void)state;
    static const char plain[] = "INSERT INTO t (a) VALUES ($1), ((SELECT 1)) RETURNING a";
    check(SQL_DIALECT_POSTGRES, plain, 1, plain);
    check(SQL_DIALECT_POSTGRES, "INSERT INTO t VALUES (1), (2)", 2,
          "WITH sql_guarded AS (INSERT INTO t VALUES (1), (2)" COUNTED("2"));
    check(SQL_DIALECT_POSTGRES, "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", 1,
          "WITH sql_guarded AS (INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING" COUNTED("1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_the_rest_alone),       cmocka_unit_test(expands_lists_of_ids),
        cmocka_unit_test(guards_what_returns_nothing), cmocka_unit_test(guards_what_returns_rows),
        cmocka_unit_test(leaves_plain_inserts_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
