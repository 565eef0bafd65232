/* settings.c: the order of the sources, the forms of a flag, and the one line an error gets. */
#include "tests/support/cm.h"

#include "platform/base/settings.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char *rest[32];
static int rest_count;

#define LOAD(command, err, ...)                                                                                        \
    load(command, err, (char *[]){__VA_ARGS__}, (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)))

static int load(enum settings_command command, struct buf *err, char **argv, int argc)
{
    buf_clear(err);
    return settings_load(command, argc, argv, rest, &rest_count, err);
}

static void write_config(char path[64], const char *text)
{
    strcpy(path, "/tmp/guildhall-settings-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void reads_flags_in_every_form(void **state)
{
    BUF_AUTO struct buf err = BUF_INIT(0);

    (void)state;
    assert_int_equal(LOAD(CMD_DEV, &err, "--port", "1234", "word", "--memory", "--limits=off", "--tls", "c.pem",
                          "k.pem", "--heartbeat-interval-ms=500", "--", "--tail"),
                     0);
    assert_int_equal(setting_int(SETTING_port), 1234);
    assert_true(setting_bool(SETTING_memory));
    assert_false(setting_bool(SETTING_limits));
    assert_string_equal(setting_str(SETTING_tls), "c.pem\nk.pem");
    assert_int_equal(setting_int(SETTING_heartbeat_interval_ms), 500);
    assert_int_equal(rest_count, 2);
    assert_string_equal(rest[0], "word");
    assert_string_equal(rest[1], "--tail");
    assert_int_equal(LOAD(CMD_DEV, &err, "--limits", "off", "--memory", "word"), 0);
    assert_false(setting_bool(SETTING_limits));
    assert_int_equal(setting_int(SETTING_port), 8080);
    assert_int_equal(rest_count, 1);
    assert_int_equal(LOAD(CMD_API, &err, "--worker-id", "-1"), 0);
    assert_int_equal(setting_int(SETTING_worker_id), -1);
}

static void later_sources_win(void **state)
{
    BUF_AUTO struct buf err = BUF_INIT(0);
    char path[64];

    (void)state;
    write_config(path,
                 "# comment\n\nintents = 1\nshard-count=2\nshards_max = 3 \nlisten = elsewhere:1\ntoken = filetok\n");
    setenv("GUILDHALL_CONFIG", path, 1);
    setenv("INTENTS", "10", 1);
    setenv("GUILDHALL_SHARD_COUNT", "20", 1);
    setenv("SHARD_COUNT", "21", 1);
    assert_int_equal(LOAD(CMD_SHARD, &err, "--intents", "100"), 0);
    assert_int_equal(setting_int(SETTING_intents), 100);
    assert_int_equal(setting_int(SETTING_shard_count), 20);
    assert_int_equal(setting_int(SETTING_shards_max), 3);
    assert_string_equal(setting_str(SETTING_token), "filetok");
    assert_string_equal(setting_str(SETTING_listen), "127.0.0.1:0");
    unsetenv("GUILDHALL_SHARD_COUNT");
    assert_int_equal(LOAD(CMD_SHARD, &err, "x"), 0);
    assert_int_equal(setting_int(SETTING_shard_count), 21);
    unsetenv("GUILDHALL_CONFIG");
    unsetenv("INTENTS");
    unsetenv("SHARD_COUNT");
    unlink(path);
}

static void explains_what_is_wrong(void **state)
{
    BUF_AUTO struct buf err = BUF_INIT(0);
    char path[64];

    (void)state;
    assert_int_equal(LOAD(CMD_DEV, &err, "--port", "70000"), -EINVAL);
    assert_buf(&err, "--port: port must be a whole number from 0 to 65535, not `70000`");
    assert_int_equal(LOAD(CMD_DEV, &err, "--nonsense"), -EINVAL);
    assert_buf(&err, "--nonsense: no such flag (see --help)");
    assert_int_equal(LOAD(CMD_DEV, &err, "--database-url", "x"), -EINVAL);
    assert_buf(&err, "--database-url: not a flag of this command (see --help)");
    assert_int_equal(LOAD(CMD_DEV, &err, "--data", "--memory"), -EINVAL);
    assert_buf(&err, "--data: needs a value (folder)");
    assert_int_equal(LOAD(CMD_DEV, &err, "--tls", "only-one"), -EINVAL);
    assert_buf(&err, "--tls: needs a value (CERT KEY)");
    assert_int_equal(LOAD(CMD_DEV, &err, "--limits=maybe"), -EINVAL);
    assert_buf(&err, "--limits: limits must be on or off, not `maybe`");
    setenv("GUILDHALL_LOG_LEVEL", "loud", 1);
    assert_int_equal(LOAD(CMD_DEV, &err, "x"), -EINVAL);
    assert_buf(&err, "GUILDHALL_LOG_LEVEL: log_level must be one of debug|info|warn|error, not `loud`");
    unsetenv("GUILDHALL_LOG_LEVEL");
    write_config(path, "port = 1\nwrong\n");
    BUF_AUTO struct buf want = BUF_INIT(0);
    buf_addf(&want, "%s:2: expected `name = value`, not `wrong`", path);
    assert_int_equal(LOAD(CMD_DEV, &err, "--config", path), -EINVAL);
    assert_buf(&err, want.data);
    unlink(path);
    assert_int_equal(LOAD(CMD_DEV, &err, "--config", path), -EINVAL);
    assert_non_null(strstr(err.data, "No such file"));
}

static void helps_with_its_own_table_only(void **state)
{
    BUF_AUTO struct buf out = BUF_INIT(0);

    (void)state;
    settings_help(CMD_DEV, &out);
    assert_non_null(strstr(out.data, "--heartbeat-interval-ms ms"));
    assert_non_null(strstr(out.data, "0 to 65535; default 8080  [GUILDHALL_PORT]\n"));
    assert_null(strstr(out.data, "--database-url"));
    setting_override(SETTING_port, "99");
    assert_int_equal(setting_int(SETTING_port), 99);
}

static void reads_the_file_again(void **state)
{
    BUF_AUTO struct buf err = BUF_INIT(0);
    char path[64];

    (void)state;
    write_config(path, "global_limit = 7\n");
    char *argv[] = {"--config", path, "--invalid-limit", "3"};
    assert_int_equal(load(CMD_PROXY, &err, argv, 4), 0);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("global_limit = 8\ninvalid_limit = 9\n", f);
    fclose(f);
    assert_int_equal(settings_reload(&err), 0);
    assert_int_equal(setting_int(SETTING_global_limit), 8);
    assert_int_equal(setting_int(SETTING_invalid_limit), 3); /* a flag still wins */
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("global_limit = 9\ninvalid_limit = many\n", f);
    fclose(f);
    assert_int_equal(settings_reload(&err), -EINVAL);
    assert_int_equal(setting_int(SETTING_global_limit), 8); /* all or nothing */
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_flags_in_every_form),     cmocka_unit_test(later_sources_win),
        cmocka_unit_test(reads_the_file_again),          cmocka_unit_test(explains_what_is_wrong),
        cmocka_unit_test(helps_with_its_own_table_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
