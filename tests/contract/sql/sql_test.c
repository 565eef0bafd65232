/* The contract of platform/io/sql.h, the same for every driver: values, batches, rows_min, errors, scripts, load. */
#include "platform/base/clock.h"
#include "tests/contract/sql/sql_fixture.h"

/* --- values ----------------------------------------------------------------------------------------------------- */

static void values_come_back_as_they_were_given(void)
{
    db_open_fresh();
    expect_int(run_sql("INSERT INTO things (id, n, name) VALUES ($1, $2, $3)", SQL_I(INT64_MAX), SQL_I(INT64_MIN),
                       SQL_C("h\xc3\xa4 \xf0\x9f\x8e\xb2 'quoted' \\ \"x\"\n")),
               0);
    expect_int(result.affected, 1);
    expect_int(result.row_count, 0);
    expect_int(run_sql("INSERT INTO things (id, n, name, parent) VALUES ($1, $2, $3, $4)", SQL_I(2), SQL_I(-1),
                       SQL_C(""), SQL_ID(0)),
               0);
    expect_int(read_sql("SELECT id, n, name, parent FROM things ORDER BY id DESC"), 0);
    expect_int(result.row_count, 2);
    expect_int(result.column_count, 4);
    expect_int(result.affected, 2);
    expect_int(sql_int(&result, 0, 0), INT64_MAX);
    expect_int(sql_id(&result, 0, 0), INT64_MAX);
    expect_int(sql_int(&result, 0, 1), INT64_MIN);
    expect_int(sql_cell(&result, 0, 1)->kind, SQL_INT);
    expect_text(sql_str(&result, 0, 2), "h\xc3\xa4 \xf0\x9f\x8e\xb2 'quoted' \\ \"x\"\n");
    expect_int(sql_cell(&result, 0, 3)->kind, SQL_NULL);
    expect_int(sql_int(&result, 0, 3), 0);
    expect_true(sql_str(&result, 0, 3).p == NULL);
    expect_int(sql_cell(&result, 1, 2)->kind, SQL_TEXT);
    expect_true(sql_str(&result, 1, 2).p != NULL && sql_str(&result, 1, 2).n == 0);
    db_close();
}

static void parameters_are_bound_by_their_number(void)
{
    db_open_fresh();
    expect_int(run_sql("INSERT INTO things (name, n, id) VALUES ($3, $2, $1)", SQL_I(1), SQL_I(2), SQL_C("three")), 0);
    expect_int(read_sql("SELECT id, n, name FROM things WHERE id = $1 AND id = $1", SQL_I(1)), 0);
    expect_int(sql_int(&result, 0, 1), 2);
    expect_text(sql_str(&result, 0, 2), "three");
    db_close();
}

static void numbers_in_text_and_truth_read_as_numbers(void)
{
    db_open_fresh();
    expect_int(run_sql("INSERT INTO things (id, name) VALUES (1, $1), (2, $2), (3, $3)", SQL_C("42"), SQL_C("-7"),
                       SQL_C("12x")),
               0);
    expect_int(result.affected, 3);
    expect_int(read_sql("SELECT name, id < 2, (SELECT sum(id) FROM things) FROM things ORDER BY id"), 0);
    expect_int(sql_int(&result, 0, 0), 42);
    expect_text(sql_str(&result, 0, 0), "42");
    expect_int(sql_int(&result, 1, 0), -7);
    expect_int(sql_int(&result, 2, 0), 0);
    expect_int(sql_int(&result, 0, 1), 1);
    expect_int(sql_int(&result, 1, 1), 0);
    expect_int(sql_int(&result, 0, 2), 6);
    db_close();
}

