/* Interactions: which handler gets one, what its options are, and what each answer sends. */
#include "tests/unit/worker-sdk/fake_proxy.h"

#include <errno.h>

static const char command_text[] =
    "{\"id\":\"40\",\"application_id\":\"99\",\"type\":2,\"token\":\"tok\",\"guild_id\":\"3\",\"channel_id\":\"4\","
    "\"member\":{\"user\":{\"id\":\"5\",\"username\":\"alice\"},\"permissions\":\"8\"},"
    "\"data\":{\"id\":\"60\",\"name\":\"config\",\"type\":1,\"options\":[{\"name\":\"limits\",\"type\":2,\"options\":["
    "{\"name\":\"set\",\"type\":1,\"options\":[{\"name\":\"who\",\"type\":6,\"value\":\"7\"},"
    "{\"name\":\"count\",\"type\":4,\"value\":12},{\"name\":\"rate\",\"type\":10,\"value\":1.5},"
    "{\"name\":\"on\",\"type\":5,\"value\":true},{\"name\":\"text\",\"type\":3,\"value\":\"hi\",\"focused\":true}]}]}],"
    "\"resolved\":{\"users\":{\"7\":{\"id\":\"7\",\"username\":\"bob\"}},\"members\":{\"7\":{\"nick\":\"b\"}}}}}";

static const struct gh_interaction *read_one(const char *text)
{
    return ENTITY_READ(&c, interaction, (json_t *)gh_json_read(&c, text));
}

static int note(struct gh_context *context, const struct gh_interaction *i, void *arg)
{
    (void)context;
    (void)i;
    *(const char **)arg = "called";
    return 17;
}

static void options_are_found_below_subcommands(void)
{
    fake_open();
    const struct gh_interaction *i = read_one(command_text);
    assert_string_equal(gh_command_path(&c, i), "config limits set");
    assert_int_equal(gh_option_id(i, "who"), 7);
    assert_int_equal(gh_option_number(i, "count"), 12);
    assert_true(gh_option_real(i, "rate") == 1.5 && gh_option_flag(i, "on"));
    assert_string_equal(gh_option_text(i, "text"), "hi");
    assert_string_equal(gh_focused(i)->name, "text");
    assert_string_equal(gh_option_text(i, "none"), "");
    assert_null(gh_option_find(i, "none"));
    assert_string_equal(gh_resolved_user(&c, i, 7)->username, "bob");
    assert_string_equal(gh_resolved_member(&c, i, 7)->nick, "b");
    assert_string_equal(gh_resolved_member(&c, i, 7)->user.username, "bob");
    assert_null(gh_resolved_role(&c, i, 7));
    assert_string_equal(gh_interaction_user(i)->username, "alice");
    assert_int_equal(i->member->permissions, 8);
    assert_string_equal(gh_interaction_user(read_one("{}"))->username, "");
    fake_close();
}
ON_LOOP(options_are_found_below_subcommands)

static const char *routed(const char *text)
{
    static const char *calls[5];
    static const char *const names[] = {"command", "subcommand", "autocomplete", "component", "modal"};
    static const char *longer;
    memset(calls, 0, sizeof calls);
    longer = NULL;
    gh_on_command(&bot, "config", note, &calls[0]);
    gh_on_command(&bot, "config limits set", note, &calls[1]);
    gh_on_autocomplete(&bot, "config", note, &calls[2]);
    gh_on_component(&bot, "vote", note, &calls[3]);
    gh_on_component(&bot, "vote:final", note, &longer);
    gh_on_modal(&bot, "form", note, &calls[4]);
    int r = router_run(bot.router, &c, read_one(text));
    if (longer)
        return "longer";
    for (int i = 0; i < 5; i++)
        if (calls[i])
            return r == 17 ? names[i] : "wrong result";
    return r == 0 ? "nobody" : "wrong result";
}

