/* One call to the upstream: which headers travel on, what the answer says about limits, what is told to the caller when
 * there is no answer. Coroutine only. */
#pragma once

#include "platform/io/http_client.h"
#include "platform/io/http_server.h"
#include "rest-proxy/limiter.h"

/* target: as the caller sent it, from /api on. ret is the caller's to http_result_done; ret->error as in
 * http_client.h. Only what cannot have arrived (or cannot harm: GET) is tried again. */
void upstream_call(struct http_client *c, const char *base_url, struct http_request *req, bool idempotent,
                   struct http_result *ret);

/* What the limiter has to know of it. Strings point into `r`. */
void upstream_outcome(const struct http_result *r, struct limiter_outcome *ret);

/* The answer as the caller gets it: status, end-to-end headers, body (moved), content type (in the arena). */
void upstream_answer(struct http_result *r, struct arena *a, struct http_response *res);
