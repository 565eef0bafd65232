/* What a repetition of a handler's work is known by: the idempotency keys of requests that create something, and what
 * nonces are made of. Both come from the event, so that the handler's next try, or another worker's, has the same ones.
 * Coroutine. */
#include "worker-sdk/src/rest.h"

#include <sodium.h>
#include <stdio.h>

void event_identity(const struct gh_context *c, char *out, size_t size)
{
    const struct item *item = c->item;
    const char *group = c->bot->group ? c->bot->group : "";

    if (item->id_hash)
        snprintf(out, size, "%s:%016llx", group, (unsigned long long)item->id_hash);
    else
        snprintf(out, size, "%s:%s:%lld", group, item->event.session, (long long)item->event.seq);
}

/* How often this context has asked for the same before. */
static unsigned turn_of(struct gh_context *c, const unsigned char *digest)
{
    uint64_t hash;
    unsigned turn = 0;

    memcpy(&hash, digest, sizeof hash);
    for (const struct asked *a = c->asked; a; a = a->next)
        turn += a->hash == hash;
    struct asked *a = ARENA_NEW(&c->arena, struct asked);
    *a = (struct asked){c->asked, hash};
    c->asked = a;
    return turn;
}

static void add(crypto_generichash_state *h, struct str s)
{
    uint64_t n = s.n;

    crypto_generichash_update(h, (const unsigned char *)&n, sizeof n);
    crypto_generichash_update(h, (const unsigned char *)(s.n ? s.p : ""), s.n);
}

static bool creates(const char *method, const char *path)
{
    static const char typing[] = "/typing"; /* creates nothing that lasts, and is sent often */
    size_t n = strlen(path), tail = sizeof typing - 1;

    return strcmp(method, "POST") == 0 && (n < tail || strcmp(path + n - tail, typing) != 0);
}

void rest_key_make(struct gh_context *c, const char *method, const char *path, struct str body,
                   const struct gh_call *call, struct rest_key *ret)
{
    unsigned char digest[16];
    char event[192];
    crypto_generichash_state h;

    *ret = (struct rest_key){.given = call->idempotency_key};
    if (ret->given || !creates(method, path))
        return;
    if (!c->item) { /* only the call's own tries are covered */
        randombytes_buf(digest, sizeof digest);
        sodium_bin2hex(ret->made, sizeof ret->made, digest, sizeof digest);
        return;
    }
    event_identity(c, event, sizeof event);
    crypto_generichash_init(&h, NULL, 0, sizeof digest);
    add(&h, str_c(event));
    add(&h, str_c(path));
    add(&h, str_c(call->query ? call->query : ""));
    add(&h, body);
    crypto_generichash_final(&h, digest, sizeof digest);
    sodium_bin2hex(ret->made, sizeof ret->made, digest, sizeof digest);
    ret->turn = turn_of(c, digest);
}

bool rest_key_is(const struct rest_key *k)
{
    return k->given || *k->made;
}

const char *rest_key_line(struct gh_context *c, const struct rest_key *k)
{
    if (k->given)
        return gh_printf(c, REST_KEY_HEADER ": %s", k->given);
    return gh_printf(c, REST_KEY_HEADER ": %s-%u-%u", k->made, k->turn, k->generation);
}
