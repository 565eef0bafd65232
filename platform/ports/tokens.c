/* Tokens: made and checked without I/O. Loop thread. */
#include "platform/ports/tokens.h"

#include "platform/base/clock.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>

#define TOKEN_META_BYTES 10 /* 6 bytes of issue time, 4 of version, big endian */
#define TOKEN_CHARS_MAX  128

struct token_registry {
    unsigned char key[crypto_auth_hmacsha256_KEYBYTES];
    struct map versions; /* user id -> version, as a pointer-sized number; only those above 0 */
    struct smap fixed;   /* token -> user id */
    struct map kinds;    /* user id -> 1 user, 2 bot */
};

struct token_registry *token_registry_new(struct str secret)
{
    struct token_registry *t = MEM_NEW(struct token_registry);
    crypto_hash_sha256(t->key, (const unsigned char *)secret.p, secret.n);
    return t;
}

void token_registry_free(struct token_registry *t)
{
    if (!t)
        return;
    sodium_memzero(t->key, sizeof t->key);
    map_done(&t->versions);
    smap_done(&t->fixed);
    map_done(&t->kinds);
    mem_free(t);
}

static uint64_t version_of(const struct token_registry *t, uint64_t user_id)
{
    return (uint64_t)(uintptr_t)map_get(&t->versions, user_id);
}

void token_registry_revoke(struct token_registry *t, uint64_t user_id, uint64_t version)
{
    if (version > version_of(t, user_id))
        map_put(&t->versions, user_id, (void *)(uintptr_t)version);
    /* A fixed token ends with the first revocation. */
    size_t i = 0;
    struct str key;
    for (void *v; (v = smap_next(&t->fixed, &i, &key));)
        if ((uint64_t)(uintptr_t)v == user_id) {
            smap_del(&t->fixed, key);
            break;
        }
}

void token_registry_add_fixed(struct token_registry *t, struct str token, uint64_t user_id)
{
    smap_put(&t->fixed, token, (void *)(uintptr_t)user_id);
}

int token_registry_load(struct token_registry *t, struct sql *db)
{
    struct arena a = {0};
    uint64_t *users = NULL, *versions = NULL, *fixed_users = NULL;
    struct str *tokens = NULL;
    unsigned count = 0, fixed_count = 0;
    int r = store_token_versions(db, &a, &users, &versions, &count);
    if (r == 0)
        r = store_fixed_tokens(db, &a, &tokens, &fixed_users, &fixed_count);
    if (r == 0) {
        for (unsigned i = 0; i < fixed_count; i++)
            token_registry_add_fixed(t, tokens[i], fixed_users[i]);
        for (unsigned i = 0; i < count; i++)
            token_registry_revoke(t, users[i], versions[i]);
    }
    arena_done(&a);
    return r;
}

static void token_sign(const struct token_registry *t, struct str head, unsigned char mac[crypto_auth_hmacsha256_BYTES])
{
    crypto_auth_hmacsha256(mac, (const unsigned char *)head.p, head.n, t->key);
}

struct str token_issue(struct token_registry *t, struct arena *a, uint64_t user_id, int64_t now_ms)
{
    char id[24];
    int id_len = snprintf(id, sizeof id, "%llu", (unsigned long long)user_id);
    uint64_t when = (uint64_t)now_ms, version = version_of(t, user_id);
    unsigned char meta[TOKEN_META_BYTES];
    for (int i = 0; i < 6; i++)
        meta[i] = (unsigned char)(when >> (40 - 8 * i));
    for (int i = 0; i < 4; i++)
        meta[6 + i] = (unsigned char)(version >> (24 - 8 * i));

