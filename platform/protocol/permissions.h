/* Permission bits. How they are computed: platform/model/permissions.h. */
#pragma once

#include <stdint.h>

#define PERMISSION(name, bit) static const uint64_t PERMISSION_##name __attribute__((unused)) = UINT64_C(1) << (bit);
#include "platform/protocol/permissions.def"
#undef PERMISSION

static const uint64_t PERMISSIONS_ALL __attribute__((unused)) = 0
#define PERMISSION(name, bit) | (UINT64_C(1) << (bit))
#include "platform/protocol/permissions.def"
#undef PERMISSION
    ;

/* What @everyone holds in a new guild: what Discord gives it. */
static const uint64_t PERMISSIONS_EVERYONE_DEFAULT __attribute__((unused)) =
    UINT64_C(1) << 0 | UINT64_C(1) << 6 | UINT64_C(1) << 9 | UINT64_C(1) << 10 | UINT64_C(1) << 11 | UINT64_C(1) << 14 |
    UINT64_C(1) << 15 | UINT64_C(1) << 16 | UINT64_C(1) << 17 | UINT64_C(1) << 18 | UINT64_C(1) << 20 |
    UINT64_C(1) << 21 | UINT64_C(1) << 25 | UINT64_C(1) << 26 | UINT64_C(1) << 31 | UINT64_C(1) << 32 |
    UINT64_C(1) << 35 | UINT64_C(1) << 37 | UINT64_C(1) << 38 | UINT64_C(1) << 39 | UINT64_C(1) << 42 |
    UINT64_C(1) << 45 | UINT64_C(1) << 46 | UINT64_C(1) << 49 | UINT64_C(1) << 50;
