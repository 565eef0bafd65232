/* Lists of ids in one TEXT column: decimals joined by commas. */
#pragma once

#include "platform/base/arena.h"

/* STR_NONE for an empty list. */
struct str ids_join(struct arena *a, const uint64_t *ids, unsigned count);
/* Never NULL; parts that are no id are left out. */
uint64_t *ids_split(struct arena *a, struct str text, unsigned *ret_count);