static void lists_of_ids_are_one_parameter(void)
{
    static const char text[] = "SELECT id FROM things WHERE id IN (SELECT id FROM sql_ids($1)) AND n < $2 ORDER BY id";
    db_open_fresh();
    expect_int(run_sql("INSERT INTO things (id, n) SELECT id, 5 FROM sql_ids($1)", SQL_C("3,1,2,9007199254740993")), 0);
    expect_int(result.affected, 4);
    expect_int(read_sql(text, SQL_C("9007199254740993,1,77"), SQL_I(6)), 0);
    expect_int(result.row_count, 2);
    expect_int(sql_int(&result, 1, 0), 9007199254740993);
    expect_int(read_sql(text, SQL_C(""), SQL_I(6)), 0);
    expect_int(result.row_count, 0);
    expect_int(read_sql("SELECT things.id FROM sql_ids($1) JOIN things ON things.id = sql_ids.id", SQL_C("2,8")), 0);
    expect_int(result.row_count, 1);
    db_close();
}

static void bad_text_is_refused(void)
{
    db_open_fresh();
    expect_int(run_sql("INSERT INTO things (id, name) VALUES (1, $1)", SQL_S(STR("a\0b"))), -EINVAL);
    expect_int(run_sql("INSERT INTO things (id, name) VALUES (1, $1)", SQL_C("\xff\xfe")), -EINVAL);
    expect_int(run_sql("INSERT INTO things (id, name) VALUES (1, $1)", SQL_C("\xed\xa0\x80")), -EINVAL);
    expect_int(count_things(), 0);
    db_close();
}

/* --- batches ---------------------------------------------------------------------------------------------------- */

static void a_batch_takes_effect_whole(void)
{
    struct sql_stmt s[] = {
        STMT("INSERT INTO things (id, n) VALUES ($1, 1)", SQL_I(1)),
        STMT("UPDATE things SET n = n + $1", SQL_I(10)),
        STMT("SELECT n FROM things WHERE id = $1", SQL_I(1)),
        STMT("DELETE FROM things WHERE id = $1", SQL_I(99)),
    };
    struct sql_result r[4];
    db_open_fresh();
    expect_int(sql_run(db, &arena, s, 4, r), 0);
    expect_int(r[0].affected, 1);
    expect_int(r[1].affected, 1);
    expect_int(sql_int(&r[2], 0, 0), 11);
    expect_int(r[3].affected, 0);
    expect_int(count_things(), 1);
    db_close();
}

static void a_failed_batch_leaves_nothing(void)
{
    struct sql_stmt s[] = {
        STMT("INSERT INTO things (id, name) VALUES ($1, $2)", SQL_I(1), SQL_C("a")),
        STMT("INSERT INTO things (id, name) VALUES ($1, $2)", SQL_I(2), SQL_C("b")),
        STMT("INSERT INTO things (id, name) VALUES ($1, $2)", SQL_I(3), SQL_C("a")), /* there is one */
        STMT("INSERT INTO things (id, name) VALUES ($1, $2)", SQL_I(4), SQL_C("d")),
    };
    struct sql_result r[4] = {{.affected = 77}};
    db_open_fresh();
    expect_int(sql_run(db, &arena, s, 4, r), -EEXIST);
    expect_int(r[0].affected, 77); /* set only on success */
    expect_int(count_things(), 0);
    expect_int(sql_run(db, NULL, s, 2, NULL), 0); /* nobody has to want the results */
    expect_int(count_things(), 2);
    db_close();
}

static void a_batch_too_wide_for_one_packet(void)
{
    enum { N = 200, BYTES = 20000 };
    struct sql_stmt *s = calloc(N, sizeof(*s));
    char *text = malloc(BYTES);
    struct sql_result r[N];
    db_open_fresh();
    memset(text, 'x', BYTES);
    for (int i = 0; i < N; i++) {
        struct sql_stmt one = STMT("INSERT INTO things (id, name) VALUES ($1, $2 || $3) RETURNING name", SQL_I(i),
                                   SQL_S(((struct str){text, BYTES})), SQL_C("."));
        s[i] = one;
        s[i].params[2] = SQL_S(arena_printf(&arena, "%d", i));
    }
    expect_int(sql_run(db, &arena, s, N, r), 0);
    expect_int(sql_str(&r[N - 1], 0, 0).n, BYTES + 3);
    expect_int(count_things(), N);
    free(text);
    free(s);
    db_close();
}