static void the_longest_path_or_prefix_gets_it(void)
{
    fake_open();
    assert_string_equal(routed(command_text), "subcommand");
    assert_string_equal(routed("{\"type\":2,\"data\":{\"name\":\"config\"}}"), "command");
    assert_string_equal(routed("{\"type\":2,\"data\":{\"name\":\"configure\"}}"), "nobody");
    assert_string_equal(routed("{\"type\":4,\"data\":{\"name\":\"config\"}}"), "autocomplete");
    assert_string_equal(routed("{\"type\":3,\"data\":{\"custom_id\":\"vote:12\"}}"), "component");
    assert_string_equal(routed("{\"type\":3,\"data\":{\"custom_id\":\"vote\"}}"), "component");
    assert_string_equal(routed("{\"type\":3,\"data\":{\"custom_id\":\"vote:final:3\"}}"), "longer");
    assert_string_equal(routed("{\"type\":3,\"data\":{\"custom_id\":\"voter:1\"}}"), "nobody");
    assert_string_equal(routed("{\"type\":5,\"data\":{\"custom_id\":\"form:a:b\"}}"), "modal");
    assert_string_equal(routed("{\"type\":3,\"data\":{}}"), "nobody");
    assert_string_equal(gh_custom_rest(read_one("{\"data\":{\"custom_id\":\"form:a:b\"}}")), "a:b");
    assert_string_equal(gh_custom_rest(read_one("{\"data\":{\"custom_id\":\"form\"}}")), "");
    fake_close();
}
ON_LOOP(the_longest_path_or_prefix_gets_it)

static void each_answer_has_its_type(void)
{
    fake_open();
    const struct gh_interaction *i = read_one(command_text);
    assert_int_equal(gh_whisper(&c, i, "only %s", "you"), 0);
    assert_string_equal(fake.call[0].target, "/api/v10/interactions/40/tok/callback");
    assert_non_null(strstr(fake.call[0].headers, ": high\n"));
    assert_json(fake.call[0].body, "{\"type\":4,\"data\":{\"content\":\"only you\",\"flags\":64}}");
    assert_int_equal(gh_defer(&c, i, GH_MESSAGE_EPHEMERAL), 0);
    assert_json(fake.call[1].body, "{\"type\":5,\"data\":{\"flags\":64}}");
    assert_int_equal(gh_defer_update(&c, i), 0);
    assert_json(fake.call[2].body, "{\"type\":6}");
    struct gh_message_body buttons = {
        .content = "choose",
        GH_LIST(components, struct gh_component,
                {.type = GH_ACTION_ROW,
                 GH_LIST(components, struct gh_component,
                         {.type = GH_BUTTON, .style = GH_STYLE_DANGER, .label = "Stop", .custom_id = "stop:1"})})};
    assert_int_equal(gh_update(&c, i, &buttons, NULL), 0);
    assert_json(fake.call[3].body,
                "{\"type\":7,\"data\":{\"content\":\"choose\",\"components\":[{\"type\":1,\"components\":["
                "{\"type\":2,\"style\":4,\"label\":\"Stop\",\"custom_id\":\"stop:1\"}]}]}}");
    struct gh_command_choice choices[] = {{.name = "One", .value = "1"}};
    assert_int_equal(gh_suggest(&c, i, choices, 1), 0);
    assert_json(fake.call[4].body, "{\"type\":8,\"data\":{\"choices\":[{\"name\":\"One\",\"value\":\"1\"}]}}");
    struct gh_modal modal = {
        .custom_id = "form",
        .title = "Form",
        GH_LIST(components, struct gh_component,
                {.type = GH_LABEL,
                 .label = "Why",
                 .component = &(struct gh_component){.type = GH_INPUT, .custom_id = "why", .style = GH_INPUT_LONG}})};
    assert_int_equal(gh_show_modal(&c, i, &modal), 0);
    assert_json(fake.call[5].body, "{\"type\":9,\"data\":{\"custom_id\":\"form\",\"title\":\"Form\",\"components\":["
                                   "{\"type\":18,\"label\":\"Why\",\"component\":{\"type\":4,\"custom_id\":\"why\","
                                   "\"style\":2}}]}}");
    fake_close();
}
ON_LOOP(each_answer_has_its_type)

