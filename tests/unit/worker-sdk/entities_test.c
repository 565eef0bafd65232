/* Entities are read from Discord's objects and written back, each by its line in the table; whatever is in the object
 * and not in the table stays reachable. */
#include "worker-sdk/src/sdk.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

static struct gh_context c;

static int begin(void **state)
{
    (void)state;
    c = (struct gh_context){0};
    return 0;
}

static int end(void **state)
{
    (void)state;
    context_done(&c);
    return 0;
}

static json_t *parsed(const char *text)
{
    json_t *o = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(o);
    return context_keep(&c, o);
}

static const char message_text[] =
    "{\"id\":\"1100000000000000001\",\"channel_id\":\"2\",\"guild_id\":\"3\",\"content\":\"hello\",\"type\":19,"
    "\"pinned\":true,\"nonce\":12,\"mention_roles\":[\"7\",\"8\"],\"edited_timestamp\":null,"
    "\"author\":{\"id\":\"9\",\"username\":\"alice\",\"bot\":true},\"member\":{\"roles\":[\"7\"],\"nick\":\"al\"},"
    "\"embeds\":[{\"title\":\"t\",\"fields\":[{\"name\":\"n\",\"value\":\"v\",\"inline\":true}]}],"
    "\"components\":[{\"type\":1,\"components\":[{\"type\":2,\"custom_id\":\"yes\",\"style\":3}]}],"
    "\"referenced_message\":{\"id\":\"5\",\"content\":\"before\",\"author\":{\"id\":\"9\"}},"
    "\"brand_new\":{\"deep\":[1,{\"x\":\"there\"}]}}";

static void a_message_is_read_with_what_is_nested(void **state)
{
    (void)state;
    const struct gh_message *m = ENTITY_READ(&c, message, parsed(message_text));
    assert_true(m->id == 1100000000000000001u && m->channel_id == 2 && m->guild_id == 3);
    assert_string_equal(m->content, "hello");
    assert_int_equal(m->type, 19);
    assert_true(m->pinned && !m->tts);
    assert_string_equal(m->edited_timestamp, "");
    assert_int_equal(m->mention_roles_count, 2);
    assert_int_equal(m->mention_roles[1], 8);
    assert_string_equal(m->author.username, "alice");
    assert_true(m->author.bot);
    assert_string_equal(m->author.global_name, "");
    assert_string_equal(m->member->nick, "al");
    assert_int_equal(m->member->user.id, 0);
    assert_true(m->embeds[0].fields[0].is_inline);
    assert_string_equal(m->components[0].components[0].custom_id, "yes");
    assert_int_equal(m->components[0].components[0].style, 3);
    assert_string_equal(m->referenced_message->content, "before");
    assert_null(m->referenced_message->referenced_message);
    assert_null(m->thread);
    assert_int_equal(m->attachments_count, 0);
    assert_int_equal(gh_json_number(m->nonce), 12);
}

static const char nested_text[] =
    "{\"id\":\"1\",\"interaction_metadata\":{\"id\":\"2\",\"type\":2,\"user\":{\"id\":\"3\",\"username\":\"bob\"},"
    "\"authorizing_integration_owners\":{\"0\":\"9\"}},\"activity\":{\"type\":1,\"party_id\":\"p\"},"
    "\"author\":{\"id\":\"4\",\"primary_guild\":{\"identity_guild_id\":\"5\",\"tag\":\"TAG\"},"
    "\"avatar_decoration_data\":{\"asset\":\"a\",\"sku_id\":\"6\"}},\"resolved\":{"
    "\"users\":{\"7\":{\"id\":\"7\",\"username\":\"carol\"}},\"members\":{\"7\":{\"nick\":\"c\"}},"
    "\"roles\":{\"8\":{\"id\":\"8\",\"name\":\"mod\",\"tags\":{\"bot_id\":\"4\",\"premium_subscriber\":null},"
    "\"colors\":{\"primary_color\":255}}}},"
    "\"components\":[{\"type\":8,\"channel_types\":[0,5]}]}";

