/* What operators ask every process: /healthz (it runs), /readyz (what it needs is reachable), /metrics (Prometheus).
 * Loop thread. */
#pragma once

#include "platform/io/http_server.h"

/* Names one thing that must be reachable for /readyz to answer 200. The name is static. At most 16. */
void admin_check(const char *name, bool (*ready)(void *arg), void *arg);

/* Names one more set of pages that every listener with the three has: fn answers, or says false. At most 4. */
void admin_extend(bool (*fn)(struct http_request *req, struct http_response *res));

/* Answers one of the three pages or of those added; false when the path is none of them. */
bool admin_handle(struct http_request *req, struct http_response *res);

/* A listener with nothing but the three pages. 0 or as http_listener_start. */
int admin_listen(const char *listen, struct http_listener **ret, struct buf *err);