/* --- rows_min --------------------------------------------------------------------------------------------------- */

static void rows_min_of_every_kind_of_statement(void)
{
    db_open_fresh();
    expect_int(run_min(1, "INSERT INTO things (id, name) VALUES ($1, $2)", SQL_I(1), SQL_C("it's")), 0);
    expect_int(result.affected, 1);
    expect_int(result.row_count, 0);
    expect_int(run_min(1, "UPDATE things SET n = 5 WHERE id = $1", SQL_I(1)), 0);
    expect_int(result.affected, 1);
    expect_int(run_min(1, "UPDATE things SET n = 5 WHERE id = $1", SQL_I(2)), -ENODATA);
    expect_int(run_min(1, "UPDATE things SET n = n + 1 WHERE id = $1 RETURNING n, name, n", SQL_I(1)), 0);
    expect_int(result.row_count, 1);
    expect_int(result.column_count, 3);
    expect_int(sql_int(&result, 0, 2), 6);
    expect_text(sql_str(&result, 0, 1), "it's");
    expect_int(run_min(1, "UPDATE things SET n = n + 1 WHERE id = $1 RETURNING n", SQL_I(2)), -ENODATA);
    expect_int(run_min(1, "INSERT INTO things (id) VALUES ($1) ON CONFLICT DO NOTHING", SQL_I(1)), -ENODATA);
    expect_int(run_min(1, "INSERT INTO things (id) VALUES ($1) ON CONFLICT DO NOTHING", SQL_I(2)), 0);
    expect_int(run_min(2, "INSERT INTO things (id) VALUES ($1), ($2) ON CONFLICT DO NOTHING", SQL_I(2), SQL_I(3)),
               -ENODATA);
    expect_int(count_things(), 2);
    expect_int(run_min(1, "DELETE FROM things WHERE id = $1 -- the end", SQL_I(9)), -ENODATA);
    expect_int(run_min(1, "DELETE FROM things WHERE id = $1", SQL_I(2)), 0);
    db_close();
}

static void rows_min_of_queries(void)
{
    static const char with[] = "WITH low AS (SELECT id FROM things WHERE n < $1), rest AS (SELECT 1) "
                               "UPDATE things SET n = 100 WHERE id IN (SELECT id FROM low)";
    db_open_fresh();
    expect_int(run_sql("INSERT INTO things (id, n) VALUES (1, 1), (2, 2), (3, 30)"), 0);
    expect_int(run_min(2, "SELECT id, id FROM things WHERE n < $1 ORDER BY id DESC", SQL_I(10)), 0);
    expect_int(result.row_count, 2);
    expect_int(sql_int(&result, 0, 1), 2);
    expect_int(run_min(3, "SELECT id, id FROM things WHERE n < $1 ORDER BY id DESC", SQL_I(10)), -ENODATA);
    expect_int(run_min(3, with, SQL_I(10)), -ENODATA);
    expect_int(run_min(2, with, SQL_I(10)), 0);
    expect_int(result.affected, 2);
    expect_int(read_sql("SELECT count(*) FROM things WHERE n = 100"), 0);
    expect_int(sql_int(&result, 0, 0), 2);
    struct sql_stmt s = STMT("SELECT id FROM things WHERE n > $1", SQL_I(1000));
    s.rows_min = 1;
    expect_int(sql_read(db, &arena, &s, 1, &result), -ENODATA);
    db_close();
}

