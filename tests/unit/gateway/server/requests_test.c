#include "gateway/server/requests.h"
#include "platform/protocol/gateway.h"
#include "platform/protocol/json_read.h"
#include "tests/support/cm.h"

#include <jansson.h>
#include <stdio.h>

static struct arena arena;

static json_t *tree(const char *text)
{
    json_t *d;
    assert_int_equal(json_read(str_c(text), &d, NULL), 0);
    return d;
}

static int identify(const char *text, struct identify_request *ret)
{
    json_t *d = tree(text);
    int close = identify_read(d, &arena, ret);
    json_decref(d);
    return close;
}

static void identify_fields(void **state)
{
    (void)state;
    struct identify_request r;
    assert_int_equal(
        identify("{\"token\":\"Bot abc\",\"intents\":513,\"shard\":[1,4],\"large_threshold\":100,\"compress\":true}",
                 &r),
        0);
    assert_str(r.token, "abc");
    assert_int_equal(r.intents, 513);
    assert_true(r.has_intents && r.has_shard);
    assert_int_equal(r.shard, 1);
    assert_int_equal(r.shard_count, 4);
    assert_int_equal(r.large_threshold, 100);
    assert_int_equal(identify("{\"token\":\"abc\",\"intents\":null,\"shard\":null,\"large_threshold\":9999}", &r), 0);
    assert_false(r.has_intents);
    assert_int_equal(r.shard_count, 1);
    assert_int_equal(r.large_threshold, 250);
}

static void identify_codes(void **state)
{
    (void)state;
    struct identify_request r;
    assert_int_equal(identify_read(NULL, &arena, &r), GATEWAY_CLOSE_DECODE_ERROR);
    assert_int_equal(identify("[]", &r), GATEWAY_CLOSE_DECODE_ERROR);
    assert_int_equal(identify("{}", &r), GATEWAY_CLOSE_DECODE_ERROR);
    assert_int_equal(identify("{\"token\":5}", &r), GATEWAY_CLOSE_DECODE_ERROR);
    static const char *const shards[] = {"[0]",     "[0,0]", "[1,1]", "[-1,2]",    "[\"0\",\"1\"]",
                                         "[0,1,2]", "5",     "{}",    "[0,100000]"};
    for (size_t i = 0; i < sizeof shards / sizeof *shards; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"token\":\"a\",\"shard\":%s}", shards[i]);
        assert_int_equal(identify(text, &r), GATEWAY_CLOSE_INVALID_SHARD);
    }
    assert_int_equal(identify("{\"token\":\"a\",\"intents\":\"5\"}", &r), GATEWAY_CLOSE_DECODE_ERROR);
    assert_int_equal(identify("{\"token\":\"a\",\"intents\":1.5}", &r), GATEWAY_CLOSE_DECODE_ERROR);
    static const char *const intents[] = {"-1", "8589934592", "524288"};
    for (size_t i = 0; i < sizeof intents / sizeof *intents; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"token\":\"a\",\"intents\":%s}", intents[i]);
        assert_int_equal(identify(text, &r), GATEWAY_CLOSE_INVALID_INTENTS);
    }
}

static int resume(const char *text, struct resume_request *ret)
{
    json_t *d = tree(text);
    int close = resume_read(d, &arena, ret);
    json_decref(d);
    return close;
}

static void resume_fields(void **state)
{
    (void)state;
    struct resume_request r;
    assert_int_equal(resume("{\"token\":\"a\",\"session_id\":\"b\",\"seq\":7}", &r), 0);
    assert_int_equal(r.seq, 7);
    assert_str(r.session_id, "b");
    assert_int_equal(resume("{\"token\":\"a\",\"session_id\":\"b\",\"seq\":null}", &r), 0);
    assert_int_equal(r.seq, 0);
    assert_int_equal(resume("{\"token\":\"a\",\"session_id\":\"b\",\"seq\":-1}", &r), GATEWAY_CLOSE_INVALID_SEQ);
    assert_int_equal(resume("{\"token\":\"a\",\"session_id\":\"b\",\"seq\":\"1\"}", &r), GATEWAY_CLOSE_INVALID_SEQ);
    assert_int_equal(resume("{\"token\":\"a\"}", &r), GATEWAY_CLOSE_DECODE_ERROR);
}

static int members(const char *text, struct members_request *ret)
{
    json_t *d = tree(text);
    int close = members_request_read(d, &arena, ret);
    json_decref(d);
    return close;
}

static void members_fields(void **state)
{
    (void)state;
    struct members_request r;
    /* as discord.py, eris and discord.js send it */
    assert_int_equal(
        members("{\"guild_id\":100000000000000021,\"query\":\"\",\"limit\":0,\"presences\":true,\"nonce\":\"n\"}", &r),
        0);
    assert_int_equal(r.guild_id, UINT64_C(100000000000000021));
    assert_true(r.by_query && r.presences);
    assert_int_equal(r.limit, 0);
    assert_str(r.nonce, "n");
    assert_int_equal(members("{\"guild_id\":[\"5\"],\"query\":\"a\",\"limit\":0}", &r), 0);
    assert_int_equal(r.limit, 100);
    assert_int_equal(
        members("{\"guild_id\":\"5\",\"user_ids\":[\"6\",7],\"nonce\":\"123456789012345678901234567890123\"}", &r), 0);
    assert_false(r.by_query);
    assert_int_equal(r.user_count, 2);
    assert_int_equal(r.user_ids[1], 7);
    assert_null(r.nonce.p);
    assert_int_equal(members("{\"guild_id\":\"5\",\"user_ids\":\"6\"}", &r), 0);
    assert_int_equal(r.user_count, 1);
    assert_int_equal(members("{\"guild_id\":\"5\"}", &r), GATEWAY_CLOSE_UNKNOWN_OPCODE);
    assert_int_equal(members("{\"query\":\"\",\"limit\":0}", &r), GATEWAY_CLOSE_UNKNOWN_OPCODE);
    assert_int_equal(members("{\"guild_id\":\"5\",\"query\":\"\",\"limit\":-1}", &r), GATEWAY_CLOSE_UNKNOWN_OPCODE);
}

static void voice_fields(void **state)
{
    (void)state;
    struct voice_state_request r;
    json_t *voice = tree("{\"guild_id\":\"1\",\"channel_id\":null}"), *no_voice = tree("{\"guild_id\":\"x\"}");
    assert_int_equal(voice_state_read(voice, &r), 0);
    assert_int_equal(voice_state_read(no_voice, &r), GATEWAY_CLOSE_UNKNOWN_OPCODE);
    json_decref(voice), json_decref(no_voice);
}

static int teardown(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(identify_fields, teardown), cmocka_unit_test_teardown(identify_codes, teardown),
        cmocka_unit_test_teardown(resume_fields, teardown),   cmocka_unit_test_teardown(members_fields, teardown),
        cmocka_unit_test_teardown(voice_fields, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
