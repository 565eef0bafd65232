/* Components and modals: pressed, chosen, filled in; what they may look like; what is wrong with them. */
#include "tests/contract/api/interactions_fixture.h"

#include <stdio.h>

static void uses_components(void)
{
    char data[256], path[96];

    events_clear();
    uint64_t panel = panel_new();
    expect_int(press(&bob, panel, "{\"component_type\":2,\"custom_id\":\"go\"}"), 204);
    json_t *e = heard();
    expect_true(json_integer_value(in(e, "type")) == 3 && json_integer_value(in(e, "data.component_type")) == 2);
    expect_text(str_c(text_in(e, "message.content")), "panel");
    expect_int(respond("{\"type\":6}", ""), 204);
    expect_int(call(NULL, "PATCH", "{\"content\":\"changed\"}", "%s/messages/@original", webhook), 200);
    expect_true(id_at("id") == panel && json_array_size(node_at("components")) == 2);
    expect_int(call(NULL, "POST", "{\"content\":\"more\",\"flags\":64}", "%s", webhook), 200);
    expect_true(int_at("flags") == 64 && id_at("interaction_metadata.interacted_message_id") == panel);

    snprintf(data, sizeof data, "{\"component_type\":5,\"custom_id\":\"who\",\"values\":[\"%llu\"]}", U(alice.id));
    expect_int(press(&bob, panel, data), 204);
    e = heard();
    snprintf(path, sizeof path, "data.resolved.users.%llu.username", U(alice.id));
    expect_text(str_c(text_in(e, path)), "alice");
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"picked\"}}", "?with_response=true"), 200);
    expect_true(int_at("resource.message.type") == 19 &&
                id_at("resource.message.message_reference.message_id") == panel);

    expect_int(press(&bob, panel, "{\"component_type\":2,\"custom_id\":\"off\"}"), 400);
    expect_int(press(&bob, panel, "{\"component_type\":2,\"custom_id\":\"none\"}"), 400);
    expect_text(str_c(text_at("errors.data._errors.0.code")), "COMPONENT_VALIDATION_FAILED");
    expect_int(press(&bob, panel, "{\"component_type\":5,\"custom_id\":\"who\",\"values\":[]}"), 400);
    expect_int(press(&bob, 4711, "{\"component_type\":2,\"custom_id\":\"go\"}"), 404);
    expect_int(press(&carol, panel, "{\"component_type\":2,\"custom_id\":\"go\"}"), 403);
    /* a command is no component */
    events_clear();
    expect_int(use_command(&bob, ping, ""), 204);
    (void)heard();
    expect_int(respond("{\"type\":7,\"data\":{\"content\":\"x\"}}", ""), 400);
    expect_text(str_c(text_at("errors.type._errors.0.code")), "BASE_TYPE_CHOICES");
}

#define MODAL                                                                                                          \
    "{\"type\":9,\"data\":{\"custom_id\":\"form\",\"title\":\"A form\",\"components\":[{\"type\":1,\"components\":["   \
    "{\"type\":4,\"custom_id\":\"name\",\"style\":1,\"label\":\"Name\",\"min_length\":2}]},"                           \
    "{\"type\":18,\"label\":\"Which\",\"component\":{\"type\":3,\"custom_id\":\"pick\",\"options\":["                  \
    "{\"label\":\"A\",\"value\":\"a\"},{\"label\":\"B\",\"value\":\"b\"}]}}]}}"

static int submit(const char *name, const char *pick)
{
    char data[512];

    snprintf(
        data, sizeof data,
        "{\"id\":\"%llu\",\"custom_id\":\"form\",\"components\":[{\"type\":1,\"components\":[{\"type\":4,\"custom_id\":"
        "\"name\",\"value\":\"%s\"}]},{\"type\":18,\"component\":{\"type\":3,\"custom_id\":\"pick\",\"values\":[\"%s\"]"
        "}}]}",
        U(interaction), name, pick);
    return use(&bob, 5, data);
}

