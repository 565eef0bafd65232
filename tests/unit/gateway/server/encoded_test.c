#include "gateway/server/encoded.h"
#include "gateway/server/replay.h"
#include "platform/base/limits.h"
#include "platform/io/ws.h"
#include "tests/support/cm.h"

#include <stdio.h>

static void assert_share(struct ws_shared *s, const char *text)
{
    assert_non_null(s);
    assert_str(((struct str){s->data, s->len}), text);
}

static void encoded_once(void **state)
{
    (void)state;
    struct encoded_log log;
    encoded_log_init(&log, 1 << 20);
    struct encoded *e = encoded_new(&log, EVENT_MESSAGE_CREATE, STR("{\"content\":\"hi\"}"));
    struct ws_shared *json = encoded_share(e, ENCODER_JSON, REDACTION_NONE);
    assert_share(json, "\"t\":\"MESSAGE_CREATE\",\"op\":0,\"d\":{\"content\":\"hi\"}}");
    assert_ptr_equal(json, encoded_share(e, ENCODER_JSON, REDACTION_NONE));
    assert_share(encoded_share(e, ENCODER_JSON, REDACTION_ALL),
                 "\"t\":\"MESSAGE_CREATE\",\"op\":0,\"d\":{\"content\":\"\"}}");
    struct ws_shared *zlib = encoded_share(e, ENCODER_JSON_ZLIB, REDACTION_NONE);
    assert_ptr_equal(zlib, encoded_share(e, ENCODER_JSON_ZLIB, REDACTION_NONE));
    assert_memory_equal(zlib->data + zlib->len - 4, "\0\0\xFF\xFF", 4);
    encoded_unref(e);
    assert_int_equal(log.bytes, 0);
    encoded_log_done(&log);
}

static void reference_of_the_reader(void **state)
{
    (void)state;
    struct encoded_log log;
    encoded_log_init(&log, 1 << 20);
    struct encoded *e =
        encoded_new(&log, EVENT_MESSAGE_CREATE,
                    STR("{\"content\":\"a\",\"referenced_message\":{\"author\":{\"id\":\"5\"},\"content\":\"b\"}}"));
    assert_int_equal(encoded_redaction_for(e, 5), REDACTION_KEEP_REFERENCE);
    assert_int_equal(encoded_redaction_for(e, 6), REDACTION_ALL);
    encoded_unref(e);
    encoded_log_done(&log);
}

/* The log's limit empties the oldest, also while sessions hold them. */
static void oldest_are_emptied(void **state)
{
    (void)state;
    struct encoded_log log;
    struct encoded *e[10];
    encoded_log_init(&log, 300);
    for (int i = 0; i < 10; i++)
        e[i] = encoded_new(&log, EVENT_TYPING_START, STR("{\"channel_id\":\"100000000000000000\"}"));
    assert_true(log.bytes <= 300);
    assert_null(encoded_share(e[0], ENCODER_JSON, REDACTION_NONE));
    assert_null(encoded_share(e[0], ENCODER_JSON_ZLIB, REDACTION_NONE));
    assert_non_null(encoded_share(e[9], ENCODER_JSON, REDACTION_NONE));
    for (int i = 0; i < 10; i++)
        encoded_unref(e[i]);
    encoded_log_done(&log);
}

static void replay_keeps_the_latest(void **state)
{
    (void)state;
    struct encoded_log log;
    struct replay r = {0};
    enum redaction redaction;
    encoded_log_init(&log, 64u << 20);
    for (unsigned i = 0; i < LIMIT_REPLAY_EVENTS + 10; i++) {
        BUF_AUTO struct buf data = {0};
        buf_addf(&data, "{\"n\":%u}", i);
        struct encoded *e = encoded_new(&log, EVENT_TYPING_START, buf_str(&data));
        replay_push(&r, e, i % 2 ? REDACTION_ALL : REDACTION_NONE);
        encoded_unref(e);
    }
    assert_int_equal(r.count, LIMIT_REPLAY_EVENTS);
    assert_share(encoded_share(replay_at(&r, 0, &redaction), ENCODER_JSON, REDACTION_NONE),
                 "\"t\":\"TYPING_START\",\"op\":0,\"d\":{\"n\":10}}");
    assert_int_equal(redaction, REDACTION_NONE);
    (void)replay_at(&r, 1, &redaction);
    assert_int_equal(redaction, REDACTION_ALL);
    replay_done(&r);
    encoded_log_done(&log);
}

static void replay_is_trimmed(void **state)
{
    (void)state;
    struct encoded_log log;
    struct replay r = {0};
    enum redaction redaction;
    encoded_log_init(&log, 64u << 20);
    for (unsigned i = 0; i < 100; i++) {
        BUF_AUTO struct buf data = {0};
        buf_addf(&data, "{\"n\":%u}", i);
        struct encoded *e = encoded_new(&log, EVENT_TYPING_START, buf_str(&data));
        replay_push(&r, e, REDACTION_NONE);
        encoded_unref(e);
    }
    for (unsigned keep = 90; keep > 0; keep -= 10) {
        replay_trim(&r, keep);
        assert_int_equal(r.count, keep);
        char text[64];
        snprintf(text, sizeof text, "\"t\":\"TYPING_START\",\"op\":0,\"d\":{\"n\":%u}}", 100 - keep);
        assert_share(encoded_share(replay_at(&r, 0, &redaction), ENCODER_JSON, REDACTION_NONE), text);
    }
    assert_true(r.cap < 64);
    replay_trim(&r, 0);
    assert_null(r.slots);
    assert_int_equal(log.bytes, 0);
    encoded_log_done(&log);
}

static void replay_is_bounded_in_bytes(void **state)
{
    (void)state;
    struct encoded_log log;
    struct replay r = {0};
    BUF_AUTO struct buf data = {0};
    encoded_log_init(&log, 64u << 20);
    while (data.len < 1u << 20)
        buf_adds(&data, "0123456789");
    for (int i = 0; i < 20; i++) {
        struct encoded *e = encoded_new(&log, EVENT_TYPING_START, buf_str(&data));
        replay_push(&r, e, REDACTION_NONE);
        encoded_unref(e);
    }
    assert_true(r.bytes <= LIMIT_REPLAY_BYTES);
    assert_int_equal(r.count, 3);
    replay_done(&r);
    assert_int_equal(log.bytes, 0);
    encoded_log_done(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoded_once),       cmocka_unit_test(reference_of_the_reader),
        cmocka_unit_test(oldest_are_emptied), cmocka_unit_test(replay_keeps_the_latest),
        cmocka_unit_test(replay_is_trimmed),  cmocka_unit_test(replay_is_bounded_in_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
