/* A growing byte buffer born with a limit. Failure (over the limit, or no memory) is sticky: write on, and ask
 * buf_failed once at the end. The bytes are always NUL-terminated past `len` when data is not NULL. */
#pragma once

#include "platform/base/str.h"

struct buf {
    char *data;
    size_t len, cap;
    size_t max; /* bytes; 0 = LIMIT_BUF_DEFAULT_BYTES */
    bool failed;
};

#define BUF_INIT(max_bytes) ((struct buf){.max = (max_bytes)})
#define BUF_AUTO            __attribute__((cleanup(buf_done)))

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);  /* frees; the buffer may be used again */
void buf_clear(struct buf *b); /* keeps the memory, forgets the failure */

/* Room for n more bytes and returns where they go (then add to b->len; the NUL is there when all n are used), or NULL
 * and the buffer is failed. */
char *buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *s);
void buf_add_str(struct buf *b, struct str s);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drop the first n bytes. */
void buf_consume(struct buf *b, size_t n);
/* Hands the bytes (NUL-terminated, mem_free) over and empties the buffer; NULL when failed. Never NULL for empty. */
char *buf_steal(struct buf *b, size_t *ret_len);

static inline bool buf_failed(const struct buf *b)
{
    return b->failed;
}

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->data ? b->data : "", b->len};
}