static void rows_min_takes_the_whole_batch_back(void)
{
    struct sql_stmt s[] = {
        STMT("INSERT INTO things (id) VALUES ($1)", SQL_I(1)),
        STMT("UPDATE things SET n = 1 WHERE id = $1", SQL_I(5)),
        STMT("INSERT INTO things (id) VALUES ($1)", SQL_I(2)),
    };
    db_open_fresh();
    expect_int(run_sql("INSERT INTO things (id, n) VALUES (4, 0)"), 0);
    s[1].rows_min = 1;
    expect_int(sql_run(db, &arena, s, 3, NULL), -ENODATA);
    expect_int(count_things(), 1);
    s[1].params[0] = SQL_I(4);
    expect_int(sql_run(db, &arena, s, 3, NULL), 0);
    expect_int(count_things(), 3);
    db_close();
}

/* --- errors ----------------------------------------------------------------------------------------------------- */

static void constraints_have_their_errors(void)
{
    db_open_fresh();
    expect_int(run_sql("INSERT INTO things (id, name) VALUES (1, 'a')"), 0);
    expect_int(run_sql("INSERT INTO things (id) VALUES (1)"), -EEXIST);
    expect_int(run_sql("INSERT INTO things (id, name) VALUES (2, 'a')"), -EEXIST);
    expect_int(run_sql("INSERT INTO things (id, parent) VALUES (2, 99)"), -ENOENT);
    expect_int(run_sql("INSERT INTO things (id, parent) VALUES (2, 1)"), 0);
    expect_int(run_sql("DELETE FROM things WHERE id = 1"), -ENOENT);
    expect_int(run_sql("INSERT INTO things (id, n) VALUES (3, $1)", SQL_N()), -EINVAL);
    expect_int(run_sql("INSERT INTO things (id, n) VALUES (3, 1000000)"), -EINVAL);
    expect_int(count_things(), 2);
    db_close();
}

static void what_has_no_name_is_an_io_error(void)
{
    static const char text[] = "SELECT count(*) FROM nowhere";
    db_open_fresh();
    expect_int(read_sql(text), -EIO);
    expect_int(run_sql("SELEKT 1"), -EIO);
    expect_int(count_things(), 0); /* the connection is as good as before */
    expect_int(sql_script(db, "CREATE TABLE nowhere (id BIGINT)"), 0);
    expect_int(read_sql(text), 0); /* and a statement that could not be prepared is tried again */
    db_close();
}

static void a_statement_survives_a_change_of_its_table(void)
{
    static const char text[] = "SELECT * FROM things";
    db_open_fresh();
    expect_int(run_sql("INSERT INTO things (id) VALUES (1)"), 0);
    for (int i = 0; i < 20; i++)
        expect_int(read_sql(text), 0);
    expect_int(result.column_count, 4);
    expect_int(sql_script(db, "ALTER TABLE things ADD COLUMN more TEXT DEFAULT 'm'"), 0);
    for (int i = 0; i < 20; i++)
        expect_int(read_sql(text), 0);
    expect_int(result.column_count, 5);
    expect_text(sql_str(&result, 0, 4), "m");
    db_close();
}

static void a_full_disk_is_told(void)
{
    db_open_fresh();
    if (db_kind == DB_POSTGRES) {
        expect_int(sql_script(db, "CREATE FUNCTION fail_with(state TEXT) RETURNS BIGINT LANGUAGE plpgsql AS"
                                  " 'BEGIN RAISE EXCEPTION USING ERRCODE = state; END'"),
                   0);
        expect_int(run_sql("INSERT INTO things (id) VALUES (fail_with($1))", SQL_C("53100")), -ENOSPC);
        expect_int(run_sql("INSERT INTO things (id) VALUES (fail_with($1))", SQL_C("XX000")), -EIO);
        expect_int(run_sql("INSERT INTO things (id) VALUES (fail_with($1))", SQL_C("40001")), -EAGAIN);
        expect_int(run_sql("INSERT INTO things (id) VALUES (fail_with($1))", SQL_C("57014")), -EAGAIN);
    } else {
        struct sql_stmt s = STMT("INSERT INTO things (id, name) VALUES ($1, $2)", SQL_I(1));
        char *text = malloc(1 << 20);
        memset(text, 'x', 1 << 20);
        s.params[s.param_count++] = SQL_S(((struct str){text, 1 << 20}));
        expect_int(sql_script(db, "PRAGMA max_page_count = 64"), 0);
        expect_int(sql_run(db, NULL, &s, 1, NULL), -ENOSPC);
        free(text);
    }
    expect_int(count_things(), 0);
    expect_int(run_sql("INSERT INTO things (id) VALUES (2)"), 0);
    db_close();
}

