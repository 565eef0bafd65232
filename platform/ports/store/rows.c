/* Store: reads with one parameter. Coroutine. */
#include "platform/ports/store/rows.h"

#include <errno.h>

int rows_all(struct sql *db, struct arena *a, const char *text, struct sql_value key, struct sql_result *ret)
{
    const struct sql_stmt s = {.text = text, .param_count = 1, .params = {key}};

    return sql_read(db, a, &s, 1, ret);
}

int rows_one(struct sql *db, struct arena *a, const char *text, struct sql_value key, struct sql_result *ret)
{
    int err = rows_all(db, a, text, key, ret);

    return err == 0 && ret->row_count == 0 ? -ENOENT : err;
}
