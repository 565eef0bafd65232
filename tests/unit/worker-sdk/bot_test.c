/* A bot's settings: from the environment, from the options, and what is missing. */
#include "tests/support/cm.h"

#include "platform/base/log.h"

#include <guildhall/guildhall.h>

#include <stdlib.h>

#define TOKEN "NDI0Mg.x.y" /* of user 4242 */

static void settings_come_from_the_environment(void **state)
{
    (void)state;
    setenv("DISCORD_TOKEN", TOKEN, 1);
    setenv("AMQP_URL", "amqp://127.0.0.1:1/", 1);
    setenv("REDIS_URL", "redis://127.0.0.1:1/0", 1);
    setenv("PROXY_URL", "http://127.0.0.1:1/api", 1);
    setenv("GUILDHALL_LOG_LEVEL", "error", 1);
    struct gh_bot *bot = gh_bot_new(NULL);
    assert_non_null(bot);
    assert_int_equal(gh_bot_user_id(bot), 4242);
    assert_int_equal(gh_bot_application_id(bot), 4242);
    assert_false(log_enabled(LOG_LEVEL_WARN));
    assert_true(log_enabled(LOG_LEVEL_ERROR));
    gh_bot_free(bot);
    setenv("APPLICATION_ID", "77", 1);
    unsetenv("GUILDHALL_LOG_LEVEL");
    bot = gh_bot_new(NULL);
    assert_int_equal(gh_bot_application_id(bot), 77);
    assert_true(log_enabled(LOG_LEVEL_INFO));
    gh_bot_free(bot);
    unsetenv("APPLICATION_ID");
}

static void what_is_missing_is_said(void **state)
{
    (void)state;
    unsetenv("PROXY_URL");
    assert_null(gh_bot_new(NULL));
    struct gh_bot *bot = gh_bot_new(&(struct gh_options){.proxy_url = "http://127.0.0.1:1/api"});
    assert_non_null(bot);
    gh_bot_free(bot);
    assert_null(gh_bot_new(&(struct gh_options){.proxy_url = "http://127.0.0.1:1/api", .token = "!"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_come_from_the_environment),
        cmocka_unit_test(what_is_missing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
