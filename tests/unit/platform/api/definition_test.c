/* definition.c: what a command may say, what it may not and where that is told. */
#include "tests/support/cm.h"

#include "platform/api/api_private.h"
#include "platform/api/commands/commands.h"
#include "platform/api/form.h"

#include <stdlib.h>

static struct http_request req;
static struct api_ctx x;
static struct application_command cmd;
static const char *supported = "{\"0\":{}}"; /* by the application */

static void given(const char *json, bool guild)
{
    x = (struct api_ctx){.req = &req, .arena = &req.arena, .form_errors = BUF_INIT(64 << 10)};
    x.body = json_loads(json, 0, NULL);
    assert_non_null(x.body);
    cmd = (struct application_command){0};
    command_read(&x, guild, str_c(supported), &cmd);
}

static void done(void)
{
    json_decref(x.body);
    buf_done(&x.form_errors);
    arena_done(&req.arena);
}

static void kept(const char *json, bool guild, const char *definition)
{
    given(json, guild);
    if (x.form_errors.len) {
        char *text = json_dumps(form_errors_tree(&x.form_errors), JSON_COMPACT);
        fail_msg("refused: %s", text);
    }
    assert_str(cmd.definition_json, definition);
    done();
}

/* The first error is at `path`, with this code, and is the only one. */
static void refused(const char *json, const char *path, const char *code)
{
    given(json, false);
    assert_int_equal(form_result(&x), API_ERROR_INVALID_FORM_BODY);
    json_t *tree = form_errors_tree(&x.form_errors);
    char *text = json_dumps(tree, JSON_COMPACT);
    const char *e = x.form_errors.data;
    if (strcmp(e, path) != 0 || strcmp(e + strlen(e) + 1, code) != 0)
        fail_msg("%s: expected %s at %s, got %s", json, code, path, text);
    size_t first = strlen(e) + 1;
    first += strlen(e + first) + 1;
    first += strlen(e + first) + 1;
    if (first != x.form_errors.len)
        fail_msg("%s: more than one error: %s", json, text);
    free(text);
    json_decref(tree);
    done();
}

static void keeps_what_is_known(void **state)
{
    (void)state;
    kept("{\"name\":\"ping\",\"description\":\"says pong\",\"unknown\":1}", false,
         "{\"name_localizations\":null,\"description\":\"says pong\",\"description_localizations\":null,"
         "\"default_member_permissions\":null,\"dm_permission\":true,\"contexts\":null,\"integration_types\":[0],"
         "\"nsfw\":false}");
    kept("{\"name\":\"High Five\",\"type\":2,\"default_member_permissions\":\"32\",\"nsfw\":true,"
         "\"name_localizations\":{\"de\":\"Fünf\"},\"contexts\":[0]}",
         true,
         "{\"name_localizations\":{\"de\":\"Fünf\"},\"description\":\"\",\"description_localizations\":null,"
         "\"default_member_permissions\":\"32\",\"nsfw\":true}");
    supported = "{\"0\":{},\"1\":{}}";
    kept("{\"name\":\"p\",\"description\":\"d\",\"contexts\":[0,2],\"integration_types\":[0,1]}", false,
         "{\"name_localizations\":null,\"description\":\"d\",\"description_localizations\":null,"
         "\"default_member_permissions\":null,\"dm_permission\":false,\"contexts\":[0,2],\"integration_types\":[0,1],"
         "\"nsfw\":false}");
    supported = "{\"0\":{}}";
    kept("{\"name\":\"p\",\"description\":\"d\",\"default_permission\":false,\"options\":[{\"type\":11,\"name\":\"f\","
         "\"description\":\"d\",\"file_types\":[\"image\",\".pdf\"]}]}",
         true,
         "{\"name_localizations\":null,\"description\":\"d\",\"description_localizations\":null,\"options\":[{\"type\":"
         "11,"
         "\"name\":\"f\",\"name_localizations\":null,\"description\":\"d\",\"description_localizations\":null,"
         "\"file_types\":[\"image\",\".pdf\"]}],\"default_member_permissions\":\"0\",\"nsfw\":false}");
}