    char part1[48], part2[24], part3[64];
    sodium_bin2base64(part1, sizeof part1, (unsigned char *)id, (size_t)id_len,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_bin2base64(part2, sizeof part2, meta, sizeof meta, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    struct str head = arena_printf(a, "%s.%s", part1, part2);
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    token_sign(t, head, mac);
    sodium_bin2base64(part3, sizeof part3, mac, sizeof mac, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return arena_printf(a, "%.*s.%s", STR_ARG(head), part3);
}

static int part_decode(struct str part, unsigned char *out, size_t max, size_t *ret_len)
{
    return sodium_base642bin(out, max, part.p, part.n, NULL, ret_len, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) ==
                   0
               ? 0
               : -EACCES;
}

int token_verify(struct token_registry *t, struct str token, uint64_t *ret_user_id)
{
    uint64_t fixed = (uint64_t)(uintptr_t)smap_get(&t->fixed, token);
    if (fixed) {
        *ret_user_id = fixed;
        return 0;
    }
    if (token.n > TOKEN_CHARS_MAX)
        return -EACCES;
    const char *end = token.p + token.n;
    const char *dot1 = memchr(token.p, '.', token.n);
    const char *dot2 = dot1 ? memchr(dot1 + 1, '.', (size_t)(end - dot1 - 1)) : NULL;
    if (!dot2)
        return -EACCES;

    unsigned char id[32], meta[TOKEN_META_BYTES], mac[crypto_auth_hmacsha256_BYTES], expected[sizeof mac];
    size_t id_len, meta_len, mac_len;
    if (part_decode((struct str){token.p, (size_t)(dot1 - token.p)}, id, sizeof id, &id_len) < 0 ||
        part_decode((struct str){dot1 + 1, (size_t)(dot2 - dot1 - 1)}, meta, sizeof meta, &meta_len) < 0 ||
        part_decode((struct str){dot2 + 1, (size_t)(end - dot2 - 1)}, mac, sizeof mac, &mac_len) < 0 ||
        meta_len != sizeof meta || mac_len != sizeof mac)
        return -EACCES;
    token_sign(t, (struct str){token.p, (size_t)(dot2 - token.p)}, expected);
    uint64_t user_id, version = 0;
    if (sodium_memcmp(mac, expected, sizeof mac) != 0 ||
        snowflake_parse((struct str){(char *)id, id_len}, &user_id) < 0)
        return -EACCES;
    for (int i = 6; i < TOKEN_META_BYTES; i++)
        version = version << 8 | meta[i];
    /* A higher one was issued by a process that learned of the revocation before this one. */
    if (version < version_of(t, user_id))
        return -EACCES;
    *ret_user_id = user_id;
    return 0;
}

int token_user_is_bot(struct token_registry *t, struct sql *db, uint64_t user_id, bool *ret)
{
    uintptr_t kind = (uintptr_t)map_get(&t->kinds, user_id);
    if (!kind) {
        struct arena a = {0};
        struct user u;
        int r = store_user_get(db, &a, user_id, &u);
        kind = r == 0 ? (u.bot ? 2 : 1) : 0;
        arena_done(&a);
        if (r < 0)
            return r;
        map_put(&t->kinds, user_id, (void *)kind);
    }
    *ret = kind == 2;
    return 0;
}

/* --- what else is signed ---------------------------------------------------------------------------------------------
 */
/* No token's head has a colon, so nothing signed here is one. */
void token_mac(const struct token_registry *t, const char *purpose, struct str text, unsigned char ret[TOKEN_MAC_BYTES])
{
    crypto_auth_hmacsha256_state state;

    crypto_auth_hmacsha256_init(&state, t->key, sizeof t->key);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)purpose, strlen(purpose));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)":", 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)text.p, text.n);
    crypto_auth_hmacsha256_final(&state, ret);
}

uint64_t token_version(const struct token_registry *t, uint64_t user_id)
{
    return version_of(t, user_id);
}

struct str token_client_secret(const struct token_registry *t, struct arena *a, uint64_t application_id,
                               uint64_t version)
{
    unsigned char mac[TOKEN_MAC_BYTES];
    char text[48];
    int n = snprintf(text, sizeof text, "%llu.%llu", (unsigned long long)application_id, (unsigned long long)version);

    token_mac(t, "client secret", (struct str){text, (size_t)n}, mac);
    sodium_bin2base64(text, sizeof text, mac, 24, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return arena_str(a, str_c(text));
}
