/* command.c: which names commands may have, and what they look like. */
#include "tests/support/cm.h"

#include "platform/model/command.h"

static void judges_names(void **state)
{
    static const char *const good[] = {"ping", "a", "with-dash", "with_line", "o'clock", "42", "\xC3\xA4hm",
                                       /* Cyrillic, Thai with marks, Devanagari with a virama, Chinese */
                                       "\xD0\xBF\xD0\xB8\xD0\xBD\xD0\xB3", "\xE0\xB8\x97\xE0\xB8\xB5\xE0\xB9\x88",
                                       "\xE0\xA4\xB9\xE0\xA4\xBF\xE0\xA4\xA8\xE0\xA5\x8D\xE0\xA4\xA6",
                                       "\xE4\xBD\xA0\xE5\xA5\xBD", "abcdefghijabcdefghijabcdefghijab"};
    static const char *const bad[] = {"",
                                      "Ping",
                                      "two words",
                                      "a.b",
                                      "dollar$",
                                      "\xC3\x84hm",
                                      "\xD0\x9F\xD0\xB8",
                                      "\xF0\x9F\x98\x80",
                                      "abcdefghijabcdefghijabcdefghijabc",
                                      "\xFF"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!command_name_valid(str_c(good[i])))
            fail_msg("'%s' is a name", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (command_name_valid(str_c(bad[i])))
            fail_msg("'%s' is no name", bad[i]);
}

static void knows_locales(void **state)
{
    (void)state;
    assert_true(locale_known(STR("de")) && locale_known(STR("es-419")) && locale_known(STR("zh-TW")));
    assert_false(locale_known(STR("")) || locale_known(STR("en")) || locale_known(STR("DE")));
}

static void writes(void **state)
{
    struct application_command c = {.id = 5,
                                    .application_id = 6,
                                    .version = 7,
                                    .type = COMMAND_USER,
                                    .name = STR("High Five"),
                                    .definition_json = STR("{\"description\":\"\",\"nsfw\":false}")};
    struct command_permissions p = {.application_id = 6, .guild_id = 8, .command_id = 5};
    struct buf b = {0};

    (void)state;
    application_command_write(&b, &c);
    assert_str(buf_str(&b),
               "{\"id\":\"5\",\"application_id\":\"6\",\"version\":\"7\",\"type\":2,\"name\":\"High Five\","
               "\"description\":\"\",\"nsfw\":false}");
    buf_clear(&b);
    c.guild_id = 8;
    c.definition_json = STR("{}");
    application_command_write(&b, &c);
    assert_str(buf_str(&b), "{\"id\":\"5\",\"application_id\":\"6\",\"guild_id\":\"8\",\"version\":\"7\",\"type\":2,"
                            "\"name\":\"High Five\"}");
    buf_clear(&b);
    command_permissions_write(&b, &p);
    assert_str(buf_str(&b), "{\"id\":\"5\",\"application_id\":\"6\",\"guild_id\":\"8\",\"permissions\":[]}");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_names),
        cmocka_unit_test(knows_locales),
        cmocka_unit_test(writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
