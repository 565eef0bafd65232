#include "platform/protocol/event.h"
#include "platform/protocol/intents.h"
#include "tests/support/cm.h"

#include <errno.h>

static void names_and_types(void **state)
{
    (void)state;
    enum event_type t;
    for (unsigned i = 0; i < EVENT_COUNT; i++) {
        assert_int_equal(event_type_find(str_c(event_name((enum event_type)i)), &t), 0);
        assert_int_equal(t, i);
    }
    assert_int_equal(event_type_find(STR("MESSAGE_CREAT"), &t), -ENOENT);
}

static void intents_by_place(void **state)
{
    (void)state;
    assert_int_equal(event_intents(EVENT_MESSAGE_CREATE, true), INTENT_GUILD_MESSAGES);
    assert_int_equal(event_intents(EVENT_MESSAGE_CREATE, false), INTENT_DIRECT_MESSAGES);
    assert_int_equal(event_intents(EVENT_USER_UPDATE, false), 0);
    assert_int_equal(event_scope_of(EVENT_MESSAGE_CREATE), EVENT_SCOPE_CHANNEL);
    assert_int_equal(event_scope_of(EVENT_CONTROL_GUILD_JOINED), EVENT_SCOPE_CONTROL);
    assert_int_equal(event_intents(EVENT_GUILD_BAN_ADD, true), 1 << 2);
    assert_true(event_permissions(EVENT_GUILD_BAN_ADD) == (1 << 2 | 1 << 7));
    assert_true(event_permissions(EVENT_INVITE_CREATE) == 1 << 4);
    assert_true(event_permissions(EVENT_MESSAGE_CREATE) == 0);
    assert_int_equal(event_scope_of(EVENT_RATE_LIMITED), EVENT_SCOPE_OWN);
    assert_int_equal(intent_find(STR("MESSAGE_CONTENT")), 1 << 15);
    assert_int_equal(intent_find(STR("GUILDS")), 1);
    assert_int_equal(intent_find(STR("MESSAGE")), 0);
    assert_int_equal(INTENTS_PRIVILEGED, 1 << 1 | 1 << 8 | 1 << 15);
}

static void there_and_back(void **state)
{
    (void)state;
    const uint64_t mentions[] = {7, UINT64_MAX};
    struct event in = {.id = 1,
                       .topic = UINT64_C(0x0102030405060708),
                       .topic_is_user = true,
                       .number = 3,
                       .type = EVENT_MESSAGE_CREATE,
                       .channel_id = 4,
                       .user_id = 5,
                       .mentions = mentions,
                       .mention_count = 2,
                       .data = STR("{\"id\":\"1\"}")};
    struct event out;
    struct arena a = {0};
    BUF_AUTO struct buf b = BUF_INIT(0);

    event_encode(&in, &b);
    assert_int_equal(event_decode(buf_str(&b), &a, &out), 0);
    assert_int_equal(out.id, 1);
    assert_int_equal(out.topic, in.topic);
    assert_true(out.topic_is_user);
    assert_int_equal(out.number, 3);
    assert_int_equal(out.type, EVENT_MESSAGE_CREATE);
    assert_int_equal(out.channel_id, 4);
    assert_int_equal(out.user_id, 5);
    assert_int_equal(out.mention_count, 2);
    assert_int_equal(out.mentions[1], UINT64_MAX);
    assert_str(out.data, "{\"id\":\"1\"}");
    /* every shorter form is an error or has less data, never a read past the end */
    for (size_t n = 0; n < b.len - in.data.n; n++)
        assert_int_equal(event_decode((struct str){b.data, n}, &a, &out), -EINVAL);
    b.data[0] = 2;
    assert_int_equal(event_decode(buf_str(&b), &a, &out), -EINVAL);
    b.data[0] = 1;
    b.data[44] = 'X';
    assert_int_equal(event_decode(buf_str(&b), &a, &out), -EINVAL);
    arena_done(&a);
}

static void mentions_are_bounded(void **state)
{
    (void)state;
    uint64_t mentions[EVENT_MENTIONS_MAX + 40];
    struct event out,
        in = {.type = EVENT_MESSAGE_CREATE, .mentions = mentions, .mention_count = EVENT_MENTIONS_MAX + 40};
    struct arena a = {0};
    BUF_AUTO struct buf b = BUF_INIT(0);

    for (unsigned i = 0; i < in.mention_count; i++)
        mentions[i] = i + 1;
    event_encode(&in, &b);
    assert_int_equal(event_decode(buf_str(&b), &a, &out), 0);
    assert_int_equal(out.mention_count, EVENT_MENTIONS_MAX);
    assert_int_equal(out.mentions[EVENT_MENTIONS_MAX - 1], EVENT_MENTIONS_MAX);
    b.data[2] = (char)(EVENT_MENTIONS_MAX + 1);
    assert_int_equal(event_decode(buf_str(&b), &a, &out), -EINVAL);
    arena_done(&a);
}

static void several_share_a_message(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf b = {0};
    struct event e = {.id = 1, .topic = 2, .type = EVENT_MESSAGE_CREATE, .data = STR("{\"id\":\"1\"}")}, got;
    struct str one;
    event_batch_begin(&b);
    event_batch_add(&b, &e);
    e.id = 2;
    event_batch_add(&b, &e);
    assert_true(event_is_batch(buf_str(&b)));
    size_t at = 0;
    for (uint64_t id = 1; id <= 2; id++) {
        assert_true(event_batch_next(buf_str(&b), &at, &one));
        assert_int_equal(event_decode(one, &a, &got), 0);
        assert_int_equal(got.id, id);
    }
    assert_false(event_batch_next(buf_str(&b), &at, &one));
    for (size_t n = 0; n < b.len; n++) { /* damaged: whatever is whole, and nothing beyond the end */
        unsigned count = 0;
        for (at = 0; event_batch_next((struct str){b.data, n}, &at, &one); count++)
            assert_true(one.p + one.n <= b.data + n);
        assert_true(count < 2);
    }
    assert_int_not_equal(event_decode(buf_str(&b), &a, &got), 0);
    b.len = 0;
    event_encode(&e, &b);
    assert_false(event_is_batch(buf_str(&b)));
    buf_done(&b);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_share_a_message), cmocka_unit_test(names_and_types),
        cmocka_unit_test(intents_by_place),        cmocka_unit_test(there_and_back),
        cmocka_unit_test(mentions_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
