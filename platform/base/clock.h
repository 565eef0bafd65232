/* Time. Wall time for what people and the protocol see, monotonic time for every timeout. Any thread. */
#pragma once

#include "platform/base/str.h"
#include <stdint.h>

int64_t clock_wall_ms(void); /* Unix epoch */
int64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);

/* Writes "2024-01-01T00:00:00.000000+00:00" (32 bytes and a NUL). */
void clock_format_iso(int64_t unix_ms, char out[33]);
/* Reads ISO 8601 with an offset or Z. 0, -EINVAL. */
int clock_parse_iso(struct str s, int64_t *ret_unix_ms);