static void a_read_does_not_write(void)
{
    db_open_fresh();
    expect_int(read_sql("INSERT INTO things (id) VALUES (1)"), -EIO);
    expect_int(count_things(), 0);
    db_close();
}

static bool updates_stop;

static void updates_on_and_on(void *arg)
{
    (void)arg;
    while (!updates_stop)
        expect_int(sql_run(db, NULL, &(struct sql_stmt){.text = "UPDATE things SET n = n + 1"}, 1, NULL), 0);
}

static void a_batch_of_reads_sees_one_moment(void)
{
    struct co_group g = {0};
    struct sql_stmt s[5];
    struct sql_result r[5];
    db_open_fresh();
    updates_stop = false;
    expect_int(run_sql("INSERT INTO things (id) VALUES (1)"), 0);
    for (int i = 0; i < 3; i++)
        expect_int(co_group_spawn(&g, updates_on_and_on, NULL), 0);
    for (int i = 0; i < 5; i++)
        s[i] = (struct sql_stmt){.text = "SELECT n FROM things WHERE id = 1"};
    int64_t until_ms = clock_mono_ms() + 10000; /* a busy disk may keep the first update waiting for long */
    for (int64_t i = 0, seen = 0; i < 200 || (seen < 10 && clock_mono_ms() < until_ms); i++) {
        expect_int(sql_read(db, &arena, s, 5, r), 0);
        for (int k = 1; k < 5; k++)
            expect_int(sql_int(&r[k], 0, 0), sql_int(&r[0], 0, 0));
        seen = sql_int(&r[0], 0, 0);
        if (i >= 200)
            co_sleep(1);
    }
    expect_true(sql_int(&r[0], 0, 0) > 0);
    updates_stop = true;
    co_group_wait(&g);
    db_close();
}

/* --- scripts ---------------------------------------------------------------------------------------------------- */

static void scripts_take_effect_whole(void)
{
    db_open_fresh();
    expect_int(sql_script(db, "CREATE TABLE a (id BIGINT PRIMARY KEY); INSERT INTO a VALUES (1); -- ;\n"
                              "CREATE TABLE b (t TEXT DEFAULT ';');"),
               0);
    expect_int(sql_script(db, "INSERT INTO a VALUES (2); INSERT INTO b VALUES ('x'); INSERT INTO a VALUES (1);"),
               -EEXIST);
    expect_int(sql_script(db, "INSERT INTO a VALUES (3); SELEKT"), -EIO);
    expect_int(read_sql("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)"), 0);
    expect_int(sql_int(&result, 0, 0), 1);
    expect_int(sql_int(&result, 0, 1), 0);
    db_close();
}

/* --- load ------------------------------------------------------------------------------------------------------- */

enum { MANY = 1000 };
static int many_ok, many_failed;

/* Each adds a row of its own, one to a row that all share, and reads its own row back from wherever reads go. */
static void one_of_many(void *arg)
{
    struct arena a = {0};
    int64_t id = (int64_t)(intptr_t)arg;
    struct sql_stmt s[] = {
        STMT("INSERT INTO things (id, n) VALUES ($1, $2)", SQL_I(id), SQL_I(id)),
        STMT("UPDATE things SET n = n + 1 WHERE id = $1", SQL_I(0)),
    };
    struct sql_stmt own = STMT("SELECT n FROM things WHERE id = $1", SQL_I(id));
    struct sql_result r;
    s[1].rows_min = 1;
    bool ok = sql_run(db, &a, s, 2, NULL) == 0 && sql_read(db, &a, &own, 1, &r) == 0 && r.row_count == 1 &&
              sql_int(&r, 0, 0) == id;
    many_ok += ok;
    many_failed += !ok;
    arena_done(&a);
}

