/* A change of an entry in kv, told to the gateway nodes that follow the guild. Coroutine. */
#pragma once

#include "platform/ports/commit.h"
#include "platform/ports/kv.h"

/* kv_entry_change, and on success one publish to the interested nodes but `skip_node` (NULL: to all). The publish is
 * not waited on to succeed: a node that misses a version reads the whole again. ret_version may be NULL. */
int entries_change(const struct ports *p, struct arena *a, const struct kv_change *c, const char *skip_node,
                   uint64_t *ret_version);
/* The publish alone. */
void entries_publish(const struct ports *p, struct arena *a, const struct kv_change *c, struct kv_route *route,
                     const char *skip_node);