static void asks_in_a_modal(void)
{
    events_clear();
    uint64_t panel = panel_new();
    expect_int(press(&bob, panel, "{\"component_type\":2,\"custom_id\":\"go\"}"), 204);
    (void)heard();
    uint64_t opener = interaction;
    expect_int(respond("{\"type\":9,\"data\":{\"custom_id\":\"form\",\"components\":[]}}", ""), 400);
    expect_text(str_c(text_at("errors.data.title._errors.0.code")), "BASE_TYPE_REQUIRED");
    expect_text(str_c(text_at("errors.data.components._errors.0.code")), "BASE_TYPE_BAD_LENGTH");
    expect_int(respond(MODAL, ""), 204);
    json_t *e = event_at(EVENT_INTERACTION_MODAL_CREATE, 0);
    expect_text(str_c(text_in(e, "title")), "A form");
    expect_text(str_c(text_in(e, "application.name")), "pingbot");
    events_clear();
    expect_int(submit("x", "a"), 400);
    expect_text(str_c(text_at("errors.data.components.0.components.0.value._errors.0.code")), "BASE_TYPE_BAD_LENGTH");
    expect_int(submit("Bob", "c"), 400);
    expect_int(submit("Bob", "b"), 204);
    e = heard();
    expect_true(json_integer_value(in(e, "type")) == 5 && interaction != opener);
    expect_text(str_c(text_in(e, "data.components.0.components.0.value")), "Bob");
    expect_text(str_c(text_in(e, "data.components.1.component.values.0")), "b");
    expect_text(str_c(text_in(e, "message.content")), "panel");
    expect_int(respond(MODAL, ""), 400);
    expect_int(respond("{\"type\":7,\"data\":{\"content\":\"thanks\"}}", "?with_response=true"), 200);
    expect_true(id_at("resource.message.id") == panel);
    interaction = opener;
    expect_int(submit("Bob", "b"), 404); /* once */
    expect_int(code(), 10062);
}

/* --- what components may say -----------------------------------------------------------------------------------------
 */
static int send_files(const char *path, const char *json, const char *name)
{
    struct buf b = {0};

    buf_addf(&b,
             "--b\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n%s\r\n--b\r\nContent-Disposition: "
             "form-data; name=\"files[0]\"; filename=\"%s\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n",
             json, name);
    const char *who = strncmp(path, "/interactions/", 14) == 0 ? NULL : path[1] == 'i' ? bob.token : bot.token;
    int r = call_raw(who, "POST", "multipart/form-data; boundary=b", buf_str(&b), path);
    buf_done(&b);
    return r;
}