static void a_thousand_at_once(void)
{
    struct co_group g = {0};
    db_open_fresh();
    many_ok = many_failed = 0;
    expect_int(run_sql("INSERT INTO things (id) VALUES (0)"), 0);
    for (intptr_t i = 1; i <= MANY; i++)
        expect_int(co_group_spawn(&g, one_of_many, (void *)i), 0);
    co_group_wait(&g);
    expect_int(many_ok, MANY);
    expect_int(read_sql("SELECT n, (SELECT count(*) FROM things) FROM things WHERE id = 0"), 0);
    expect_int(sql_int(&result, 0, 0), MANY);
    expect_int(sql_int(&result, 0, 1), MANY + 1);
    db_close();
}

/* Some of a group fail, each with its own error, and take nothing of the others with them. */
static void one_of_the_mixed(void *arg)
{
    int64_t id = (int64_t)(intptr_t)arg, parent = id % 3 ? 0 : 5000;
    struct sql_stmt s[] = {
        STMT("INSERT INTO things (id) VALUES ($1)", SQL_I(id)),
        STMT("INSERT INTO things (id, parent) VALUES ($1, $2)", SQL_I(id + 1000), SQL_ID(parent)),
        STMT("UPDATE things SET n = 1 WHERE id = $1", SQL_I(id % 5 ? id : 6000)),
    };
    s[2].rows_min = 1;
    int error = sql_run(db, NULL, s, 3, NULL);
    expect_int(error, id % 3 == 0 ? -ENOENT : id % 5 == 0 ? -ENODATA : 0);
}

static void failures_keep_to_themselves(void)
{
    struct co_group g = {0};
    int wanted = 0;
    db_open_fresh();
    for (intptr_t i = 1; i <= 300; i++) {
        expect_int(co_group_spawn(&g, one_of_the_mixed, (void *)i), 0);
        wanted += i % 3 != 0 && i % 5 != 0;
    }
    co_group_wait(&g);
    expect_int(count_things(), wanted * 2);
    db_close();
}

/* Batches that only insert share a commit; one in ten is there already, one in seven fails on a reference. */
static void one_of_the_inserters(void *arg)
{
    int64_t id = (int64_t)(intptr_t)arg, own = id % 10 ? id : 0, parent = id % 7 ? 0 : 5000;
    struct arena a = {0};
    struct sql_result r[2];
    struct sql_stmt s[] = {
        STMT("INSERT INTO things (id, n) VALUES ($1, $2) RETURNING id", SQL_I(id + 1000), SQL_I(id)),
        STMT("INSERT INTO things (id, parent) VALUES ($1, $2)", SQL_I(own), SQL_ID(parent)),
    };
    s[0].rows_min = 1;
    int error = sql_run(db, &a, s, 2, r);
    expect_int(error, own == 0 ? -EEXIST : parent ? -ENOENT : 0);
    if (!error)
        expect_int(sql_int(&r[0], 0, 0), id + 1000);
    arena_done(&a);
}

static void inserts_that_share_a_commit_fail_alone(void)
{
    struct co_group g = {0};
    int wanted = 1;
    db_open_fresh();
    expect_int(run_sql("INSERT INTO things (id) VALUES (0)"), 0);
    for (intptr_t i = 1; i <= 400; i++) {
        expect_int(co_group_spawn(&g, one_of_the_inserters, (void *)i), 0);
        wanted += i % 10 && i % 7 ? 2 : 0;
    }
    co_group_wait(&g);
    expect_int(count_things(), wanted);
    db_close();
}

