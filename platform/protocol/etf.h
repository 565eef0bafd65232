/* Erlang's External Term Format as Discord's gateway speaks it, to and from the JSON that everything else works with.
 * Written: the payload's own keys (t, s, op, d) and the event's name are atoms, inner keys and strings binaries,
 * snowflakes integers (a string at a key named as an id is one when it is decimal), null, true and false atoms, an
 * empty array NIL. Clients rely on each of these: nostrum matches `payload.op` and `:READY`, and keys its caches by
 * integer ids; JDA and erlpack take either form. Read: what erlpack and term_to_binary write. Any thread. Source:
 * Erlang documentation, "External Term Format"; discord/erlpack; Discord API documentation, "Gateway: Using ETF
 * Encoding". Limit: LIMIT_JSON_DEPTH in both directions. */
#pragma once

#include "platform/base/buf.h"

/* A dispatch is etf_head (version, map, `s`) and then etf_tail: the order of a map's pairs is free, so the sequence
 * number goes first and what follows is the same for every session. */
#define ETF_HEAD_BYTES 21
/* Returns the bytes written. */
size_t etf_head(uint64_t seq, char out[ETF_HEAD_BYTES]);
/* `tail`: `"t":"X","op":0,"d":...}`, these three. Appends to out: 0, -EINVAL (not that), -ENOBUFS (out is full). */
int etf_tail(struct str tail, struct buf *out);
/* One whole payload, {"t":...,"s":...,"op":...,"d":...}, with the version byte. As above. */
int etf_payload(struct str json, struct buf *out);

/* Appends the JSON of one whole term (with its version byte). 0; -EINVAL: cut short or followed by more, an unknown
 * tag, a compressed term, a key that is not a binary (as documented, atoms are refused), an integer of more than 64
 * bits, a float that is not finite, text that is not UTF-8; -E2BIG: too deep; -ENOBUFS: out is full. */
int etf_read(struct str term, struct buf *out);
