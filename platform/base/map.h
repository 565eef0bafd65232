/* Hash maps with open addressing: u64 keys (snowflakes) and byte-string keys. Values are pointers, never NULL.
 * Not thread safe. Removing the entry just visited is allowed while iterating; inserting is not. */
#pragma once

#include "platform/base/str.h"

struct map_slot {
    uint64_t key;
    void *value; /* NULL = empty */
};

struct map {
    struct map_slot *slots;
    size_t cap, count;
};

void map_done(struct map *m); /* frees the table, not the values; a zeroed map is an empty map */
void *map_get(const struct map *m, uint64_t key);
/* Returns the value that stood there before, or NULL. */
void *map_put(struct map *m, uint64_t key, void *value);
void *map_del(struct map *m, uint64_t key);

/* for (size_t i = 0; (v = map_next(&m, &i)) != NULL;) */
void *map_next(const struct map *m, size_t *cursor);
/* The key of the entry map_next returned last. */
uint64_t map_key_at(const struct map *m, size_t cursor);

/* String keys: copied in. Same rules. */
struct smap_slot;
struct smap {
    struct smap_slot *slots;
    size_t cap, count;
};

void smap_done(struct smap *m);
void *smap_get(const struct smap *m, struct str key);
void *smap_put(struct smap *m, struct str key, void *value);
void *smap_del(struct smap *m, struct str key);
void *smap_next(const struct smap *m, size_t *cursor, struct str *ret_key);
