/* What several do to the store at once: limits hold, and of what can only be once there is one. */
#include "tests/contract/store/store_fixture.h"

static int used, used_up;

static void uses_the_invite(void *arg)
{
    struct arena a = {0};
    struct commit c;
    (void)arg;
    commit_init(&c, &a);
    store_invite_use(&c, STR("abc"));
    int error = sql_run(db, &a, c.stmts, (int)c.stmt_count, NULL);
    used += error == 0;
    used_up += error == -ENODATA;
    arena_done(&a);
}

static void an_invite_is_used_as_often_as_it_says(void)
{
    struct invite i = {.code = STR("abc"),
                       .guild_id = GUILD,
                       .channel_id = GENERAL,
                       .inviter_id = ALICE,
                       .max_age_s = 60,
                       .max_uses = 5,
                       .created_ms = 9},
                  got, *list;
    struct co_group g = {0};
    unsigned count;
    store_open_demo();
    used = used_up = 0;
    expect_int(in_commit(store_invite_insert(c, &i)), 0);
    expect_int(in_commit(store_invite_insert(c, &i)), -EEXIST);
    expect_int(store_invite_get(db, &arena, STR("abc"), &got), 0);
    expect_int(got.max_uses, 5);
    expect_int(got.uses, 0);
    for (int k = 0; k < 20; k++)
        expect_int(co_group_spawn(&g, uses_the_invite, NULL), 0);
    co_group_wait(&g);
    expect_int(used, 5);
    expect_int(used_up, 15);
    expect_int(store_invite_get(db, &arena, STR("abc"), &got), -ENOENT);
    i.code = STR("def");
    expect_int(in_commit(store_invite_insert(c, &i)), 0);
    expect_int(store_guild_invites(db, &arena, GUILD, &list, &count), 0);
    expect_int(count, 1);
    expect_int(in_commit(store_invite_delete(c, STR("def"))), 0);
    expect_int(in_commit(store_invite_delete(c, STR("def"))), -ENODATA);
    db_close();
}

/* --- one of many ---------------------------------------------------------------------------------------------------
 */

static int made, there_already;
static uint64_t next_id;

static int commit_of(struct commit *c)
{
    int error = sql_run(db, c->arena, c->stmts, (int)c->stmt_count, NULL);
    made += error == 0;
    there_already += error == -EEXIST;
    arena_done(c->arena);
    return error;
}

static void posts_with_the_nonce(void *arg)
{
    struct arena a = {0};
    struct message m = {.channel_id = GENERAL, .id = next_id++, .guild_id = GUILD, .author_id = BOB};
    struct commit c;
    (void)arg;
    commit_init(&c, &a);
    store_message_insert(&c, &m);
    store_message_nonce_put(&c, GENERAL, BOB, STR("n"), m.id);
    commit_of(&c);
}

static void opens_the_dm(void *arg)
{
    struct arena a = {0};
    struct user both[] = {{.id = BOB}, {.id = ALICE}};
    struct channel dm = {.id = next_id++, .type = CHANNEL_DM, .recipients = both, .recipient_count = 2};
    struct commit c;
    (void)arg;
    commit_init(&c, &a);
    store_dm_insert(&c, &dm);
    commit_of(&c);
}

static void one_of_thirty(co_fn tries)
{
    struct co_group g = {0};
    made = there_already = 0;
    next_id = 9000;
    for (int i = 0; i < 30; i++)
        expect_int(co_group_spawn(&g, tries, NULL), 0);
    co_group_wait(&g);
    expect_int(made, 1);
    expect_int(there_already, 29);
}

static void a_nonce_makes_one_message(void)
{
    struct message *list;
    uint64_t id = 0;
    unsigned count;
    store_open_demo();
    one_of_thirty(posts_with_the_nonce);
    expect_int(store_messages_list(db, &arena, GENERAL, STORE_LATEST, 0, 50, &list, &count), 0);
    expect_int(count, 1);
    expect_int(store_message_nonce_get(db, GENERAL, BOB, STR("n"), &id), 0);
    expect_int(id, list[0].id);
    db_close();
}

static void two_have_one_dm(void)
{
    struct channel *list;
    unsigned count;
    store_open_demo();
    one_of_thirty(opens_the_dm);
    expect_int(store_user_dms(db, &arena, ALICE, &list, &count), 0);
    expect_int(count, 1);
    expect_int(list[0].recipient_count, 2);
    db_close();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(an_invite_is_used_as_often_as_it_says),
        CO_TEST(a_nonce_makes_one_message),
        CO_TEST(two_have_one_dm),
    };
    db_choose(argc, argv);
    return cmocka_run_group_tests_name("store_races", tests, NULL, NULL);
}
