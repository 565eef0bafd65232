/* What the SQL drivers do when the database is locked, slow, killed or away: whatever was answered with 0 is stored,
 * whatever was answered with another error than -EHOSTDOWN is not, and they come back by themselves. */
#include "tests/contract/sql/sql_fixture.h"

#include "platform/base/clock.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

static int64_t since(int64_t start_ms)
{
    return clock_mono_ms() - start_ms;
}

/* --- locks and slow statements ----------------------------------------------------------------------------------- */

static void holds_the_table(void *arg)
{
    expect_int(sql_script(db, "LOCK TABLE things; SELECT pg_sleep(4.5)"), 0);
    *(bool *)arg = true;
}

static void a_lock_is_not_waited_for_forever(void)
{
    struct co_group g = {0};
    bool released = false;
    sqlite3 *other = NULL;
    if (db_kind == DB_MEMORY)
        return;
    db_open_fresh();
    if (db_kind == DB_POSTGRES) {
        expect_int(co_group_spawn(&g, holds_the_table, &released), 0);
        co_sleep(300);
    } else {
        expect_int(sqlite3_open(db_file_path(), &other), SQLITE_OK);
        expect_int(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    }
    int64_t start_ms = clock_mono_ms();
    expect_int(run_sql("INSERT INTO things (id) VALUES (1)"), -EAGAIN);
    expect_true(since(start_ms) > 2000 && since(start_ms) < 7500 && !released);
    sqlite3_close(other);
    co_group_wait(&g);
    expect_int(run_sql("INSERT INTO things (id) VALUES (1)"), 0);
    db_close();
}

static void sleeps_too_long(void *arg)
{
    (void)arg;
    struct sql_stmt s = STMT("SELECT 1 FROM pg_sleep(60)");
    expect_int(sql_run(db, NULL, &s, 1, NULL), -EAGAIN);
}

/* One slow statement holds up nobody but who was sent behind it. */
static void a_statement_does_not_run_forever(void)
{
    struct co_group g = {0};
    if (db_kind != DB_POSTGRES)
        return;
    db_open_fresh();
    int64_t start_ms = clock_mono_ms();
    expect_int(co_group_spawn(&g, sleeps_too_long, NULL), 0);
    co_sleep(200);
    for (int i = 0; i < 200; i++)
        expect_int(count_things(), 0);
    expect_true(since(start_ms) < 7000);
    co_group_wait(&g);
    expect_true(since(start_ms) > 7000 && since(start_ms) < 20000);
    db_close();
}

/* --- writers that keep book --------------------------------------------------------------------------------------- */

enum { WRITERS = 200, IDS_MAX = 400000 };
static unsigned char *outcome; /* of each id: 0 not tried, else one of these */
enum { STORED = 1, UNKNOWN, REFUSED };
static int64_t next_id;
static bool writers_stop;
static int stored, unknown, refused, reads_lost;

static void writes_on_and_on(void *arg)
{
    (void)arg;
    while (!writers_stop && next_id < IDS_MAX) {
        int64_t id = next_id++;
        struct sql_stmt s = STMT("INSERT INTO things (id) VALUES ($1)", SQL_I(id));
        struct sql_stmt look = STMT("SELECT 1 FROM things WHERE id = $1", SQL_I(id));
        int error = sql_run(db, NULL, &s, 1, NULL);
        expect_true(error == 0 || error == -EHOSTDOWN || error == -EAGAIN);
        outcome[id] = error == 0 ? STORED : error == -EHOSTDOWN ? UNKNOWN : REFUSED;
        stored += error == 0;
        unknown += error == -EHOSTDOWN;
        refused += error == -EAGAIN;
        look.rows_min = 1;
        int seen = error == 0 ? sql_read(db, NULL, &look, 1, NULL) : 0;
        expect_true(seen == 0 || seen == -EHOSTDOWN || seen == -EAGAIN);
        reads_lost += seen != 0;
        if (error)
            co_sleep(5);
    }
}

/* Runs `trouble` while writers write, lets them go on for a moment after it, then compares their book. */
static void write_through(void (*trouble)(void))
{
    struct co_group g = {0};
    outcome = calloc(IDS_MAX, 1);
    next_id = stored = unknown = refused = reads_lost = 0;
    writers_stop = false;
    for (int i = 0; i < WRITERS; i++)
        expect_int(co_group_spawn(&g, writes_on_and_on, NULL), 0);
    trouble();
    int before = stored;
    for (int i = 0; i < 300 && stored < before + WRITERS; i++)
        co_sleep(50);
    expect_true(stored >= before + WRITERS); /* they are back at work */
    writers_stop = true;
    co_group_wait(&g);
    expect_int(read_sql("SELECT id FROM things"), 0);
    for (int row = 0; row < result.row_count; row++) {
        unsigned char *o = &outcome[sql_int(&result, row, 0)];
        expect_true(*o == STORED || *o == UNKNOWN);
        *o = 0;
    }
    for (int64_t id = 0; id < next_id; id++)
        expect_true(outcome[id] != STORED);
    fprintf(stderr, "stored %d, unknown %d, refused %d, reads lost %d\n", stored, unknown, refused, reads_lost);
    free(outcome);
}

static void kill_connections(void)
{
    for (int i = 0; i < 10; i++) {
        co_sleep(100);
        expect_int(sql_script(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user"
                                  " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"),
                   0);
    }
}

static void killed_connections_come_back(void)
{
    if (db_kind != DB_POSTGRES)
        return;
    db_open_fresh();
    write_through(kill_connections);
    expect_true(stored > 200);
    expect_true(unknown <= 10 * WRITERS); /* each kill meets a writer once */
    expect_int(reads_lost, 0);
    db_close();
}

static void services_work(void *arg)
{
    char command[512];
    snprintf(command, sizeof(command), "\"$SERVICES\" %s \"$SERVICES_DIR\" postgres >&2", (const char *)arg);
    /* a killed server's children may be in the new one's way for a moment */
    for (int i = 0; i < 5; i++)
        if (system(command) == 0)
            return;
    CHECK_MSG(false, "%s", command);
}

static void services(const char *verb)
{
    co_work(services_work, (void *)(uintptr_t)verb);
}

static void stop_and_start(void)
{
    co_sleep(300);
    services("stop");
    co_sleep(500);
    expect_true(!sql_ready(db));
    services("start");
}

static void kill_and_start(void)
{
    co_sleep(300);
    services("kill");
    services("start");
}

static void a_stopped_server_is_waited_for(void)
{
    if (db_kind != DB_POSTGRES)
        return;
    db_open_fresh();
    write_through(stop_and_start);
    db_close();
}

static void a_killed_server_has_what_it_acknowledged(void)
{
    if (db_kind != DB_POSTGRES)
        return;
    db_open_fresh();
    write_through(kill_and_start);
    db_close();
}

/* --- silence ------------------------------------------------------------------------------------------------------ */

static pid_t backends[16];
static int backend_count;

static void backends_find(void)
{
    expect_int(read_sql("SELECT pid FROM pg_stat_activity WHERE usename = current_user AND backend_type = 'client "
                        "backend' LIMIT 16"),
               0);
    backend_count = result.row_count;
    for (int i = 0; i < backend_count; i++)
        backends[i] = (pid_t)sql_int(&result, i, 0);
}

static void backends_signal(int number)
{
    for (int i = 0; i < backend_count; i++)
        expect_int(kill(backends[i], number), 0);
}

static void a_server_that_says_nothing_is_given_up(void)
{
    if (db_kind != DB_POSTGRES)
        return;
    db_open_fresh();
    co_sleep(300); /* all connections are up */
    backends_find();
    expect_int(backend_count, 6);
    backends_signal(SIGSTOP);
    int64_t start_ms = clock_mono_ms();
    expect_int(run_sql("INSERT INTO things (id) VALUES (1)"), -EHOSTDOWN);
    expect_true(since(start_ms) > 9000 && since(start_ms) < 25000);
    start_ms = clock_mono_ms();
    expect_true(count_things() >= 0); /* on a new connection */
    expect_true(since(start_ms) < 25000);
    backends_signal(SIGCONT);
    expect_int(run_sql("INSERT INTO things (id) VALUES (2)"), 0);
    db_close();
}

static void nobody_there(void)
{
    struct buf err = BUF_INIT(0);
    const char *url = db_kind == DB_POSTGRES ? "postgresql://guildhall@127.0.0.1:1/guildhall" : "sqlite:/nowhere/x.db";
    if (db_kind == DB_MEMORY)
        return;
    db = sql_open(url, 2, &err);
    int64_t start_ms = clock_mono_ms();
    expect_int(count_things(), -1);
    expect_int(run_sql("INSERT INTO things (id) VALUES (1)"), -EHOSTDOWN);
    expect_true(!sql_ready(db));
    expect_true(since(start_ms) < 30000);
    expect_int(sql_script(db, "SELECT 1"), -EHOSTDOWN);
    db_close();
}

/* --- a process that dies ------------------------------------------------------------------------------------------ */

/* This program again, as a child that writes each id to standard output once it is stored. */
#define TELL_ENV "SQL_TEST_TELL_URL"

static void tells_what_it_stored(void)
{
    db_use(getenv(TELL_ENV));
    db_open();
    for (int64_t id = 0;; id++) {
        struct sql_stmt s = STMT("INSERT INTO things (id) VALUES ($1)", SQL_I(id));
        expect_int(sql_run(db, NULL, &s, 1, NULL), 0);
        CHECK(write(1, &id, sizeof(id)) == sizeof(id));
    }
}

static void makes_the_table(void)
{
    db_open_fresh();
    db_close();
}

static int64_t last_told;

static void finds_what_was_told(void)
{
    db_open();
    expect_true(last_told > 20);
    expect_true(count_things() > last_told);
    expect_int(run_sql("INSERT INTO things (id) VALUES (-1)"), 0);
    db_close();
}

static void what_a_killed_process_acknowledged_is_there(void **state)
{
    (void)state;
    int told[2];
    int64_t id;
    if (db_kind == DB_MEMORY)
        skip();
    co_test_run(makes_the_table);
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        setenv(TELL_ENV, db_url(), 1);
        dup2(told[1], 1);
        execl("/proc/self/exe", "tells", (char *)NULL);
        _exit(1);
    }
    close(told[1]);
    last_told = 0;
    int64_t start_ms = clock_mono_ms();
    while ((since(start_ms) < 700 || last_told < 50) && read(told[0], &id, sizeof(id)) == sizeof(id))
        last_told = id;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (read(told[0], &id, sizeof(id)) == sizeof(id))
        last_told = id;
    close(told[0]);
    co_test_run(finds_what_was_told);
}

