/* TLS server contexts. Internal to platform/io. Loop thread only. */
#pragma once

#include "platform/base/buf.h"

struct ssl_ctx_st;

/* TLS 1.2 and up, HTTP/1.1 by ALPN. cert: PEM chain, key: PEM private key (paths).
 * 0, -EINVAL with one line in err. The caller frees with tls_context_free. */
int tls_context_new(const char *cert, const char *key, struct ssl_ctx_st **ret, struct buf *err);
void tls_context_free(struct ssl_ctx_st *ctx); /* NULL is fine */
