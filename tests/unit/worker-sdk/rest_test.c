/* Typed calls against a proxy that notes what it is asked: paths, bodies, forms, answers, errors, what is sent again.
 */
#include "tests/unit/worker-sdk/fake_proxy.h"

#include <errno.h>

static void a_typed_call_builds_its_path_and_reads_its_answer(void)
{
    const struct gh_message *found;
    const struct gh_role *role;
    size_t count;
    fake_open();
    fake.answers[0] = (struct fake_answer){200, "[{\"id\":\"5\",\"content\":\"a\"},{\"id\":\"6\"}]", NULL};
    fake.answers[1] = (struct fake_answer){200, "{\"id\":\"7\",\"permissions\":\"8\"}", NULL};
    const char *query = gh_query(&c, gh_query(&c, NULL, "limit", "2"), "x", "a b&c");
    assert_int_equal(gh_get_channel_messages(&c, 11, &(struct gh_call){.query = query}, &found, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(found[1].id, 6);
    assert_string_equal(fake.call[0].method, "GET");
    assert_string_equal(fake.call[0].target, "/api/v10/channels/11/messages?limit=2&x=a%20b%26c");
    assert_non_null(strstr(fake.call[0].headers, "Bot secret"));
    assert_int_equal(gh_create_guild_role(&c, 3, &(struct gh_role){.name = "mod", .permissions = 8, .hoist = true},
                                          &(struct gh_call){.reason = "b\xc3\xa9 it"}, &role),
                     0);
    assert_int_equal(role->permissions, 8);
    assert_json(fake.call[1].body, "{\"name\":\"mod\",\"permissions\":\"8\",\"hoist\":true}");
    assert_non_null(strstr(fake.call[1].headers, "b%C3%A9%20it"));
    assert_int_equal(gh_delete_user_reaction(&c, 1, 2, "\xf0\x9f\x91\x8d", 4, NULL), 0);
    assert_string_equal(fake.call[2].target, "/api/v10/channels/1/messages/2/reactions/%F0%9F%91%8D/4");
    assert_string_equal(fake.call[2].method, "DELETE");
    fake_close();
}
ON_LOOP(a_typed_call_builds_its_path_and_reads_its_answer)

static void errors_tell_the_documented_code(void)
{
    const struct gh_channel *channel = NULL;
    fake_open();
    fake.answers[0] = (struct fake_answer){404, "{\"message\":\"Unknown Channel\",\"code\":10003}", NULL};
    fake.answers[1] = (struct fake_answer){429, "{\"retry_after\":1.5,\"code\":0}", "deadline"};
    fake.answers[2] = (struct fake_answer){403, "no json", NULL};
    fake.answers[3] = (struct fake_answer){400, "{\"code\":50035,\"errors\":{\"name\":{\"_errors\":[]}}}", NULL};
    assert_int_equal(gh_get_channel(&c, 1, NULL, &channel), -ENOENT);
    assert_null(channel);
    assert_int_equal(gh_last_error(&c)->code, GH_CODE_UNKNOWN_CHANNEL);
    assert_int_equal(gh_last_error(&c)->status, 404);
    assert_string_equal(gh_code_meaning(10003), "Unknown channel");
    assert_int_equal(gh_get_channel(&c, 1, &(struct gh_call){.deadline_ms = 250}, &channel), -EAGAIN);
    assert_int_equal(gh_last_error(&c)->retry_after_ms, 1500);
    assert_non_null(strstr(fake.call[1].headers, ": 250\n"));
    assert_int_equal(gh_get_channel(&c, 1, NULL, NULL), -EACCES);
    assert_string_equal(gh_last_error(&c)->message, "");
    assert_int_equal(gh_modify_channel(&c, 1, &(struct gh_channel){.name = ""}, NULL, NULL), -EINVAL);
    assert_true(gh_json_has(gh_last_error(&c)->errors, "name"));
    fake_close();
}
ON_LOOP(errors_tell_the_documented_code)

static void what_was_not_sent_is_sent_again(void)
{
    fake_open();
    fake.answers[0] = (struct fake_answer){503, "{}", "overload"};
    fake.answers[1] = (struct fake_answer){502, "{}", "not_sent"};
    fake.answers[2] = (struct fake_answer){200, "{\"id\":\"1\"}", NULL};
    assert_int_equal(gh_create_webhook(&c, 1, &(struct gh_webhook){.name = "w"}, NULL, NULL), 0);
    assert_int_equal(fake.calls, 3);
    fake.answers[3] = (struct fake_answer){502, "{}", "maybe_executed"};
    assert_int_equal(gh_create_webhook(&c, 1, &(struct gh_webhook){.name = "w"}, NULL, NULL), -EIO);
    assert_int_equal(fake.calls, 4); /* it may exist now */
    fake.answers[4] = (struct fake_answer){502, "{}", "maybe_executed"};
    assert_int_equal(gh_pin_message(&c, 1, 2, NULL), 0);
    assert_int_equal(fake.calls, 6);
    fake_close();
}
ON_LOOP(what_was_not_sent_is_sent_again)

static const char *key_of(int call)
{
    static char key[4][64];
    static int turn;
    const char *at = strcasestr(fake.call[call].headers, REST_KEY_HEADER ": ");
    if (!at)
        return "";
    char *out = key[turn++ % 4];
    at += strlen(REST_KEY_HEADER ": ");
    snprintf(out, sizeof key[0], "%.*s", (int)strcspn(at, "\n"), at);
    return out;
}

static int webhook_make(const char *name)
{
    return gh_create_webhook(&c, 1, &(struct gh_webhook){.name = name}, NULL, NULL);
}

static void what_creates_something_has_a_key_that_its_repetitions_share(void)
{
    fake_open();
    fake.answers[0] = (struct fake_answer){503, "{}", "overload"};
    for (int i = 1; i < 7; i++)
        fake.answers[i] = (struct fake_answer){200, "{\"id\":\"1\"}", NULL};
    assert_int_equal(webhook_make("w"), 0); /* calls 0 and 1 */
    assert_int_equal(strlen(key_of(0)), 36);
    assert_string_equal(key_of(0), key_of(1));
    assert_int_equal(webhook_make("w"), 0); /* meant as another */
    assert_string_not_equal(key_of(1), key_of(2));
    fake_attempt(1);
    assert_int_equal(webhook_make("v"), 0);
    assert_int_equal(webhook_make("w"), 0);
    assert_string_not_equal(key_of(3), key_of(0));
    assert_string_equal(key_of(4), key_of(0));
    item.event.seq++;
    fake_attempt(0);
    assert_int_equal(webhook_make("w"), 0);
    assert_string_not_equal(key_of(5), key_of(0));
    assert_int_equal(gh_create_webhook(&c, 1, NULL, &(struct gh_call){.idempotency_key = "mine"}, NULL), 0);
    assert_string_equal(key_of(6), "mine");
    assert_int_equal(gh_trigger_typing_indicator(&c, 1, NULL), 0);
    assert_int_equal(gh_delete_webhook(&c, 1, NULL), 0);
    assert_string_equal(key_of(7), "");
    assert_string_equal(key_of(8), "");
    fake_close();
}
ON_LOOP(what_creates_something_has_a_key_that_its_repetitions_share)

static void a_failure_that_the_proxy_remembers_is_tried_again(void)
{
    fake_open();
    fake.answers[0] = (struct fake_answer){500, "{}", NULL};
    fake.answers[1] = (struct fake_answer){500, "{}", "repeated"};
    fake.answers[2] = (struct fake_answer){200, "{\"id\":\"1\"}", NULL};
    assert_int_equal(webhook_make("w"), -EIO);
    fake_attempt(1);
    assert_int_equal(webhook_make("w"), 0);
    assert_int_equal(fake.calls, 3);
    assert_string_equal(key_of(0), key_of(1));
    assert_string_not_equal(key_of(1), key_of(2));
    fake.answers[3] = (struct fake_answer){503, "{}", "overload"};
    fake.answers[4] = (struct fake_answer){403, "{}", "repeated"}; /* of this very call */
    assert_int_equal(webhook_make("x"), -EACCES);
    assert_int_equal(fake.calls, 5);
    fake_close();
}
ON_LOOP(a_failure_that_the_proxy_remembers_is_tried_again)

static void a_message_goes_without_a_key_where_none_can_be_kept(void)
{
    fake_open();
    fake.answers[0] = (struct fake_answer){503, "{}", "no_store"};
    fake.answers[1] = (struct fake_answer){502, "{}", "maybe_executed"};
    fake.answers[2] = (struct fake_answer){200, "{\"id\":\"1\"}", NULL};
    assert_int_equal(gh_message_send(&c, 5, "one"), 0); /* its nonce keeps it from coming twice */
    assert_int_equal(fake.calls, 3);
    assert_string_not_equal(key_of(0), "");
    assert_string_equal(key_of(1), "");
    fake.answers[3] = (struct fake_answer){503, "{}", "no_store"};
    fake.answers[4] = (struct fake_answer){200, "{\"id\":\"1\"}", NULL};
    assert_int_equal(webhook_make("w"), 0);
    assert_string_equal(key_of(3), key_of(4));
    fake_close();
}
ON_LOOP(a_message_goes_without_a_key_where_none_can_be_kept)

static void what_may_have_arrived_is_asked_for_again_by_its_key(void **state)
{
    const struct http_result lost = {.error = -ETIMEDOUT, .maybe_sent = true};
    (void)state;
    assert_int_equal(rest_judge(&lost, (struct rest_terms){.keyed = true}), REST_AGAIN);
    assert_int_equal(rest_judge(&lost, (struct rest_terms){.harmless = true}), REST_AGAIN);
    assert_int_equal(rest_judge(&lost, (struct rest_terms){0}), REST_DONE);
}

static const char *nonce_of(int call)
{
    static char nonce[2][32];
    static int turn;
    char *out = nonce[turn++ % 2];
    const char *at = strstr(fake.call[call].body, "\"nonce\":\"");
    assert_non_null(at);
    snprintf(out, 26, "%s", at + 9);
    *strchr(out, '"') = '\0';
    return out;
}

static void messages_carry_a_nonce_that_a_repetition_shares(void)
{
    fake_open();
    fake.answers[0] = (struct fake_answer){502, "{}", "maybe_executed"};
    for (int i = 1; i < 6; i++)
        fake.answers[i] = (struct fake_answer){200, "{\"id\":\"1\"}", NULL};
    assert_int_equal(gh_message_send(&c, 5, "%d %s", 1, "one"), 0);
    assert_int_equal(fake.calls, 2);
    assert_string_equal(nonce_of(0), nonce_of(1));
    assert_non_null(strstr(fake.call[1].body, "\"enforce_nonce\":true"));
    assert_int_equal(gh_message_send(&c, 5, "two"), 0);
    assert_string_not_equal(nonce_of(1), nonce_of(2));
    fake_attempt(1);
    assert_int_equal(gh_message_send(&c, 5, "%d %s", 1, "one"), 0);
    assert_string_equal(nonce_of(1), nonce_of(3));
    item.event.seq++;
    fake_attempt(0);
    assert_int_equal(gh_message_send(&c, 5, "other event"), 0);
    assert_string_not_equal(nonce_of(1), nonce_of(4));
    bot.group = mem_strdup("others"); /* who handle the same event, and say the same */
    fake_attempt(0);
    assert_int_equal(gh_message_send(&c, 5, "other event"), 0);
    assert_string_not_equal(nonce_of(4), nonce_of(5));
    assert_string_not_equal(key_of(4), key_of(5));
    mem_free(bot.group);
    fake_close();
}
ON_LOOP(messages_carry_a_nonce_that_a_repetition_shares)

static void files_go_in_a_form(void)
{
    struct gh_file files[] = {{.name = "a\".txt", .data = "one\r\n--x", .size = 8, .description = "first"},
                              {.name = "b.png", .data = "\0\1", .size = 2, .content_type = "image/png"}};
    fake_open();
    fake.answers[0] = (struct fake_answer){200, "{\"id\":\"1\"}", NULL};
    assert_int_equal(gh_create_message(&c, 5, &(struct gh_message_body){.content = "see", .nonce = "n"},
                                       &(struct gh_call){.files = files, .files_count = 2}, NULL),
                     0);
    assert_non_null(strstr(fake.call[0].headers, "multipart/form-data; boundary="));
    const char *payload = strstr(fake.call[0].body, "\r\n\r\n{");
    assert_non_null(strstr(fake.call[0].body, "name=\"payload_json\"\r\nContent-Type: application/json"));
    char json[512];
    snprintf(json, sizeof json, "%.*s", (int)strcspn(payload + 4, "\r"), payload + 4);
    assert_json(json, "{\"content\":\"see\",\"nonce\":\"n\",\"attachments\":["
                      "{\"id\":0,\"filename\":\"a\\\".txt\",\"description\":\"first\"},"
                      "{\"id\":1,\"filename\":\"b.png\"}]}");
    assert_non_null(strstr(fake.call[0].body, "name=\"files[0]\"; filename=\"a%22.txt\"\r\n"
                                              "Content-Type: application/octet-stream\r\n\r\none\r\n--x\r\n--"));
    assert_non_null(strstr(fake.call[0].body, "name=\"files[1]\"; filename=\"b.png\"\r\nContent-Type: image/png"));
    assert_int_equal(gh_create_guild_sticker(&c, 5, &(struct gh_sticker){.name = "s", .tags = "t"},
                                             &(struct gh_call){.files = files + 1, .files_count = 1, .reason = "r"},
                                             NULL),
                     0);
    assert_non_null(strstr(fake.call[1].body, "name=\"tags\"\r\n\r\nt\r\n"));
    assert_non_null(strstr(fake.call[1].body, "name=\"file\"; filename=\"b.png\""));
    assert_null(strstr(fake.call[1].body, "payload_json"));
    fake_close();
}
ON_LOOP(files_go_in_a_form)

static void nobody_there_is_an_error_in_the_end(void)
{
    fake_open();
    bot.proxy_url = "http://127.0.0.1:1/api"; /* nobody listens there */
    assert_int_equal(gh_trigger_typing_indicator(&c, 1, NULL), -ECONNREFUSED);
    assert_int_equal(gh_last_error(&c)->status, 0);
    fake_close();
}
ON_LOOP(nobody_there_is_an_error_in_the_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_typed_call_builds_its_path_and_reads_its_answer_test),
        cmocka_unit_test(errors_tell_the_documented_code_test),
        cmocka_unit_test(what_was_not_sent_is_sent_again_test),
        cmocka_unit_test(what_creates_something_has_a_key_that_its_repetitions_share_test),
        cmocka_unit_test(a_failure_that_the_proxy_remembers_is_tried_again_test),
        cmocka_unit_test(a_message_goes_without_a_key_where_none_can_be_kept_test),
        cmocka_unit_test(what_may_have_arrived_is_asked_for_again_by_its_key),
        cmocka_unit_test(messages_carry_a_nonce_that_a_repetition_shares_test),
        cmocka_unit_test(files_go_in_a_form_test),
        cmocka_unit_test(nobody_there_is_an_error_in_the_end_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
