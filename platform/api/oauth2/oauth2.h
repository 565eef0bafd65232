/* OAuth2: adding applications (authorize.c), Bearer tokens for their owners (tokens.c), which of the routes they open
 * (bearer.c). A Bearer token is signed and says itself for whom, for which application, until when and with which
 * scopes; kv holds those that were revoked. Source: Discord API documentation, "OAuth2". */
#pragma once

#include "platform/api/api.h"
#include "platform/api/router.h"

struct bearer {
    uint64_t user_id, application_id;
    int64_t expires_ms;
    struct str scopes; /* words with blanks between */
};

/* Takes the first word off a blank-separated list; false at its end. */
bool scope_next(struct str *scopes, struct str *ret_word);
/* True when the list has the word. */
bool scope_has(struct str scopes, struct str wanted);

struct str bearer_issue(struct api_ctx *x, const struct bearer *b);
/* Coroutine. 0; -EACCES: forged, over, or revoked; kv's errors. */
int bearer_verify(struct api_ctx *x, struct str token, struct bearer *ret);
/* Coroutine. 0, kv's errors. */
int bearer_revoke(struct api_ctx *x, struct str token, const struct bearer *b);

/* The caller of a route by a Bearer token: fills x->user_id and x->bearer. UNAUTHORIZED, MISSING_OAUTH2_SCOPE. */
enum api_error bearer_enter(struct api_ctx *x, const struct route *route, struct str token);
