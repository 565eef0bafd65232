/* Gateway intents: bits, names, which are privileged. */
#pragma once

#include "platform/base/str.h"

enum intent {
#define INTENT(name, bit, privileged) INTENT_##name = 1 << (bit),
#include "platform/protocol/intents.def"
#undef INTENT
};

enum {
    INTENTS_ALL = 0
#define INTENT(name, bit, privileged) | (1 << (bit))
#include "platform/protocol/intents.def"
#undef INTENT
    ,
    INTENTS_PRIVILEGED = 0
#define INTENT(name, bit, privileged) | ((privileged) ? 1 << (bit) : 0)
#include "platform/protocol/intents.def"
#undef INTENT
};

/* "MESSAGE_CONTENT" to its bit; 0 when there is no such intent. */
uint32_t intent_find(struct str name);
