/* Signed links: who has the link may read the object until it ends. Pure. */
#include "platform/ports/objects.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define MAC_HEX (crypto_auth_hmacsha256_BYTES * 2)

static void mac_of(struct str secret, struct str key, unsigned long long ends_s, unsigned long long made_s,
                   char hex[MAC_HEX + 1])
{
    unsigned char hash[crypto_auth_hmacsha256_KEYBYTES], mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state st;
    char times[48];
    int n = snprintf(times, sizeof times, "?ex=%llx&is=%llx", ends_s, made_s);
    crypto_hash_sha256(hash, (const unsigned char *)secret.p, secret.n);
    crypto_auth_hmacsha256_init(&st, hash, sizeof hash);
    crypto_auth_hmacsha256_update(&st, (const unsigned char *)key.p, key.n);
    crypto_auth_hmacsha256_update(&st, (const unsigned char *)times, (unsigned long long)n);
    crypto_auth_hmacsha256_final(&st, mac);
    sodium_bin2hex(hex, MAC_HEX + 1, mac, sizeof mac);
}

struct str objects_sign(struct arena *a, struct str secret, struct str key, int64_t now_ms, int64_t valid_ms)
{
    unsigned long long made = (unsigned long long)(now_ms / 1000),
                       ends = (unsigned long long)((now_ms + valid_ms) / 1000);
    char hex[MAC_HEX + 1];
    mac_of(secret, key, ends, made, hex);
    return arena_printf(a, "?ex=%llx&is=%llx&hm=%s", ends, made, hex);
}

int objects_check(struct str secret, struct str key, struct str query, int64_t now_ms)
{
    char text[256], given[MAC_HEX + 1], right[MAC_HEX + 1];
    unsigned long long ends, made;
    if (query.n >= sizeof text)
        return -EACCES;
    snprintf(text, sizeof text, "%.*s", STR_ARG(query));
    if (sscanf(text, "ex=%llx&is=%llx&hm=%64[0-9a-f]", &ends, &made, given) != 3 || strlen(given) != MAC_HEX)
        return -EACCES;
    mac_of(secret, key, ends, made, right);
    if (sodium_memcmp(given, right, MAC_HEX) != 0)
        return -EACCES;
    return (int64_t)ends * 1000 <= now_ms ? -ESTALE : 0;
}
