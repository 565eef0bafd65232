/* Tokens: signed, so that they are verified without a database read, and revocable, because each carries its user's
 * token version and every process knows the versions that are not 0. Form: base64url(user id as decimal) "."
 * base64url(48-bit issue time, version) "." base64url(HMAC-SHA256). Seeded fixed tokens are kept beside. */
#pragma once

#include "platform/base/arena.h"
#include "platform/ports/commit.h"

struct token_registry;

/* Loads versions and fixed tokens (coroutine), listens to CONTROL_TOKEN_REVOKED through bus_subscribe's owner, who
 * calls token_registry_revoke, and loads again every minute. */
struct token_registry *token_registry_new(struct str secret);
void token_registry_free(struct token_registry *t);
int token_registry_load(struct token_registry *t, struct sql *db); /* coroutine; 0 or sql errors */
void token_registry_revoke(struct token_registry *t, uint64_t user_id, uint64_t version);
void token_registry_add_fixed(struct token_registry *t, struct str token, uint64_t user_id);

/* A new token of the user's present version. */
struct str token_issue(struct token_registry *t, struct arena *a, uint64_t user_id, int64_t now_ms);
/* 0, -EACCES (forged, revoked, malformed). No I/O, any length of input. Whether the user is a bot is told by
 * token_user_is_bot, a small cache in front of the store. */
int token_verify(struct token_registry *t, struct str token, uint64_t *ret_user_id);
/* Coroutine (first time for a user). 0, -ENOENT, sql errors. */
int token_user_is_bot(struct token_registry *t, struct sql *db, uint64_t user_id, bool *ret);

/* --- what else the deployment signs ----------------------------------------------------------------------------------
 */
#define TOKEN_MAC_BYTES 32
/* A MAC of the text that is good for this purpose only. */
void token_mac(const struct token_registry *t, const char *purpose, struct str text,
               unsigned char ret[TOKEN_MAC_BYTES]);
/* The user's present version: what is signed with an older one is void. */
uint64_t token_version(const struct token_registry *t, uint64_t user_id);
/* An application's client secret: it follows from the deployment's, so none is stored. 32 characters. */
struct str token_client_secret(const struct token_registry *t, struct arena *a, uint64_t application_id,
                               uint64_t version);
