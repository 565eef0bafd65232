/* Which commands of workers may be sent. */
#include "gateway/shard/command.h"
#include "tests/support/cm.h"

static void what_the_documentation_has_passes(void **state)
{
    static const struct {
        const char *body;
        int op;
        unsigned guilds;
    } good[] = {
        {"{\"op\":3,\"d\":{\"since\":91879201,\"activities\":[{\"name\":\"x\",\"type\":0}],\"status\":\"online\","
         "\"afk\":false}}",
         3, 0},
        {"{\"op\":3,\"d\":{\"since\":null,\"activities\":[],\"status\":\"dnd\",\"afk\":true}}", 3, 0},
        {"{\"op\":4,\"d\":{\"guild_id\":\"41771983423143937\",\"channel_id\":\"127121515262115840\",\"self_mute\":"
         "false,\"self_deaf\":"
         "false}}",
         4, 1},
        {"{\"op\":4,\"d\":{\"guild_id\":\"41771983423143937\",\"channel_id\":null,\"self_mute\":true,\"self_deaf\":"
         "true}}",
         4, 1},
        {"{\"op\":8,\"d\":{\"guild_id\":\"41771983444115456\",\"query\":\"\",\"limit\":0}}", 8, 1},
        {"{\"op\":8,\"d\":{\"guild_id\":\"41771983444115456\",\"user_ids\":[\"1\",\"2\"],\"nonce\":\"n\"}}", 8, 1},
        {"{\"op\":31,\"d\":{\"guild_ids\":[\"613425648685547541\",\"81384788765712384\"]}}", 31, 2},
        {"{\"op\":43,\"d\":{\"guild_id\":\"613425648685547541\",\"fields\":[\"status\",\"voice_start_time\"]}}", 43, 1},
    };
    struct command c;
    const char *reason;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(shard_command_read(str_c(good[i].body), &c, &reason), 0);
        assert_int_equal(c.op, good[i].op);
        assert_int_equal(c.guild_count, good[i].guilds);
    }
}

static void what_would_close_the_connection_does_not(void **state)
{
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "{\"op\":1,\"d\":null}",
        "{\"op\":2,\"d\":{}}",
        "{\"op\":6,\"d\":{}}",
        "{\"op\":4}",
        "{\"op\":\"4\",\"d\":{\"guild_id\":\"1\",\"channel_id\":null}}",
        "{\"op\":4,\"d\":{\"guild_id\":\"1\"}}",
        "{\"op\":4,\"d\":{\"guild_id\":\"x\",\"channel_id\":null}}",
        "{\"op\":4,\"d\":{\"guild_id\":\"1\",\"channel_id\":null,\"self_mute\":1}}",
        "{\"op\":8,\"d\":{\"guild_id\":\"1\"}}",
        "{\"op\":8,\"d\":{\"guild_id\":\"1\",\"query\":\"\"}}",
        "{\"op\":8,\"d\":{\"guild_id\":\"1\",\"user_ids\":[1]}}",
        "{\"op\":31,\"d\":{\"guild_ids\":[]}}",
        "{\"op\":31,\"d\":{\"guild_ids\":\"1\"}}",
        "{\"op\":43,\"d\":{\"guild_id\":\"1\",\"fields\":\"status\"}}",
        "{\"op\":3,\"d\":{\"activities\":[],\"status\":\"asleep\"}}",
        "{\"op\":3,\"d\":{\"status\":\"online\"}}",
    };
    struct command c;
    const char *reason = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(shard_command_read(str_c(bad[i]), &c, &reason) < 0);
        assert_non_null(reason);
    }
}

static void a_long_one_is_refused_unread(void **state)
{
    struct buf BUF_AUTO b = {0};
    struct command c;
    const char *reason = NULL;

    (void)state;
    buf_adds(&b, "{\"op\":8,\"d\":{\"guild_id\":\"1\",\"limit\":0,\"query\":\"");
    while (b.len < 4094)
        buf_addc(&b, 'x');
    buf_adds(&b, "\"}}");
    assert_true(shard_command_read(buf_str(&b), &c, &reason) < 0);
    assert_string_equal(reason, "longer than 4096 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_documentation_has_passes),
        cmocka_unit_test(what_would_close_the_connection_does_not),
        cmocka_unit_test(a_long_one_is_refused_unread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