static void nested_objects_have_types_and_keep_their_json(void **state)
{
    (void)state;
    json_t *o = parsed(nested_text);
    struct gh_message *m = ENTITY_READ(&c, message, o);
    assert_string_equal(m->interaction_metadata->user->username, "bob");
    assert_int_equal(gh_json_id(gh_json_get(m->interaction_metadata->authorizing_integration_owners, "0")), 9);
    assert_string_equal(m->activity->party_id, "p");
    assert_int_equal(m->author.primary_guild->identity_guild_id, 5);
    assert_int_equal(m->author.avatar_decoration_data->sku_id, 6);
    assert_int_equal(m->resolved->users_count, 1);
    assert_string_equal(m->resolved->members[0].nick, "c");
    assert_int_equal(m->resolved->members[0].user.id, 7); /* from where it stands */
    const struct gh_role *mod = m->resolved->roles;
    assert_true(mod->tags->premium_subscriber && !mod->tags->guild_connections);
    assert_int_equal(mod->colors->primary_color, 255);
    assert_string_equal(gh_json_text(gh_json_get(mod->json, "name")), "mod");
    assert_int_equal(m->components[0].channel_types_count, 2);
    assert_int_equal(m->components[0].channel_types[1], 5);
    assert_null(m->call);
    assert_true(json_equal(context_keep(&c, entity_write(ENTITY_message, m)), o));
    struct gh_role own = *mod;
    struct gh_role_tags tags = *mod->tags;
    own.json = tags.json = NULL;
    own.tags = &tags;
    struct gh_resolved made = {.roles = &own, .roles_count = 1};
    assert_true(json_equal(context_keep(&c, entity_write(ENTITY_resolved, &made)),
                           parsed("{\"roles\":{\"8\":{\"id\":\"8\",\"name\":\"mod\",\"tags\":{\"bot_id\":\"4\","
                                  "\"premium_subscriber\":null},\"colors\":{\"primary_color\":255}}}}")));
}

static void what_the_table_has_not_is_in_the_json(void **state)
{
    (void)state;
    const struct gh_message *m = ENTITY_READ(&c, message, parsed(message_text));
    const struct gh_json *deep = gh_json_get(gh_json_get(m->json, "brand_new"), "deep");
    assert_int_equal(gh_json_count(deep), 2);
    assert_string_equal(gh_json_text(gh_json_get(gh_json_at(deep, 1), "x")), "there");
    assert_string_equal(gh_json_text(gh_json_get(gh_json_get(gh_json_at(deep, 9), "x"), "y")), "");
    assert_null(gh_json_get(m->json, "edited_timestamp"));
    assert_true(gh_json_has(m->json, "edited_timestamp"));
    assert_false(gh_json_has(m->json, "thread"));
    assert_string_equal(gh_json_write(&c, gh_json_get(m->author.json, "username")), "\"alice\"");
}

static void nothing_and_wrong_types_read_as_absent(void **state)
{
    (void)state;
    static const char wrong[] =
        "{\"id\":[],\"content\":5,\"author\":\"x\",\"embeds\":{},\"pinned\":\"yes\",\"mention_roles\":[null,{},\"x\"],"
        "\"components\":[null,4],\"type\":\"x\",\"member\":[],\"poll\":7}";
    static const char *const odd[] = {"null", "[]", "{}", "5", "\"x\"", wrong};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (int e = 0; e < ENTITY_COUNT; e++)
            assert_non_null(entity_read(&c, (enum entity)e, parsed(odd[i])));
    const struct gh_message *m = ENTITY_READ(&c, message, parsed(wrong));
    assert_true(m->id == 0 && m->author.id == 0 && !m->pinned && m->type == 0 && !m->member && !m->poll);
    assert_string_equal(m->content, "");
    assert_int_equal(m->embeds_count, 0);
    assert_int_equal(m->mention_roles_count, 3);
    assert_int_equal(m->components_count, 2);
    assert_string_equal(m->components[0].custom_id, "");
    for (int e = 0; e < ENTITY_COUNT; e++)
        assert_non_null(entity_read(&c, (enum entity)e, NULL));
}

static void what_is_read_can_be_written_again(void **state)
{
    (void)state;
    json_t *o = parsed(message_text), *again;
    struct gh_message m = *ENTITY_READ(&c, message, o);
    again = context_keep(&c, entity_write(ENTITY_message, &m));
    assert_true(json_equal(o, again));
    json_t *own = parsed("{\"title\":\"t\",\"color\":5,\"footer\":{\"text\":\"f\"},\"fields\":[{\"name\":\"n\"}]}");
    struct gh_embed e = *ENTITY_READ(&c, embed, own);
    e.json = NULL;
    again = context_keep(&c, entity_write(ENTITY_embed, &e));
    assert_true(json_equal(json_object_get(own, "title"), json_object_get(again, "title")));
    assert_true(json_equal(json_object_get(own, "footer"), json_object_get(again, "footer")));
    assert_null(json_object_get(again, "url"));
}

