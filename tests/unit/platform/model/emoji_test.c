#include "platform/model/model.h"
#include "tests/support/cm.h"

static void one_emoji(void **state)
{
    (void)state;
    static const char *const one[] = {
        "👍",
        "👍🏽",
        "❤",
        "❤️",
        "🇩🇪",
        "🇩",
        "#️⃣",
        "1⃣",
        "👨‍👩‍👧‍👦",
        "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "🏳️‍🌈",
        "🧑🏿‍🚀",
        "🐈‍⬛",
        "©️",
        "🫠",
        "🀄",
    };
    static const char *const none[] = {
        "",     "a",       "👍👎",   "👍 ",        "👍a",  "é",   "🇩🇪🇫",          "🇩🇪🇫🇷",         "1",
        "#️", "👨‍", "\xff", "👍\xf0\x9f", "‍", "️", "🏴󠁧󠁢", "❤️❤️",
    };
    for (size_t i = 0; i < sizeof one / sizeof *one; i++)
        if (!emoji_is_one(str_c(one[i])))
            fail_msg("%s is one", one[i]);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (emoji_is_one(str_c(none[i])))
            fail_msg("%s is none", none[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_emoji)};
    return cmocka_run_group_tests_name("model_emoji", tests, NULL, NULL);
}
