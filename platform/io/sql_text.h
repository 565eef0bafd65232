/* What the two dialects need done to a statement's text before it is prepared. Pure; any thread. */
#pragma once

#include "platform/base/buf.h"

/* Rows of a guarded statement are counted inside the statement: when there are too few, it fails with SQLSTATE 22P02
 * (invalid text representation) and a message that holds this word, which takes the transaction with it. */
#define SQL_GUARD_WORD "guildhall_rows_min"

enum sql_dialect { SQL_DIALECT_POSTGRES, SQL_DIALECT_SQLITE };

/* How the driver reads the rewritten statement's result. */
enum sql_shape {
    SQL_SHAPE_PLAIN,   /* as it is */
    SQL_SHAPE_COUNTED, /* one row whose first cell is the number of rows affected */
};

/* INSERT ... VALUES without ON CONFLICT or anything that reads: it inserts all its rows or fails. */
bool sql_text_is_plain_insert(const char *text);

/* Writes the text to prepare: sql_ids($n) becomes what the dialect has for it and, on PostgreSQL with rows_min > 0,
 * the guard is put around. Check buf_failed. */
enum sql_shape sql_text_rewrite(enum sql_dialect dialect, const char *text, int rows_min, struct buf *out);