static void initializers_become_objects(void **state)
{
    (void)state;
    const struct gh_message_body body = {
        .content = "hi",
        .flags = 64,
        GH_LIST(embeds, struct gh_embed,
                {.title = "one", .footer = &(struct gh_embed_footer){.text = "foot"}, .color = 0xff0000},
                {.description = "two"}),
        .json = gh_json_set_null(gh_json_set_flag(gh_json_object(&c), "tts", false), "thread_name"),
    };
    json_t *want =
        parsed("{\"content\":\"hi\",\"flags\":64,\"embeds\":[{\"title\":\"one\",\"footer\":{\"text\":\"foot\"},"
               "\"color\":16711680},{\"description\":\"two\"}],\"tts\":false,\"thread_name\":null}");
    assert_true(json_equal(context_keep(&c, entity_write(ENTITY_message_body, &body)), want));
    const struct gh_overwrite o = {.id = 5, .allow = 1024};
    want = parsed("{\"id\":\"5\",\"type\":0,\"allow\":\"1024\"}");
    assert_true(json_equal(context_keep(&c, entity_write(ENTITY_overwrite, &o)), want));
}

static void numbers_are_read_from_what_the_api_sends(void **state)
{
    (void)state;
    const struct gh_json *o = gh_json_read(&c, "{\"a\":\"18446744073709551615\",\"b\":12.75,\"c\":-3,\"d\":1e300}");
    assert_true(gh_json_id(gh_json_get(o, "a")) == UINT64_MAX);
    assert_int_equal(gh_json_number(gh_json_get(o, "b")), 12);
    assert_true(gh_json_real(gh_json_get(o, "b")) == 12.75 && gh_json_real(gh_json_get(o, "c")) == -3.0);
    assert_int_equal(gh_json_number(gh_json_get(o, "d")), 0);
    assert_null(gh_json_read(&c, "{"));
    const struct gh_role *r = ENTITY_READ(&c, role, parsed("{\"id\":\"1\",\"permissions\":\"2251799813685247\"}"));
    assert_true(r->permissions == 2251799813685247u);
}

static void every_event_of_the_gateway_has_a_typed_registration(void **state)
{
    (void)state;
    static const char *const typed[] = {
#define GH_EVENT(suffix, name, entity) name,
#include <guildhall/events.def>
    };
    static const char *const sent[] = {
#define EVENT(name, in, out, scope, permissions) #name,
#include "platform/protocol/events.def"
    };
    /* what only a person's client hears of an interaction it made */
    static const char *const persons[] = {"INTERACTION_SUCCESS", "INTERACTION_FAILURE", "INTERACTION_MODAL_CREATE",
                                          "APPLICATION_COMMAND_AUTOCOMPLETE_RESPONSE"};
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        bool found = strncmp(sent[i], "CONTROL_", 8) == 0; /* between the platform's own processes */
        for (size_t j = 0; !found && j < sizeof persons / sizeof *persons; j++)
            found = strcmp(sent[i], persons[j]) == 0;
        for (size_t j = 0; !found && j < sizeof typed / sizeof *typed; j++)
            found = strcmp(sent[i], typed[j]) == 0;
        if (!found)
            fail_msg("%s", sent[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_is_read_with_what_is_nested, begin, end),
        cmocka_unit_test_setup_teardown(nested_objects_have_types_and_keep_their_json, begin, end),
        cmocka_unit_test_setup_teardown(what_the_table_has_not_is_in_the_json, begin, end),
        cmocka_unit_test_setup_teardown(nothing_and_wrong_types_read_as_absent, begin, end),
        cmocka_unit_test_setup_teardown(what_is_read_can_be_written_again, begin, end),
        cmocka_unit_test_setup_teardown(initializers_become_objects, begin, end),
        cmocka_unit_test_setup_teardown(numbers_are_read_from_what_the_api_sends, begin, end),
        cmocka_unit_test_setup_teardown(every_event_of_the_gateway_has_a_typed_registration, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
