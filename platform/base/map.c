/* Hash maps with linear probing and backward-shift deletion (no tombstones), at most 3/4 full, 2^31 slots at most.
 * Not thread safe. Iteration walks downwards from an empty slot: what a deletion shifts was then visited already. The
 * cursor keeps that slot in its upper half and the steps taken in its lower half. String keys are hashed with SipHash
 * and a random key, since strangers choose them. */
#include "platform/base/map.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"
#include <pthread.h>
#include <sys/random.h>

#define MAP_FIRST_SLOTS 16

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

static bool too_full(size_t count, size_t cap)
{
    return (count + 1) * 4 > cap * 3;
}

/* May the entry whose home slot is `home` and that stands at `at` move to the empty slot `hole`? */
static bool may_move(size_t home, size_t at, size_t hole, size_t mask)
{
    return ((at - home) & mask) >= ((at - hole) & mask);
}

static size_t cursor_begin(size_t empty_slot)
{
    return (empty_slot + 1) << 32;
}

static size_t cursor_slot(size_t cursor, size_t mask)
{
    return ((cursor >> 32) - 1 - (cursor & 0xFFFFFFFFu)) & mask;
}

/* The slot of key, or the empty one where it belongs. */
static size_t map_find(const struct map *m, uint64_t key)
{
    size_t mask = m->cap - 1, i = mix(key) & mask;

    while (m->slots[i].value && m->slots[i].key != key)
        i = (i + 1) & mask;
    return i;
}

static void map_grow(struct map *m)
{
    struct map old = *m;

    CHECK(m->cap < (size_t)1 << 31);
    m->cap = old.cap ? old.cap * 2 : MAP_FIRST_SLOTS;
    m->slots = mem_zalloc(m->cap * sizeof(*m->slots));
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].value)
            m->slots[map_find(m, old.slots[i].key)] = old.slots[i];
    mem_free(old.slots);
}

void map_done(struct map *m)
{
    mem_free(m->slots);
    *m = (struct map){0};
}

void *map_get(const struct map *m, uint64_t key)
{
    return m->count ? m->slots[map_find(m, key)].value : NULL;
}

void *map_put(struct map *m, uint64_t key, void *value)
{
    CHECK(value);
    if (too_full(m->count, m->cap))
        map_grow(m);
    struct map_slot *slot = &m->slots[map_find(m, key)];
    void *before = slot->value;
    if (!before)
        m->count++;
    *slot = (struct map_slot){key, value};
    return before;
}

void *map_del(struct map *m, uint64_t key)
{
    if (m->count == 0)
        return NULL;
    size_t mask = m->cap - 1, hole = map_find(m, key);
    void *before = m->slots[hole].value;
    if (!before)
        return NULL;
    for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask)
        if (may_move(mix(m->slots[i].key) & mask, i, hole, mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    m->slots[hole].value = NULL;
    m->count--;
    return before;
}

void *map_next(const struct map *m, size_t *cursor)
{
    if (m->cap == 0)
        return NULL;
    if (*cursor == 0) {
        size_t empty = 0;
        while (m->slots[empty].value)
            empty++;
        *cursor = cursor_begin(empty);
    }
    while ((*cursor & 0xFFFFFFFFu) + 1 < m->cap) {
        struct map_slot *slot = &m->slots[cursor_slot(++*cursor, m->cap - 1)];
        if (slot->value)
            return slot->value;
    }
    return NULL;
}

uint64_t map_key_at(const struct map *m, size_t cursor)
{
    return m->slots[cursor_slot(cursor, m->cap - 1)].key;
}

struct smap_slot {
    uint64_t hash;
    struct str key;
    void *value; /* NULL = empty */
};

static uint64_t sip_key[2];

static void sip_key_make(void)
{
    CHECK(getrandom(sip_key, sizeof(sip_key), 0) == (ssize_t)sizeof(sip_key));
}

static uint64_t rotl(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* SipHash-1-3. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF". */
static uint64_t sip_hash(struct str s)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, sip_key_make);
    uint64_t v[4] = {sip_key[0] ^ UINT64_C(0x736f6d6570736575), sip_key[1] ^ UINT64_C(0x646f72616e646f6d),
                     sip_key[0] ^ UINT64_C(0x6c7967656e657261), sip_key[1] ^ UINT64_C(0x7465646279746573)};
    uint64_t word, last = (uint64_t)s.n << 56;
    size_t i = 0;

    for (; i + 8 <= s.n; i += 8) {
        memcpy(&word, s.p + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (size_t shift = 0; i < s.n; i++, shift += 8)
        last |= (uint64_t)(unsigned char)s.p[i] << shift;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xFF;
    for (int r = 0; r < 3; r++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static size_t smap_find(const struct smap *m, uint64_t hash, struct str key)
{
    size_t mask = m->cap - 1, i = hash & mask;

    while (m->slots[i].value && !(m->slots[i].hash == hash && str_eq(m->slots[i].key, key)))
        i = (i + 1) & mask;
    return i;
}

static void smap_grow(struct smap *m)
{
    struct smap old = *m;

    CHECK(m->cap < (size_t)1 << 31);
    m->cap = old.cap ? old.cap * 2 : MAP_FIRST_SLOTS;
    m->slots = mem_zalloc(m->cap * sizeof(*m->slots));
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].value)
            m->slots[smap_find(m, old.slots[i].hash, old.slots[i].key)] = old.slots[i];
    mem_free(old.slots);
}

void smap_done(struct smap *m)
{
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].value)
            mem_free((char *)(uintptr_t)m->slots[i].key.p);
    mem_free(m->slots);
    *m = (struct smap){0};
}

void *smap_get(const struct smap *m, struct str key)
{
    return m->count ? m->slots[smap_find(m, sip_hash(key), key)].value : NULL;
}

void *smap_put(struct smap *m, struct str key, void *value)
{
    uint64_t hash = sip_hash(key);

    CHECK(value);
    if (too_full(m->count, m->cap))
        smap_grow(m);
    struct smap_slot *slot = &m->slots[smap_find(m, hash, key)];
    void *before = slot->value;
    if (!before) {
        char *copy = mem_alloc(key.n + 1);
        if (key.n)
            memcpy(copy, key.p, key.n);
        copy[key.n] = 0;
        *slot = (struct smap_slot){.hash = hash, .key = {copy, key.n}};
        m->count++;
    }
    slot->value = value;
    return before;
}

void *smap_del(struct smap *m, struct str key)
{
    if (m->count == 0)
        return NULL;
    size_t mask = m->cap - 1, hole = smap_find(m, sip_hash(key), key);
    void *before = m->slots[hole].value;
    if (!before)
        return NULL;
    mem_free((char *)(uintptr_t)m->slots[hole].key.p);
    for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask)
        if (may_move(m->slots[i].hash & mask, i, hole, mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    m->slots[hole].value = NULL;
    m->count--;
    return before;
}

void *smap_next(const struct smap *m, size_t *cursor, struct str *ret_key)
{
    if (m->cap == 0)
        return NULL;
    if (*cursor == 0) {
        size_t empty = 0;
        while (m->slots[empty].value)
            empty++;
        *cursor = cursor_begin(empty);
    }
    while ((*cursor & 0xFFFFFFFFu) + 1 < m->cap) {
        struct smap_slot *slot = &m->slots[cursor_slot(++*cursor, m->cap - 1)];
        if (slot->value) {
            if (ret_key)
                *ret_key = slot->key;
            return slot->value;
        }
    }
    return NULL;
}