static void files_wait_for_the_disk(void)
{
    if (db_kind != DB_FILE)
        return;
    db_open_fresh();
    expect_int(run_sql("SELECT synchronous, journal_mode FROM pragma_synchronous, pragma_journal_mode"), 0);
    expect_int(sql_int(&result, 0, 0), 2); /* FULL */
    expect_text(sql_str(&result, 0, 1), "wal");
    expect_int(run_sql("SELECT foreign_keys FROM pragma_foreign_keys"), 0);
    expect_int(sql_int(&result, 0, 0), 1);
    db_close();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(a_lock_is_not_waited_for_forever),
        CO_TEST(a_statement_does_not_run_forever),
        CO_TEST(killed_connections_come_back),
        CO_TEST(a_stopped_server_is_waited_for),
        CO_TEST(a_killed_server_has_what_it_acknowledged),
        CO_TEST(a_server_that_says_nothing_is_given_up),
        CO_TEST(nobody_there),
        cmocka_unit_test(what_a_killed_process_acknowledged_is_there),
        CO_TEST(files_wait_for_the_disk),
    };
    if (getenv(TELL_ENV)) {
        co_test_run(tells_what_it_stored);
        return 1;
    }
    db_choose(argc, argv);
    return cmocka_run_group_tests_name("sql_failure", tests, NULL, NULL);
}
