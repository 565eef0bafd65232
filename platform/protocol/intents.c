/* Intents by name, from intents.def. Any thread. */
#include "platform/protocol/intents.h"

uint32_t intent_find(struct str name)
{
#define INTENT(name_, bit, privileged)                                                                                 \
    if (str_eq(name, STR(#name_)))                                                                                     \
        return UINT32_C(1) << (bit);
#include "platform/protocol/intents.def"
#undef INTENT
    return 0;
}
