/* What the SQL contract tests share: the database named by the program's first argument (memory, file, postgresql),
 * made anew for each test, and short ways to run statements on it. */
#pragma once

#include "tests/support/co_test.h"

#include "platform/base/arena.h"
#include "platform/base/check.h"
#include "platform/io/sql.h"
#include <errno.h>

enum db_kind { DB_MEMORY, DB_FILE, DB_POSTGRES };
extern enum db_kind db_kind;
extern struct sql *db;
extern struct arena arena; /* of the test */

/* Reads the argument; exits with 2 when it is none of the three. */
void db_choose(int argc, char **argv);
/* An empty database with the table things (id, n, name UNIQUE, parent REFERENCES things), or an old one again. */
void db_open_fresh(void);
void db_open(void);
void db_close(void);
void db_use(const char *url); /* for db_open: another process's database */
const char *db_url(void);
const char *db_file_path(void);

/* One statement: its error; the result of a successful one in `result`. */
extern struct sql_result result;
int run_params(bool read_only, int rows_min, const char *text, const struct sql_value *params, size_t count);
#define PARAMS(...)                                                                                                    \
    (const struct sql_value[]){__VA_ARGS__}, sizeof((const struct sql_value[]){__VA_ARGS__}) / sizeof(struct sql_value)
#define run_sql(text, ...)           run_params(false, 0, text, PARAMS(__VA_ARGS__))
#define run_min(rows_min, text, ...) run_params(false, rows_min, text, PARAMS(__VA_ARGS__))
#define read_sql(text, ...)          run_params(true, 0, text, PARAMS(__VA_ARGS__))
#define STMT(text_, ...)                                                                                               \
    {                                                                                                                  \
        .text = (text_), .param_count = sizeof((const struct sql_value[]){__VA_ARGS__}) / sizeof(struct sql_value),    \
        .params = {                                                                                                    \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
int64_t count_things(void); /* rows in things; -1 when it cannot be read */
