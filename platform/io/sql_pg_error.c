/* SQLSTATE to errno. Source: PostgreSQL documentation, appendix A, "PostgreSQL Error Codes". Pure; any thread. */
#include "platform/io/sql_pg.h"

#include <errno.h>

static const struct {
    const char *state; /* five characters, or the class's two */
    int error;
} table[] = {
    {"23505", -EEXIST},    /* unique_violation */
    {"23P01", -EEXIST},    /* exclusion_violation */
    {"23503", -ENOENT},    /* foreign_key_violation */
    {"23", -EINVAL},       /* not null, check */
    {"22", -EINVAL},       /* data exception */
    {"53100", -ENOSPC},    /* disk_full */
    {"53400", -ENOSPC},    /* configuration_limit_exceeded: temp_file_limit */
    {"53300", -EHOSTDOWN}, /* too_many_connections */
    {"53", -EAGAIN},       /* out of memory and its like */
    {"55P03", -EAGAIN},    /* lock_not_available: lock_timeout */
    {"57014", -EAGAIN},    /* query_canceled: statement_timeout */
    {"40P01", SQL_RETRY},  /* deadlock_detected */
    {"40001", SQL_RETRY},  /* serialization_failure */
    {"25006", -EHOSTDOWN}, /* read_only_sql_transaction: this server is a standby */
    {"57P", -EHOSTDOWN},   /* shutting down, crashed, starting up */
    {"08", -EHOSTDOWN},    /* connection exceptions */
};

int pg_error_code(const char *sqlstate, const char *message)
{
    if (!sqlstate)
        return -EHOSTDOWN; /* made by libpq itself: the connection broke */
    if (strcmp(sqlstate, "22P02") == 0 && message && strstr(message, SQL_GUARD_WORD))
        return -ENODATA;
    if (strcmp(sqlstate, "0A000") == 0 && message && strstr(message, "cached plan"))
        return SQL_RETRY; /* a migration changed the statement's result; it is prepared anew */
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strncmp(sqlstate, table[i].state, strlen(table[i].state)) == 0)
            return table[i].error;
    return -EIO;
}