/* Row locks taken in opposite orders: whoever is told 0 has been counted, whoever is not has not. */
static void one_of_the_crossed(void *arg)
{
    int64_t odd = (int64_t)(intptr_t)arg % 2;
    struct sql_stmt s[] = {
        STMT("UPDATE things SET n = n + 1 WHERE id = $1", SQL_I(odd)),
        STMT("UPDATE things SET n = n + 1 WHERE id = $1", SQL_I(!odd)),
    };
    int error = sql_run(db, NULL, s, 2, NULL);
    many_ok += error == 0;
    many_failed += error != 0;
    expect_true(error == 0 || error == -EAGAIN);
}

static void crossed_locks_end(void)
{
    struct co_group g = {0};
    db_open_fresh();
    many_ok = many_failed = 0;
    expect_int(run_sql("INSERT INTO things (id) VALUES (0), (1)"), 0);
    for (intptr_t i = 0; i < 40; i++)
        expect_int(co_group_spawn(&g, one_of_the_crossed, (void *)i), 0);
    co_group_wait(&g);
    expect_int(many_ok + many_failed, 40);
    expect_true(many_ok > 0);
    expect_int(read_sql("SELECT n FROM things ORDER BY id"), 0);
    expect_int(sql_int(&result, 0, 0), many_ok);
    expect_int(sql_int(&result, 1, 0), many_ok);
    db_close();
}

/* --- opening and closing ---------------------------------------------------------------------------------------- */

static void malformed_urls_are_refused(void)
{
    static const char *const urls[] = {
        "", "mysql://x", "sqlite:", "postgresql://[::1/", "file:/x", "postgresql://h/db?nonsense=1"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        BUF_AUTO struct buf err = BUF_INIT(0);
        expect_true(sql_open(urls[i], 1, &err) == NULL);
        expect_true(err.len > 0 && !strchr(err.data, '\n'));
    }
}

static void waits_across_a_close(void *arg)
{
    *(int *)arg = run_sql("INSERT INTO things (id) VALUES (1)");
}

static void closing_answers_who_waits(void)
{
    struct co_group g = {0};
    int error = 1;
    db_open_fresh();
    for (int i = 0; i < 100 && !sql_ready(db); i++) /* scripts run on a connection of their own */
        co_sleep(50);
    expect_true(sql_ready(db));
    expect_int(sql_is_sqlite(db), db_kind != DB_POSTGRES);
    expect_int(co_group_spawn(&g, waits_across_a_close, &error), 0);
    sql_close(db);
    co_group_wait(&g);
    expect_int(error, -EHOSTDOWN);
    arena_done(&arena);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(values_come_back_as_they_were_given),
        CO_TEST(parameters_are_bound_by_their_number),
        CO_TEST(numbers_in_text_and_truth_read_as_numbers),
        CO_TEST(lists_of_ids_are_one_parameter),
        CO_TEST(bad_text_is_refused),
        CO_TEST(a_batch_takes_effect_whole),
        CO_TEST(a_failed_batch_leaves_nothing),
        CO_TEST(a_batch_too_wide_for_one_packet),
        CO_TEST(rows_min_of_every_kind_of_statement),
        CO_TEST(rows_min_of_queries),
        CO_TEST(rows_min_takes_the_whole_batch_back),
        CO_TEST(constraints_have_their_errors),
        CO_TEST(what_has_no_name_is_an_io_error),
        CO_TEST(a_statement_survives_a_change_of_its_table),
        CO_TEST(a_full_disk_is_told),
        CO_TEST(a_read_does_not_write),
        CO_TEST(a_batch_of_reads_sees_one_moment),
        CO_TEST(scripts_take_effect_whole),
        CO_TEST(a_thousand_at_once),
        CO_TEST(failures_keep_to_themselves),
        CO_TEST(inserts_that_share_a_commit_fail_alone),
        CO_TEST(crossed_locks_end),
        CO_TEST(malformed_urls_are_refused),
        CO_TEST(closing_answers_who_waits),
    };
    db_choose(argc, argv);
    return cmocka_run_group_tests_name("sql", tests, NULL, NULL);
}