static void keeps_options(void **state)
{
    (void)state;
    kept("{\"name\":\"p\",\"description\":\"d\",\"options\":[{\"type\":2,\"name\":\"g\",\"description\":\"d\","
         "\"options\":[{\"type\":1,\"name\":\"s\",\"description\":\"d\",\"options\":["
         "{\"type\":3,\"name\":\"a\",\"description\":\"d\",\"required\":true,\"choices\":[{\"name\":\"One\",\"value\":"
         "\"1\"}]},{\"type\":4,\"name\":\"b\",\"description\":\"d\",\"min_value\":-5,\"max_value\":5},"
         "{\"type\":10,\"name\":\"c\",\"description\":\"d\",\"autocomplete\":true},"
         "{\"type\":7,\"name\":\"e\",\"description\":\"d\",\"channel_types\":[0,2]}]}]}]}",
         true,
         "{\"name_localizations\":null,\"description\":\"d\",\"description_localizations\":null,\"options\":["
         "{\"type\":2,\"name\":\"g\",\"name_localizations\":null,\"description\":\"d\",\"description_localizations\":"
         "null,\"options\":[{\"type\":1,\"name\":\"s\",\"name_localizations\":null,\"description\":\"d\","
         "\"description_localizations\":null,\"options\":[{\"type\":3,\"name\":\"a\",\"name_localizations\":null,"
         "\"description\":\"d\",\"description_localizations\":null,\"required\":true,\"choices\":[{\"name\":\"One\","
         "\"name_localizations\":null,\"value\":\"1\"}]},{\"type\":4,\"name\":\"b\",\"name_localizations\":null,"
         "\"description\":\"d\",\"description_localizations\":null,\"min_value\":-5,\"max_value\":5},{\"type\":10,"
         "\"name\":\"c\",\"name_localizations\":null,\"description\":\"d\",\"description_localizations\":null,"
         "\"autocomplete\":true},{\"type\":7,\"name\":\"e\",\"name_localizations\":null,\"description\":\"d\","
         "\"description_localizations\":null,\"channel_types\":[0,2]}]}]}],\"default_member_permissions\":null,"
         "\"nsfw\":false}");
}

static void refuses_heads(void **state)
{
    (void)state;
    refused("{\"description\":\"d\"}", "name", "BASE_TYPE_REQUIRED");
    refused("{\"name\":\"p\"}", "description", "BASE_TYPE_REQUIRED");
    refused("{\"name\":\"Ping\",\"description\":\"d\"}", "name", "APPLICATION_COMMAND_INVALID_NAME");
    refused("{\"name\":\"p\",\"description\":\"d\",\"type\":4}", "type", "BASE_TYPE_CHOICES");
    refused("{\"name\":\"p\",\"description\":\"d\",\"name_localizations\":{\"xx\":\"p\"}}", "name_localizations.xx",
            "BASE_TYPE_CHOICES");
    refused("{\"name\":\"p\",\"description\":\"d\",\"name_localizations\":{\"de\":\"P\"}}", "name_localizations.de",
            "APPLICATION_COMMAND_INVALID_NAME");
    refused("{\"name\":\"p\",\"description\":\"d\",\"contexts\":[0,3]}", "contexts.1", "BASE_TYPE_CHOICES");
    refused("{\"name\":\"p\",\"description\":\"d\",\"contexts\":[0,0]}", "contexts.1",
            "SET_TYPE_ALREADY_CONTAINS_VALUE");
    refused("{\"name\":\"p\",\"description\":\"d\",\"default_member_permissions\":\"x\"}", "default_member_permissions",
            "NUMBER_TYPE_COERCE");
    refused("{\"name\":\"p\",\"description\":\"d\",\"integration_types\":[0,1]}", "integration_types.1",
            "BASE_TYPE_CHOICES");
    refused("{\"name\":\"p\",\"description\":\"d\",\"options\":[{\"type\":11,\"name\":\"f\",\"description\":\"d\","
            "\"file_types\":[\"pdf\"]}]}",
            "options.0.file_types.0", "BASE_TYPE_CHOICES");
    refused("{\"name\":\"Menu\",\"type\":3,\"description\":\"d\"}", "description",
            "APPLICATION_COMMAND_DESCRIPTION_NOT_ALLOWED");
    refused("{\"name\":\"Menu\",\"type\":3,\"options\":[{\"type\":3,\"name\":\"a\",\"description\":\"d\"}]}", "options",
            "APPLICATION_COMMAND_OPTIONS_NOT_ALLOWED");
}

#define OPTIONS(list)            "{\"name\":\"p\",\"description\":\"d\",\"options\":[" list "]}"
#define OPTION(type, name, more) "{\"type\":" type ",\"name\":\"" name "\",\"description\":\"d\"" more "}"

