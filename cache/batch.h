/* The guarded part of what one event does to the cache: one script call on the keys of one guild, collected operation
 * by operation. Strings point into the event's data or the batch's arena. The memory is used again for the next event.
 * Loop thread only. */
#pragma once

#include "cache/keys.h"
#include "platform/base/arena.h"
#include "platform/io/redis.h"

struct words {
    struct str *at;
    int count, cap;
};

struct batch {
    uint64_t application;
    uint64_t tag; /* the guild, or what stands for it */
    struct arena arena;
    struct words keys, args;
};

void batch_done(struct batch *b);
/* Begins anew; `tag` as in keys.h. */
void batch_begin(struct batch *b, uint64_t tag, uint64_t epoch, uint64_t generation, uint64_t seq);
bool batch_is_empty(const struct batch *b);
void batch_send(struct batch *b, struct redis *r, int timeout_ms, redis_fn fn, void *arg);

/* Keys, by number. */
int batch_key(struct batch *b, enum cache_entity e);
int batch_key_messages(struct batch *b, uint64_t channel);
int batch_key_order(struct batch *b, uint64_t channel);
/* The decimal text of an id, as a field's name. */
struct str batch_id(struct batch *b, uint64_t id);

/* Operations. */
void batch_set(struct batch *b, int key, struct str field, struct str value);         /* hash field */
void batch_set_present(struct batch *b, int key, struct str field, struct str value); /* only where it is there */
void batch_del(struct batch *b, int key, struct str field);
void batch_add(struct batch *b, int key, struct str field, int by); /* a number, only where it is there */
void batch_drop(struct batch *b, int key);                          /* the whole key */
/* A message into the hash and its order (sorted by id), the oldest beyond `cap` out, both living ttl_s from now. */
void batch_message(struct batch *b, int messages, int order, struct str id, struct str value, int cap, int ttl_s);
void batch_message_del(struct batch *b, int messages, int order, struct str id);
