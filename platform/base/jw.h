/* The JSON writer: straight into a buffer, no tree. A comma is put where the byte before the cursor asks for one, so
 * there is no state to carry: begin a value and write it. Keys are C literals that need no escaping. */
#pragma once

#include "platform/base/buf.h"

void jw_obj(struct buf *b);     /* { as a value */
void jw_obj_end(struct buf *b); /* } */
void jw_arr(struct buf *b);
void jw_arr_end(struct buf *b);
void jw_key(struct buf *b, const char *key);

/* Values: as an array's element or after jw_key. */
void jw_str(struct buf *b, struct str s);   /* escapes; s.p NULL writes null; invalid UTF-8 becomes U+FFFD */
void jw_cstr(struct buf *b, const char *s); /* NULL writes null */
void jw_id(struct buf *b, uint64_t id);     /* snowflake as a string; 0 writes null */
void jw_u64(struct buf *b, uint64_t v);
void jw_i64(struct buf *b, int64_t v);
void jw_double(struct buf *b, double v); /* at most 3 decimals */
void jw_bool(struct buf *b, bool v);
void jw_null(struct buf *b);
void jw_raw(struct buf *b, struct str json);     /* already JSON; empty writes null */
void jw_time_ms(struct buf *b, int64_t unix_ms); /* ISO 8601 "2024-01-01T00:00:00.000000+00:00"; 0 writes null */

/* Key and value at once. */
void jw_kstr(struct buf *b, const char *key, struct str s);
void jw_kcstr(struct buf *b, const char *key, const char *s);
void jw_kid(struct buf *b, const char *key, uint64_t id);
void jw_ku64(struct buf *b, const char *key, uint64_t v);
void jw_ki64(struct buf *b, const char *key, int64_t v);
void jw_kbool(struct buf *b, const char *key, bool v);
void jw_knull(struct buf *b, const char *key);
void jw_kraw(struct buf *b, const char *key, struct str json);
void jw_ktime_ms(struct buf *b, const char *key, int64_t unix_ms);
void jw_kobj(struct buf *b, const char *key);
void jw_karr(struct buf *b, const char *key);
