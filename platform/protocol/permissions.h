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