static void what_follows_goes_by_the_token(void)
{
    const struct gh_message *m;
    fake_open();
    const struct gh_interaction *i = read_one(command_text);
    fake.answers[0] = (struct fake_answer){200, "{\"id\":\"70\"}", NULL};
    fake.answers[1] = (struct fake_answer){200, "{\"id\":\"71\"}", NULL};
    assert_int_equal(gh_answer_edit(&c, i, &(struct gh_message_body){.content = "done"}, NULL, &m), 0);
    assert_int_equal(m->id, 70);
    assert_string_equal(fake.call[0].target, "/api/v10/webhooks/99/tok/messages/@original");
    assert_string_equal(fake.call[0].method, "PATCH");
    assert_int_equal(gh_followup(&c, i, &(struct gh_message_body){.content = "more", .flags = 64}, NULL, &m), 0);
    assert_int_equal(m->id, 71);
    assert_string_equal(fake.call[1].target, "/api/v10/webhooks/99/tok");
    assert_json(fake.call[1].body, "{\"content\":\"more\",\"flags\":64}");
    assert_int_equal(gh_followup_delete(&c, i, 71), 0);
    assert_string_equal(fake.call[2].target, "/api/v10/webhooks/99/tok/messages/71");
    assert_int_equal(gh_answer_delete(&c, i), 0);
    assert_string_equal(fake.call[3].target, "/api/v10/webhooks/99/tok/messages/@original");
    fake_close();
}
ON_LOOP(what_follows_goes_by_the_token)

/* The first try answered and failed behind it: the second one's answer is refused by the API, and that is no failure.
 */
static void an_answer_given_before_counts_for_the_next_try(void)
{
    static const char again[] = "{\"code\":40060,\"message\":\"Interaction has already been acknowledged.\"}";
    fake_open();
    for (int n = 0; n < 3; n++)
        fake.answers[n] = (struct fake_answer){400, again, NULL};
    assert_int_equal(gh_say(&c, read_one(command_text), "x"), -EINVAL);
    fake_attempt(1);
    assert_int_equal(gh_say(&c, read_one(command_text), "x"), 0);
    fake_attempt(0);
    item.event.redelivered = true;
    assert_int_equal(gh_say(&c, read_one(command_text), "x"), 0);
    fake_close();
}
ON_LOOP(an_answer_given_before_counts_for_the_next_try)

static void a_modals_inputs_are_found_wherever_they_stand(void)
{
    fake_open();
    const struct gh_interaction *i =
        read_one("{\"type\":5,\"data\":{\"custom_id\":\"form\",\"components\":["
                 "{\"type\":1,\"components\":[{\"type\":4,\"custom_id\":\"name\",\"value\":\"al\"}]},"
                 "{\"type\":18,\"component\":{\"type\":4,\"custom_id\":\"why\",\"value\":\"because\"}}]}}");
    assert_string_equal(gh_modal_text(i, "name"), "al");
    assert_string_equal(gh_modal_text(i, "why"), "because");
    assert_string_equal(gh_modal_text(i, "other"), "");
    assert_string_equal(gh_modal_text(i, ""), "");
    fake_close();
}
ON_LOOP(a_modals_inputs_are_found_wherever_they_stand)

static void commands_are_written_as_the_api_wants_them(void)
{
    struct gh_command command = {
        .name = "roll",
        .description = "Dice",
        .guild_id = 3,
        .default_member_permissions = 8,
        GH_LIST(
            options, struct gh_command_option,
            {.type = GH_OPTION_INTEGER,
             .name = "sides",
             .description = "How many",
             .required = true,
             .min_value = 2,
             GH_LIST(choices, struct gh_command_choice, {.name = "six", .value = "6"})},
            {.type = GH_OPTION_TEXT, .name = "why", .description = "Reason", .autocomplete = true, .max_length = 10})};
    json_t *o = command_write(&command);
    char *text = json_dumps(o, 0);
    assert_json(text, "{\"name\":\"roll\",\"description\":\"Dice\",\"default_member_permissions\":\"8\",\"options\":["
                      "{\"type\":4,\"name\":\"sides\",\"description\":\"How many\",\"required\":true,\"min_value\":2,"
                      "\"choices\":[{\"name\":\"six\",\"value\":6}]},"
                      "{\"type\":3,\"name\":\"why\",\"description\":\"Reason\",\"autocomplete\":true,"
                      "\"max_length\":10}]}");
    free(text);
    json_decref(o);
}

static void commands_are_written_as_the_api_wants_them_test(void **state)
{
    (void)state;
    commands_are_written_as_the_api_wants_them();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_found_below_subcommands_test),
        cmocka_unit_test(the_longest_path_or_prefix_gets_it_test),
        cmocka_unit_test(each_answer_has_its_type_test),
        cmocka_unit_test(what_follows_goes_by_the_token_test),
        cmocka_unit_test(an_answer_given_before_counts_for_the_next_try_test),
        cmocka_unit_test(a_modals_inputs_are_found_wherever_they_stand_test),
        cmocka_unit_test(commands_are_written_as_the_api_wants_them_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