static void shows_components_v2(void)
{
    char path[64], json[1024];

    events_clear();
    snprintf(path, sizeof path, "/channels/%llu/messages", U(general));
    snprintf(
        json, sizeof json,
        "{\"flags\":32768,\"components\":[{\"type\":10,\"content\":\"hi <@%llu>\"},{\"type\":17,\"accent_color\":255,"
        "\"components\":[{\"type\":9,\"components\":[{\"type\":10,\"content\":\"x\"}],\"accessory\":{\"type\":11,"
        "\"media\":{\"url\":\"https://example.test/"
        "a.png\",\"width\":7}}},{\"type\":14,\"spacing\":2},{\"type\":13,\"id\":2,"
        "\"file\":{\"url\":\"attachment://a "
        "b.txt\"}},{\"type\":1,\"components\":[{\"type\":2,\"style\":1,\"label\":\"Go\","
        "\"custom_id\":\"go\"}]}]}]}",
        U(bob.id));
    expect_int(send_files(path, json, "a b.txt"), 200);
    uint64_t message = id_at("id");
    expect_true(id_at("mentions.0.id") == bob.id && int_at("flags") == 32768);
    expect_true(int_at("components.0.id") == 1 && int_at("components.1.id") == 3);
    expect_text(str_c(text_at("components.1.components.2.name")), "a_b.txt");
    expect_true(int_at("components.1.components.2.size") == 5 && id_at("components.1.components.2.file.attachment_id"));
    expect_true(strstr(text_at("components.1.components.2.file.url"), "/attachments/") != NULL);
    expect_text(str_c(text_at("components.1.components.0.accessory.media.proxy_url")), "https://example.test/a.png");
    expect_true(!node_at("components.1.components.0.accessory.media.width")); /* is not the sender's to say */
    /* a file that it has can be shown again; the flag stays */
    expect_int(call(bot.token, "PATCH",
                    "{\"flags\":0,\"components\":[{\"type\":13,\"file\":{\"url\":\"attachment://a_b.txt\"}},"
                    "{\"type\":1,\"components\":[{\"type\":2,\"style\":1,\"label\":\"Go\",\"custom_id\":\"go\"}]}]}",
                    "/channels/%llu/messages/%llu", U(general), U(message)),
               200);
    expect_true(int_at("flags") == 32768 && int_at("components.0.size") == 5);
    expect_int(call(bot.token, "PATCH", "{\"content\":\"x\"}", "/channels/%llu/messages/%llu", U(general), U(message)),
               400);
    expect_text(str_c(text_at("errors.content._errors.0.code")), "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2");
    expect_int(press(&bob, message, "{\"component_type\":2,\"custom_id\":\"go\"}"), 204);
    (void)heard();
    expect_int(
        respond("{\"type\":4,\"data\":{\"flags\":32832,\"components\":[{\"type\":10,\"content\":\"only you\"}]}}",
                "?with_response=true"),
        200);
    expect_true(int_at("resource.message.flags") == 32832);
    expect_text(str_c(text_at("resource.message.components.0.content")), "only you");
}

#define ROW(button)  "{\"type\":1,\"components\":[" button "]}"
#define SELECT(more) ROW("{\"type\":3,\"custom_id\":\"s\",\"options\":[{\"label\":\"A\",\"value\":\"a\"}]" more "}")