static void refuses_options(void **state)
{
    (void)state;
    refused(OPTIONS("7"), "options.0", "DICT_TYPE_CONVERT");
    refused(OPTIONS("{\"name\":\"a\",\"description\":\"d\"}"), "options.0.type", "BASE_TYPE_REQUIRED");
    refused(OPTIONS(OPTION("12", "a", "")), "options.0.type", "NUMBER_TYPE_MAX");
    refused(OPTIONS(OPTION("3", "A", "")), "options.0.name", "APPLICATION_COMMAND_INVALID_NAME");
    refused(OPTIONS(OPTION("3", "a", "") "," OPTION("3", "a", "")), "options.1.name",
            "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS");
    refused(OPTIONS(OPTION("3", "a", "") "," OPTION("3", "b", ",\"required\":true")), "options.1",
            "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID");
    refused(OPTIONS(OPTION("1", "a", "") "," OPTION("3", "b", "")), "options.1",
            "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID");
    refused(OPTIONS(OPTION("1", "a", ",\"options\":[" OPTION("1", "b", "") "]")), "options.0.options.0.type",
            "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID");
    refused(OPTIONS(OPTION("2", "a", ",\"options\":[" OPTION("3", "b", "") "]")), "options.0.options.0.type",
            "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID");
    refused(OPTIONS(OPTION("4", "a", ",\"min_value\":5,\"max_value\":4")), "options.0.min_value",
            "APPLICATION_COMMAND_OPTIONS_MIN_MAX_INVALID");
    refused(OPTIONS(OPTION("3", "a", ",\"max_length\":6001")), "options.0.max_length", "NUMBER_TYPE_MAX");
    refused(OPTIONS(OPTION("7", "a", ",\"channel_types\":[99]")), "options.0.channel_types.0", "BASE_TYPE_CHOICES");
    refused(OPTIONS(OPTION("5", "a", ",\"autocomplete\":true")), "options.0.autocomplete",
            "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_TYPE_INVALID");
}

static void refuses_choices(void **state)
{
    (void)state;
    refused(OPTIONS(OPTION("5", "a", ",\"choices\":[{\"name\":\"n\",\"value\":\"v\"}]")), "options.0.choices",
            "APPLICATION_COMMAND_OPTIONS_CHOICES_TYPE_INVALID");
    refused(OPTIONS(OPTION("4", "a", ",\"choices\":[{\"name\":\"n\",\"value\":\"v\"}]")), "options.0.choices.0.value",
            "NUMBER_TYPE_COERCE");
    refused(
        OPTIONS(OPTION("3", "a", ",\"choices\":[{\"name\":\"n\",\"value\":\"v\"},{\"name\":\"n\",\"value\":\"w\"}]")),
        "options.0.choices.1.name", "APPLICATION_COMMAND_OPTIONS_CHOICE_NAME_EXISTS");
    refused(OPTIONS(OPTION("3", "a", ",\"autocomplete\":true,\"choices\":[{\"name\":\"n\",\"value\":\"v\"}]")),
            "options.0.autocomplete", "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_WITH_CHOICES");
}

/* 26 options, 26 choices, 8,001 characters. */
static void refuses_too_much(void **state)
{
    char json[32768];
    size_t n = 0;

    (void)state;
    n += (size_t)snprintf(json, sizeof json, "{\"name\":\"p\",\"description\":\"d\",\"options\":[");
    for (int i = 0; i < 26; i++)
        n += (size_t)snprintf(json + n, sizeof json - n, "%s" OPTION("3", "o%d", ""), i ? "," : "", i);
    snprintf(json + n, sizeof json - n, "]}");
    refused(json, "options", "BASE_TYPE_MAX_LENGTH");

    n = (size_t)snprintf(json, sizeof json, "{\"name\":\"p\",\"description\":\"d\",\"options\":[");
    for (int i = 0; i < 4; i++) {
        n += (size_t)snprintf(json + n, sizeof json - n,
                              "%s{\"type\":3,\"name\":\"o%d\",\"description\":\"d\",\"choices\":[", i ? "," : "", i);
        for (int k = 0; k < 25; k++)
            n += (size_t)snprintf(json + n, sizeof json - n, "%s{\"name\":\"%d\",\"value\":\"%0*d\"}", k ? "," : "", k,
                                  i == 0 && k == 0 ? 99 : 80, k);
        n += (size_t)snprintf(json + n, sizeof json - n, "]}");
    }
    snprintf(json + n, sizeof json - n, "]}");
    /* name, description; four times name, description and 25 times (2 or 1, and 80), one value of 99 */
    refused(json, "", "APPLICATION_COMMAND_TOO_LARGE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_is_known), cmocka_unit_test(keeps_options),   cmocka_unit_test(refuses_heads),
        cmocka_unit_test(refuses_options),     cmocka_unit_test(refuses_choices), cmocka_unit_test(refuses_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
