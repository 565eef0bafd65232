/* The outbox's rows: what is pending, what was confirmed, what is swept. */
#include "tests/contract/store/store_fixture.h"

#include "platform/base/clock.h"

static const uint64_t mentions[] = {ALICE, BOB};

static struct event event_made(uint64_t id)
{
    return (struct event){.id = id,
                          .topic = GUILD,
                          .type = EVENT_MESSAGE_CREATE,
                          .channel_id = GENERAL,
                          .user_id = CAROL,
                          .mentions = mentions,
                          .mention_count = 2,
                          .data = STR("{\"content\":\"h\xc3\xa4\"}")};
}

static unsigned pending(int64_t before_ms, unsigned limit, struct event **ret)
{
    unsigned count = 0;
    expect_int(store_outbox_pending(db, &arena, before_ms, limit, ret, &count), 0);
    return count;
}

static void an_event_comes_back_whole(void)
{
    struct event e = event_made(7), got = {0},
                 bare = {.id = 8, .topic = ALICE, .topic_is_user = true, .type = EVENT_USER_UPDATE, .data = STR("{}")};
    store_open();
    expect_int(store_outbox_get(db, &arena, 7, &got), -ENOENT);
    expect_int(in_commit((store_outbox_insert(c, &e), store_outbox_insert(c, &bare))), 0);
    expect_int(store_outbox_get(db, &arena, 7, &got), 0);
    expect_int(got.id, 7);
    expect_int(got.topic, GUILD);
    expect_true(!got.topic_is_user && got.type == EVENT_MESSAGE_CREATE);
    expect_int(got.channel_id, GENERAL);
    expect_int(got.user_id, CAROL);
    expect_int(got.mention_count, 2);
    expect_int(got.mentions[1], BOB);
    expect_text(got.data, "{\"content\":\"h\xc3\xa4\"}");
    expect_int(store_outbox_get(db, &arena, 8, &got), 0);
    expect_true(got.topic_is_user && got.type == EVENT_USER_UPDATE && got.channel_id == 0 && got.mention_count == 0);
    db_close();
}

static void confirmed_ones_are_pending_no_more(void)
{
    enum { N = 2500 };
    struct event *events = NULL;
    uint64_t *ids = calloc(N, sizeof(*ids));
    int64_t later = clock_wall_ms() + 60000;
    bool more;
    store_open();
    for (unsigned i = 0; i < N; i++) {
        struct event e = event_made(1000 + i);
        ids[i] = e.id;
        expect_int(in_commit(store_outbox_insert(c, &e)), 0);
    }
    expect_int(pending(clock_wall_ms() - 60000, 10, &events), 0); /* too young */
    expect_int(pending(later, 10, &events), 10);
    expect_int(events[0].id, 1000); /* oldest first */
    expect_int(events[9].id, 1009);
    expect_int(store_outbox_confirmed(db, ids + 2, N - 2), 0);
    expect_int(pending(later, 10, &events), 2);
    expect_int(store_outbox_confirmed(db, ids, 0), 0);
    expect_int(store_outbox_sweep(db, clock_wall_ms() - 60000, 1000000, &more), 0); /* confirmed just now */
    expect_int(store_outbox_get(db, &arena, 1000 + N - 1, events), 0);
    expect_int(store_outbox_sweep(db, later, 1000, &more), 0); /* a part, and it says so */
    expect_true(more);
    expect_int(store_outbox_sweep(db, later, 1000000, &more), 0);
    expect_true(!more);
    expect_int(store_outbox_get(db, &arena, 1000 + N - 1, events), -ENOENT);
    expect_int(pending(later, 10, &events), 2); /* whatever happens, not these */
    free(ids);
    db_close();
}

static void a_type_of_a_newer_binary_is_passed_over(void)
{
    struct event e = event_made(7), *events = NULL;
    store_open();
    expect_int(in_commit(store_outbox_insert(c, &e)), 0);
    expect_int(run_sql("INSERT INTO outbox (id, topic, topic_is_user, type, data, created_ms) VALUES (6, 1, 0, "
                       "'FROM_THE_FUTURE', '{}', 1)"),
               0);
    expect_int(pending(clock_wall_ms() + 1000, 10, &events), 1);
    expect_int(events[0].id, 7);
    expect_int(store_outbox_get(db, &arena, 6, &e), -ENOENT);
    db_close();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(an_event_comes_back_whole),
        CO_TEST(confirmed_ones_are_pending_no_more),
        CO_TEST(a_type_of_a_newer_binary_is_passed_over),
    };
    db_choose(argc, argv);
    return cmocka_run_group_tests_name("store_outbox", tests, NULL, NULL);
}
