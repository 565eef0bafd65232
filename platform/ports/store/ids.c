/* Lists of ids as text. Pure. */
#include "platform/ports/store/ids.h"

#include "platform/base/snowflake.h"

#include <stdio.h>

#define ID_DIGITS_MAX 20

struct str ids_join(struct arena *a, const uint64_t *ids, unsigned count)
{
    if (!count)
        return STR_NONE;
    char *text = arena_alloc(a, (size_t)count * (ID_DIGITS_MAX + 1) + 1), *end = text;
    for (unsigned i = 0; i < count; i++)
        end += sprintf(end, i ? ",%llu" : "%llu", (unsigned long long)ids[i]);
    return (struct str){text, (size_t)(end - text)};
}

uint64_t *ids_split(struct arena *a, struct str text, unsigned *ret_count)
{
    unsigned count = 0;
    uint64_t *ids = ARENA_ARRAY(a, uint64_t, text.n / 2 + 1);
    while (text.n) {
        const char *comma = memchr(text.p, ',', text.n);
        size_t n = comma ? (size_t)(comma - text.p) : text.n;
        if (snowflake_parse((struct str){text.p, n}, &ids[count]) == 0)
            count++;
        text.p += comma ? n + 1 : n;
        text.n -= comma ? n + 1 : n;
    }
    *ret_count = count;
    return ids;
}
