/* Rewrites statements for the two dialects: id lists and, for PostgreSQL, the guard of rows_min. It knows just enough
 * of SQL to skip what is quoted, commented or in parentheses. Pure; any thread. */
#include "platform/io/sql_text.h"

#include <ctype.h>

/* Steps over a quoted run, a comment or one character. */
static const char *skip_one(const char *p)
{
    const char *end = NULL;
    if (*p == '\'' || *p == '"')
        end = strchr(p + 1, *p);
    else if (p[0] == '-' && p[1] == '-')
        end = strchr(p, '\n');
    else if (p[0] == '/' && p[1] == '*')
        end = (end = strstr(p + 2, "*/")) ? end + 1 : NULL;
    else
        return p + 1;
    return end ? end + 1 : p + strlen(p);
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$';
}

static size_t word_length(const char *p)
{
    size_t n = 0;
    while (is_word(p[n]))
        n++;
    return n;
}

static bool word_is_one_of(const char *p, size_t n, const char *const *words)
{
    for (; *words; words++)
        if (str_eq_nocase((struct str){p, n}, str_c(*words)))
            return true;
    return false;
}

/* The first of `words` from p on that stands outside parentheses; NULL when there is none. */
static const char *find_word(const char *p, const char *const *words)
{
    int depth = 0;
    while (*p) {
        size_t n = word_length(p);
        if (n && depth == 0 && word_is_one_of(p, n, words))
            return p;
        depth += (*p == '(') - (*p == ')');
        p = n ? p + n : skip_one(p);
    }
    return NULL;
}

/* `*p` stands on sql_ids( : copies what the dialect has for it and returns what comes after the parenthesis. */
static const char *expand_ids(enum sql_dialect dialect, const char *p, struct buf *out)
{
    const char *open = strchr(p, '(') + 1;
    const char *close = strchr(open, ')');
    if (!close)
        close = open + strlen(open);
    struct str param = {open, (size_t)(close - open)};
    if (dialect == SQL_DIALECT_POSTGRES)
        buf_addf(out, "unnest(CAST(string_to_array(%.*s, ',') AS BIGINT[])) AS sql_ids(id)", STR_ARG(param));
    else
        buf_addf(out, "(SELECT value AS id FROM json_each('[' || %.*s || ']')) AS sql_ids", STR_ARG(param));
    return *close ? close + 1 : close;
}

static void copy_text(enum sql_dialect dialect, const char *p, const char *end, struct buf *out)
{
    while (p < end) {
        size_t n = word_length(p);
        if (n == 7 && memcmp(p, "sql_ids", 7) == 0 && p[7] == '(') {
            p = expand_ids(dialect, p, out);
            continue;
        }
        const char *next = n ? p + n : skip_one(p);
        buf_add(out, p, (size_t)(next - p));
        p = next;
    }
}

static const char *text_end(const char *text)
{
    const char *end = text + strlen(text);
    while (end > text && (isspace((unsigned char)end[-1]) || end[-1] == ';'))
        end--;
    return end;
}

/* WITH guarded AS (statement) SELECT ... : the cast fails when the count is too small. A count of its own when the
 * statement returns nothing; else the rows come through a join that cannot be had without the guard's value. The
 * statement may end in a comment: hence the new lines. */
static enum sql_shape guard(const char *text, int rows_min, struct buf *out)
{
    static const char *const with[] = {"WITH", NULL};
    static const char *const mains[] = {"SELECT", "VALUES", "INSERT", "UPDATE", "DELETE", NULL};
    static const char *const queries[] = {"SELECT", "VALUES", NULL};
    static const char *const returning[] = {"RETURNING", NULL};
    const char *end = text_end(text);
    const char *statement = find_word(text, mains);
    if (!statement)
        statement = text;
    bool has_with = find_word(text, with) != NULL && find_word(text, with) < statement;
    bool has_rows = find_word(statement, queries) == statement || find_word(statement, returning) != NULL;

    copy_text(SQL_DIALECT_POSTGRES, text, statement, out);
    buf_adds(out, has_with ? ", sql_guarded AS (" : "WITH sql_guarded AS (");
    copy_text(SQL_DIALECT_POSTGRES, statement, end, out);
    if (!has_rows) {
        buf_addf(out,
                 "\nRETURNING 1) SELECT count(*), CAST(CASE WHEN count(*) >= %d THEN '1' ELSE '" SQL_GUARD_WORD
                 "' END AS INTEGER) FROM sql_guarded",
                 rows_min);
        return SQL_SHAPE_COUNTED;
    }
    buf_addf(out,
             "\n), sql_guard AS MATERIALIZED (SELECT CAST(CASE WHEN count(*) >= %d THEN '1' ELSE '" SQL_GUARD_WORD
             "' END AS INTEGER) AS ok FROM sql_guarded) SELECT sql_guarded.* FROM sql_guard LEFT JOIN sql_guarded ON "
             "sql_guard.ok = 1",
             rows_min);
    return SQL_SHAPE_PLAIN;
}

bool sql_text_is_plain_insert(const char *text)
{
    static const char *const insert[] = {"INSERT", NULL};
    static const char *const values[] = {"VALUES", NULL};
    static const char *const not_plain[] = {"ON", "SELECT", "WITH", NULL};
    return find_word(text, insert) && find_word(text, values) && !find_word(text, not_plain);
}

enum sql_shape sql_text_rewrite(enum sql_dialect dialect, const char *text, int rows_min, struct buf *out)
{
    bool guarded = rows_min > 1 || (rows_min == 1 && !sql_text_is_plain_insert(text));
    if (dialect == SQL_DIALECT_POSTGRES && guarded)
        return guard(text, rows_min, out);
    copy_text(dialect, text, text_end(text), out);
    return SQL_SHAPE_PLAIN;
}
