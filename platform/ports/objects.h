/* Port `objects`: attachments and images by key. Embedded: files in a folder (or in memory). Distributed: S3 (comes
 * with the operations work; the interface is made for it). Coroutine only. */
#pragma once

#include "platform/base/arena.h"
#include "platform/base/buf.h"

struct objects;

/* dir NULL: in memory (at most LIMIT_OBJECTS_MEMORY_BYTES; over it -ENOSPC). */
struct objects *objects_open(const char *dir, struct buf *err);
void objects_close(struct objects *o);

/* key: "attachments/<channel>/<id>/<filename>": parts of [A-Za-z0-9._-], no "..". Durable when it returns 0.
 * -EINVAL (key), -ENOSPC, -EIO. Putting the same key again replaces it. */
int objects_put(struct objects *o, struct str key, struct str bytes, const char *content_type);
/* -ENOENT, -EIO. Bytes in `out`. */
int objects_get(struct objects *o, struct str key, struct buf *out, struct arena *a, struct str *ret_content_type);
int objects_delete(struct objects *o, struct str key);

/* Signed links: `?ex=<hex seconds>&is=<hex seconds>&hm=<hmac>`, as Discord's CDN has them. */
struct str objects_sign(struct arena *a, struct str secret, struct str key, int64_t now_ms, int64_t valid_ms);
/* 0, -EACCES (wrong or missing signature), -ESTALE (expired). */
int objects_check(struct str secret, struct str key, struct str query, int64_t now_ms);