static void refuses_what_is_wrong(void)
{
    static const struct {
        bool v2;
        const char *component, *path, *code;
    } cases[] = {
        {0, ROW("{\"type\":2,\"style\":1,\"label\":\"x\"}"), "0.components.0.custom_id", "BASE_TYPE_REQUIRED"},
        {0, ROW("{\"type\":2,\"style\":5,\"label\":\"x\",\"url\":\"https://a.test\",\"custom_id\":\"x\"}"),
         "0.components.0.custom_id", "BUTTON_COMPONENT_FIELD_INVALID"},
        {0, ROW("{\"type\":2,\"style\":6,\"sku_id\":\"1\",\"emoji\":{\"name\":\"x\"}}"), "0.components.0.emoji",
         "BUTTON_COMPONENT_FIELD_INVALID"},
        {0, SELECT(",\"max_values\":2"), "0.components.0.options", "BASE_TYPE_BAD_LENGTH"},
        {0, SELECT(",\"min_values\":1,\"max_values\":0"), "0.components.0.max_values", "NUMBER_TYPE_MIN"},
        {0, ROW("{\"type\":6,\"custom_id\":\"r\",\"default_values\":[{\"id\":\"1\",\"type\":\"user\"}]}"),
         "0.components.0.default_values.0.type", "BASE_TYPE_CHOICES"},
        {0,
         ROW("{\"type\":5,\"custom_id\":\"r\",\"default_values\":[{\"id\":\"1\",\"type\":\"user\"},{\"id\":\"2\","
             "\"type\":"
             "\"user\"}]}"),
         "0.components.0.default_values", "BASE_TYPE_BAD_LENGTH"},
        {0, "{\"type\":10,\"content\":\"x\"}", "0", "UNION_TYPE_CHOICES"},
        {1, "{\"type\":10,\"id\":5,\"content\":\"x\"},{\"type\":10,\"id\":5,\"content\":\"x\"}", "1.id",
         "COMPONENT_ID_DUPLICATED"},
        {1, "{\"type\":13,\"file\":{\"url\":\"attachment://none.txt\"}}", "0.file",
         "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND"},
        {1, "{\"type\":13,\"file\":{\"url\":\"https://a.test/x.txt\"}}", "0.file.url", "URL_TYPE_INVALID_SCHEME"},
        {1, "{\"type\":12,\"items\":[{\"media\":{\"url\":\"ftp://a.test/x.png\"}}]}", "0.items.0.media.url",
         "URL_TYPE_INVALID_SCHEME"},
        {1, "{\"type\":14,\"spacing\":3}", "0.spacing", "NUMBER_TYPE_MAX"},
        {1, "{\"type\":17,\"accent_color\":16777216,\"components\":[{\"type\":14}]}", "0.accent_color",
         "NUMBER_TYPE_MAX"},
        {1, "{\"type\":9,\"components\":[{\"type\":10,\"content\":\"x\"}]}", "0.accessory", "BASE_TYPE_REQUIRED"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[1024], path[160];
        snprintf(json, sizeof json, "{\"content\":%s,\"flags\":%d,\"components\":[%s]}", cases[i].v2 ? "null" : "\"x\"",
                 cases[i].v2 ? 32768 : 0, cases[i].component);
        expect_int(call(bot.token, "POST", json, "/channels/%llu/messages", U(general)), 400);
        snprintf(path, sizeof path, "errors.components.%s._errors.0.code", cases[i].path);
        expect_text(str_c(text_at(path)), cases[i].code);
    }
}

/* --- modals with everything ------------------------------------------------------------------------------------------
 */
#define LABEL(component) "{\"type\":18,\"label\":\"L\",\"component\":" component "}"
#define CHOICES          "\"options\":[{\"label\":\"A\",\"value\":\"a\"},{\"label\":\"B\",\"value\":\"b\"}]"
#define ALL_INPUTS                                                                                                     \
    LABEL("{\"type\":21,\"custom_id\":\"radio\"," CHOICES ",\"required\":false}")                                      \
    "," LABEL("{\"type\":22,\"custom_id\":\"group\"," CHOICES "}") "," LABEL(                                          \
        "{\"type\":23,\"custom_id\":\"check\",\"default\":true}") "," LABEL("{\"type\":19,\"custom_id\":\"file\","     \
                                                                            "\"file_types\":[\".TXT\"]}")

static void modal_open(const char *components)
{
    char json[2048];

    events_clear();
    expect_int(use_command(&bob, ping, ""), 204);
    (void)heard();
    snprintf(json, sizeof json, "{\"type\":9,\"data\":{\"custom_id\":\"m\",\"title\":\"T\",\"components\":[%s]}}",
             components);
    (void)respond(json, "");
}

/* One file goes along. */
static int modal_send(const char *radio, const char *group, const char *file, const char *name)
{
    char json[2048];

    snprintf(
        json, sizeof json,
        "{\"type\":5,\"application_id\":\"%llu\",\"guild_id\":\"%llu\",\"channel_id\":\"%llu\",\"data\":{\"id\":\"%"
        "llu\","
        "\"custom_id\":\"m\",\"components\":[{\"type\":18,\"component\":{\"type\":21,\"custom_id\":\"radio\",\"value\":"
        "%s}},"
        "{\"type\":18,\"component\":{\"type\":22,\"custom_id\":\"group\",\"values\":[%s]}},{\"type\":18,\"component\":{"
        "\"type\":23,\"custom_id\":\"check\",\"value\":true}},{\"type\":18,\"component\":{\"type\":19,\"custom_id\":"
        "\"file\","
        "\"values\":[%s]}}]}}",
        U(bot.id), U(guild), U(general), U(interaction), radio, group, file);
    events_clear();
    return send_files("/interactions", json, name);
}

static void asks_for_choices_and_files(void)
{
    char path[96];

    modal_open(ALL_INPUTS ",{\"type\":10,\"content\":\"read this\"}");
    expect_int(status, 204);
    expect_int(modal_send("\"c\"", "", "\"0\"", "a.txt"), 400);
    expect_text(str_c(text_at("errors.data.components.0.component.value._errors.0.code")),
                "COMPONENT_SELECT_VALUE_INVALID");
    expect_text(str_c(text_at("errors.data.components.1.component.values._errors.0.code")), "BASE_TYPE_BAD_LENGTH");
    expect_int(modal_send("null", "\"a\"", "\"0\"", "a.pdf"), 400);
    expect_text(str_c(text_at("errors.data.components.3.component.values._errors.0.code")),
                "ATTACHMENT_FILE_TYPE_INVALID");
    expect_int(modal_send("null", "\"a\",\"b\"", "\"0\"", "a.txt"), 204);
    json_t *e = heard();
    expect_true(json_is_null(in(e, "data.components.0.component.value")));
    expect_text(str_c(text_in(e, "data.components.1.component.values.1")), "b");
    expect_true(json_is_true(in(e, "data.components.2.component.value")));
    snprintf(path, sizeof path, "data.resolved.attachments.%s.size",
             text_in(e, "data.components.3.component.values.0"));
    expect_int((int)json_integer_value(in(e, path)), 5);
    expect_true(json_integer_value(in(e, "data.components.4.type")) == 10 && in(e, "data.components.4.id"));
    /* what a modal cannot have */
    modal_open(LABEL("{\"type\":3,\"custom_id\":\"s\",\"min_values\":0,\"disabled\":true," CHOICES "}"));
    expect_text(str_c(text_at("errors.data.components.0.component.min_values._errors.0.code")), "NUMBER_TYPE_MIN");
    expect_true(node_at("errors.data.components.0.component.disabled") != NULL);
    modal_open(LABEL("{\"type\":21,\"custom_id\":\"r\",\"options\":[]}"));
    expect_text(str_c(text_at("errors.data.components.0.component.options._errors.0.code")), "BASE_TYPE_BAD_LENGTH");
}

static void minds_channel_types(void)
{
    char json[256], data[128];

    snprintf(json, sizeof json,
             "{\"content\":\"x\",\"components\":[{\"type\":1,\"components\":[{\"type\":8,\"custom_id\":\"c\","
             "\"channel_types\":[2]}]}]}");
    expect_int(call(bot.token, "POST", json, "/channels/%llu/messages", U(general)), 200);
    uint64_t message = id_at("id");
    snprintf(data, sizeof data, "{\"component_type\":8,\"custom_id\":\"c\",\"values\":[\"%llu\"]}", U(general));
    expect_int(press(&bob, message, data), 400);
    expect_text(str_c(text_at("errors.data.values._errors.0.code")), "COMPONENT_SELECT_VALUE_INVALID");
}

/* Types that no application here can answer with, and what else would do. */
static void answers_in_known_ways(void)
{
    events_clear();
    expect_int(use_command(&bob, ping, ""), 204);
    (void)heard();
    expect_int(respond("{\"type\":12}", ""), 400);
    expect_int(code(), 50039);
    expect_int(respond("{\"type\":10}", ""), 400);
    expect_text(str_c(text_at("errors.type._errors.0.message")), "Value must be one of {4, 5, 9}.");
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"pong\"}}", ""), 204);
}

void components(void)
{
    start(false);
    uses_components();
    asks_in_a_modal();
    shows_components_v2();
    refuses_what_is_wrong();
    asks_for_choices_and_files();
    minds_channel_types();
    answers_in_known_ways();
    api_stop();
}
