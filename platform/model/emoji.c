/* Is a text one Unicode emoji? By the shape of emoji sequences, with the blocks that hold pictographs instead of the
 * full list. Source: UTS #51, "Emoji Sequences". Pure. */
#include "platform/model/model.h"

#define ZWJ         0x200D
#define TEXT_STYLE  0xFE0E
#define EMOJI_STYLE 0xFE0F
#define KEYCAP      0x20E3
#define TAG_END     0xE007F

static const struct {
    uint32_t first, last;
} pictographs[] = {
    {0x00A9, 0x00A9}, {0x00AE, 0x00AE}, {0x203C, 0x203C}, {0x2049, 0x2049}, {0x2122, 0x2122},   {0x2139, 0x2139},
    {0x2194, 0x2199}, {0x21A9, 0x21AA}, {0x231A, 0x231B}, {0x2328, 0x2328}, {0x23CF, 0x23CF},   {0x23E9, 0x23F3},
    {0x23F8, 0x23FA}, {0x24C2, 0x24C2}, {0x25AA, 0x25AB}, {0x25B6, 0x25B6}, {0x25C0, 0x25C0},   {0x25FB, 0x25FE},
    {0x2600, 0x27BF}, {0x2934, 0x2935}, {0x2B05, 0x2B07}, {0x2B1B, 0x2B1C}, {0x2B50, 0x2B50},   {0x2B55, 0x2B55},
    {0x3030, 0x3030}, {0x303D, 0x303D}, {0x3297, 0x3297}, {0x3299, 0x3299}, {0x1F000, 0x1F1E5}, {0x1F200, 0x1FAFF},
};

/* One code point of valid UTF-8, 0 at the end. */
static uint32_t peek(struct str s, size_t *ret_bytes)
{
    const unsigned char *p = (const unsigned char *)s.p;

    *ret_bytes = s.n == 0 ? 0 : p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (*ret_bytes == 0 || *ret_bytes > s.n)
        return 0;
    uint32_t c = *ret_bytes == 1 ? p[0] : p[0] & (0xFFu >> (*ret_bytes + 1));
    for (size_t i = 1; i < *ret_bytes; i++)
        c = c << 6 | (p[i] & 0x3F);
    return c;
}

static bool take(struct str *s, uint32_t first, uint32_t last)
{
    size_t bytes;
    uint32_t c = peek(*s, &bytes);

    if (!bytes || c < first || c > last)
        return false;
    *s = (struct str){s->p + bytes, s->n - bytes};
    return true;
}

static bool take_pictograph(struct str *s)
{
    for (size_t i = 0; i < sizeof pictographs / sizeof *pictographs; i++)
        if (take(s, pictographs[i].first, pictographs[i].last))
            return true;
    return false;
}

/* A pictograph with its style, skin tone and tags. */
static bool take_element(struct str *s)
{
    if (!take_pictograph(s))
        return false;
    if (!take(s, 0x1F3FB, 0x1F3FF))
        (void)take(s, TEXT_STYLE, EMOJI_STYLE);
    bool tags = false;
    while (take(s, 0xE0020, 0xE007E))
        tags = true;
    return !tags || take(s, TAG_END, TAG_END);
}

static bool take_keycap(struct str *s)
{
    if (!take(s, '0', '9') && !take(s, '#', '#') && !take(s, '*', '*'))
        return false;
    (void)take(s, EMOJI_STYLE, EMOJI_STYLE);
    return take(s, KEYCAP, KEYCAP);
}

bool emoji_is_one(struct str text)
{
    struct str s = text;

    if (utf8_count(text) < 1)
        return false;
    if (take(&s, 0x1F1E6, 0x1F1FF)) { /* a letter, or two that are a flag */
        (void)take(&s, 0x1F1E6, 0x1F1FF);
        return s.n == 0;
    }
    if (take_keycap(&s))
        return s.n == 0;
    s = text;
    do
        if (!take_element(&s))
            return false;
    while (take(&s, ZWJ, ZWJ));
    return s.n == 0;
}
