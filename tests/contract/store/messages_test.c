/* The store's messages, nonces, pins and reactions, on every driver. */
#include "tests/contract/store/store_fixture.h"

#include "platform/base/clock.h"

static struct message message_made(uint64_t id)
{
    return (struct message){.channel_id = GENERAL,
                            .id = id,
                            .guild_id = GUILD,
                            .author_id = BOB,
                            .content = arena_printf(&arena, "message %llu", (unsigned long long)id)};
}

static void messages_make(unsigned count)
{
    for (unsigned i = 1; i <= count; i++) {
        struct message m = message_made(i * 10);
        expect_int(in_commit(store_message_insert(c, &m)), 0);
    }
}

static void a_message_is_kept_whole(void)
{
    uint64_t mentions[] = {ALICE, BOT}, roles[] = {MOD};
    struct message m = message_made(10), got;
    struct channel ch;
    store_open_demo();
    m.embeds_json = STR("[{\"title\":\"t\"}]");
    m.nonce = STR("123");
    m.nonce_is_number = true;
    m.mentions = mentions;
    m.mention_count = 2;
    m.mention_roles = roles;
    m.mention_role_count = 1;
    m.reference_id = 5;
    m.reference_json = STR("{\"message_id\":\"5\"}");
    m.flags = 1 << 12;
    m.tts = true;
    expect_int(in_commit(store_message_insert(c, &m)), 0);
    expect_int(in_commit(store_message_insert(c, &m)), -EEXIST);
    expect_int(store_message_get(db, &arena, GENERAL, 10, &got), 0);
    expect_text(got.content, "message 10");
    expect_text(got.embeds_json, "[{\"title\":\"t\"}]");
    expect_text(got.nonce, "123");
    expect_true(got.nonce_is_number && got.tts && !got.pinned && !got.mention_everyone);
    expect_int(got.mention_count, 2);
    expect_int(got.mentions[1], BOT);
    expect_int(got.mention_roles[0], MOD);
    expect_int(got.reference_id, 5);
    expect_int(got.flags, 1 << 12);
    expect_true(got.attachments_json.n == 0);
    got.content = STR("edited");
    got.edited_ms = 77;
    got.mention_count = 0;
    expect_int(in_commit(store_message_update(c, &got)), 0);
    expect_int(store_message_get(db, &arena, GENERAL, 10, &got), 0);
    expect_text(got.content, "edited");
    expect_int(got.edited_ms, 77);
    expect_int(got.mention_count, 0);
    expect_int(store_message_get(db, &arena, TALK, 10, &got), -ENOENT);
    expect_int(store_channel_get(db, &arena, GENERAL, &ch), 0);
    expect_int(ch.last_message_id, 10);
    expect_int(in_commit(store_message_delete(c, GENERAL, 10)), 0);
    expect_int(in_commit(store_message_delete(c, GENERAL, 10)), -ENODATA);
    expect_int(in_commit(store_message_update(c, &m)), -ENODATA);
    db_close();
}

static void expect_ids(enum store_list how, uint64_t id, unsigned limit, const char *wanted)
{
    BUF_AUTO struct buf ids = BUF_INIT(0);
    struct message *list;
    unsigned count;
    expect_int(store_messages_list(db, &arena, GENERAL, how, id, limit, &list, &count), 0);
    for (unsigned i = 0; i < count; i++)
        buf_addf(&ids, "%s%llu", i ? " " : "", (unsigned long long)list[i].id);
    expect_text(buf_str(&ids), wanted);
}

static void history_is_read_newest_first(void)
{
    const uint64_t ids[] = {30, 31, 10}, gone[] = {20, 999, 40};
    struct message *list;
    unsigned count;
    store_open_demo();
    messages_make(6);
    expect_ids(STORE_LATEST, 0, 3, "60 50 40");
    expect_ids(STORE_BEFORE, 30, 50, "20 10");
    expect_ids(STORE_BEFORE, 10, 50, "");
    expect_ids(STORE_AFTER, 30, 2, "50 40");
    expect_ids(STORE_AROUND, 30, 3, "40 30 20");
    expect_ids(STORE_AROUND, 35, 4, "50 40 30 20");
    expect_int(store_messages_get(db, &arena, GENERAL, ids, 3, &list, &count), 0);
    expect_int(count, 2);
    expect_int(in_commit(store_messages_delete(c, GENERAL, gone, 3)), 0);
    expect_ids(STORE_LATEST, 0, 10, "60 50 30 10");
    db_close();
}

static void a_nonce_makes_one_message(void)
{
    struct message m = message_made(10), again = message_made(20);
    uint64_t id = 0;
    store_open_demo();
    expect_int(in_commit((store_message_insert(c, &m), store_message_nonce_put(c, GENERAL, BOB, STR("n1"), 10))), 0);
    expect_int(in_commit((store_message_insert(c, &again), store_message_nonce_put(c, GENERAL, BOB, STR("n1"), 20))),
               -EEXIST);
    expect_int(store_message_nonce_get(db, GENERAL, BOB, STR("n1"), &id), 0);
    expect_int(id, 10);
    expect_ids(STORE_LATEST, 0, 10, "10"); /* the second left nothing */
    expect_int(in_commit((store_message_insert(c, &again), store_message_nonce_put(c, GENERAL, ALICE, STR("n1"), 20))),
               0);
    expect_int(store_message_nonce_sweep(db, clock_wall_ms() - 1000), 0);
    expect_int(store_message_nonce_get(db, GENERAL, BOB, STR("n1"), &id), 0);
    expect_int(store_message_nonce_sweep(db, clock_wall_ms() + 1000), 0);
    expect_int(store_message_nonce_get(db, GENERAL, BOB, STR("n1"), &id), -ENOENT);
    db_close();
}

static void pins_are_listed_latest_first(void)
{
    struct message *list;
    struct channel ch;
    int64_t *pinned_ms;
    unsigned count;
    store_open_demo();
    messages_make(3);
    expect_int(in_commit(store_pin_set(c, GENERAL, 20, true, 1000)), 0);
    expect_int(in_commit(store_pin_set(c, GENERAL, 10, true, 2000)), 0);
    expect_int(in_commit(store_pin_set(c, GENERAL, 10, true, 3000)), -ENODATA);
    expect_int(in_commit(store_pin_set(c, GENERAL, 999, true, 3000)), -ENODATA);
    expect_int(store_pins_list(db, &arena, GENERAL, 5000, 10, &list, &pinned_ms, &count), 0);
    expect_int(count, 2);
    expect_int(list[0].id, 10);
    expect_int(pinned_ms[0], 2000);
    expect_true(list[0].pinned);
    expect_int(store_pins_list(db, &arena, GENERAL, 2000, 10, &list, &pinned_ms, &count), 0);
    expect_int(count, 1);
    expect_int(store_channel_get(db, &arena, GENERAL, &ch), 0);
    expect_int(ch.last_pin_ms, 2000);
    expect_int(in_commit(store_pin_set(c, GENERAL, 10, false, 4000)), 0);
    expect_int(in_commit(store_pin_set(c, GENERAL, 10, false, 4000)), -ENODATA);
    db_close();
}

static void reactions_are_counted(void)
{
    const uint64_t ids[] = {10, 20};
    struct reaction_count *counts[2];
    unsigned sizes[2], count;
    struct user *users;
    const struct str heart = STR("\xe2\x9d\xa4");
    store_open_demo();
    messages_make(2);
    expect_int(in_commit(store_reaction_add(c, GENERAL, 10, BOB, heart, 0)), 0);
    expect_int(in_commit(store_reaction_add(c, GENERAL, 10, BOB, heart, 0)), -ENODATA);
    co_sleep(2);
    expect_int(in_commit(store_reaction_add(c, GENERAL, 10, ALICE, STR("blob"), 777)), 0);
    expect_int(in_commit(store_reaction_add(c, GENERAL, 10, CAROL, heart, 0)), 0);
    expect_int(store_reactions_of(db, &arena, GENERAL, ids, 2, ALICE, counts, sizes), 0);
    expect_int(sizes[0], 2);
    expect_int(sizes[1], 0);
    expect_text(counts[0][0].emoji_name, "\xe2\x9d\xa4");
    expect_int(counts[0][0].count, 2);
    expect_true(!counts[0][0].me && counts[0][1].me);
    expect_int(counts[0][1].emoji_id, 777);
    expect_int(store_reaction_users(db, &arena, GENERAL, 10, heart, 0, BOB, 10, &users, &count), 0);
    expect_int(count, 1);
    expect_text(users[0].username, "carol");
    expect_int(in_commit(store_reaction_remove(c, GENERAL, 10, BOB, heart, 0)), 0);
    expect_int(in_commit(store_reaction_remove(c, GENERAL, 10, BOB, heart, 0)), -ENODATA);
    expect_int(in_commit(store_reactions_clear(c, GENERAL, 10, STR("blob"), 777)), 0);
    expect_int(in_commit(store_reactions_clear(c, GENERAL, 10, STR("blob"), 777)), -ENODATA);
    expect_int(in_commit(store_reactions_clear(c, GENERAL, 10, STR_NONE, 0)), 0);
    expect_int(in_commit(store_reactions_clear(c, GENERAL, 10, STR_NONE, 0)), 0);
    expect_int(store_reactions_of(db, &arena, GENERAL, ids, 1, ALICE, counts, sizes), 0);
    expect_int(sizes[0], 0);
    db_close();
}

static void a_guild_goes_with_all_that_is_in_it(void)
{
    struct message m = {.channel_id = GENERAL, .id = 5000, .guild_id = GUILD, .author_id = BOB, .content = STR("x")};
    struct guild_snapshot s;
    struct channel ch;
    store_open_demo();
    expect_int(in_commit((store_message_insert(c, &m), store_message_nonce_put(c, GENERAL, BOB, STR("n"), 5000),
                          store_reaction_add(c, GENERAL, 5000, BOB, STR("x"), 0))),
               0);
    expect_int(in_commit(store_guild_delete(c, GUILD)), 0);
    expect_int(in_commit(store_guild_delete(c, GUILD)), -ENODATA);
    expect_int(store_guild_snapshot(db, &arena, GUILD, 10, 0, &s), -ENOENT);
    expect_int(store_channel_get(db, &arena, GENERAL, &ch), -ENOENT);
    expect_int(read_sql("SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM reactions) + (SELECT count(*) "
                        "FROM message_nonces) + (SELECT count(*) FROM channel_overwrites), (SELECT count(*) FROM "
                        "members), (SELECT count(*) FROM roles)"),
               0);
    expect_int(sql_int(&result, 0, 0), 0);
    expect_int(sql_int(&result, 0, 1), 1); /* the other guild's */
    expect_int(sql_int(&result, 0, 2), 1);
    db_close();
}

static struct guild_snapshot seen; /* by bob, in general */

static void look(void)
{
    expect_int(store_channel_for_member(db, &arena, GENERAL, BOB, &seen), 0);
    expect_true(seen.guild_version > 0 && seen.user_version > 0);
}

/* Bob's next message on what `seen` says. */
static int say_checked(void)
{
    static uint64_t id = 1000;
    struct message m = message_made(++id);
    return in_commit(store_message_insert_checked(c, &m, seen.guild_version, seen.user_version));
}

#define refused_after(call)                                                                                            \
    do {                                                                                                               \
        look();                                                                                                        \
        expect_int(say_checked(), 0);                                                                                  \
        expect_int(in_commit(call), 0);                                                                                \
        expect_int(say_checked(), -EINVAL);                                                                            \
    } while (0)
#define not_refused_after(call)                                                                                        \
    do {                                                                                                               \
        look();                                                                                                        \
        expect_int(in_commit(call), 0);                                                                                \
        expect_int(say_checked(), 0);                                                                                  \
    } while (0)

static void a_checked_message_needs_rights_as_they_were(void)
{
    store_open_demo();
    struct role mod = {.id = MOD, .guild_id = GUILD, .name = STR("mod"), .permissions = 2048};
    struct role new_role = {.id = 999, .guild_id = GUILD, .name = STR("new"), .mentionable = true};
    struct overwrite deny = {.id = BOB, .type = 1, .deny = 2048};
    struct channel general = channel_made(GENERAL, CATEGORY, "g", 2);
    struct guild guild = {.id = GUILD, .owner_id = BOB, .name = STR("Demo")};
    struct user bob = user_made(BOB, "bobby", false);
    struct member muted = member_made(GUILD, BOB), carol = member_made(GUILD, CAROL);
    uint64_t roles[] = {PAINTER};
    muted.communication_disabled_until_ms = 1 << 30;
    refused_after(store_role_update(c, &mod));
    refused_after(store_role_insert(c, &new_role));
    refused_after(store_member_role_add(c, GUILD, BOB, MOD));
    refused_after(store_role_delete(c, GUILD, MOD));
    general.overwrites = &deny;
    general.overwrite_count = 1;
    refused_after(store_channel_update(c, &general));
    general.overwrite_count = 0;
    refused_after(store_channel_update(c, &general));
    general.rate_limit_per_user = 5;
    refused_after(store_channel_update(c, &general));
    refused_after(store_member_update(c, &muted));
    muted.roles = roles;
    muted.role_count = 1;
    refused_after(store_member_update(c, &muted));
    refused_after(store_member_role_remove(c, GUILD, BOB, PAINTER));
    refused_after(store_user_update(c, &bob));
    refused_after(store_guild_update(c, &guild));
    not_refused_after(store_member_delete(c, GUILD, CAROL));
    not_refused_after(store_member_insert(c, &carol));
    not_refused_after(store_member_role_add(c, GUILD, CAROL, PAINTER));
    refused_after(store_channel_delete(c, GENERAL));
    db_close();
}

static void a_checked_message_needs_its_author_and_guild(void)
{
    store_open_demo();
    refused_after(store_member_delete(c, GUILD, BOB));
    struct member bob = member_made(GUILD, BOB);
    expect_int(in_commit(store_member_insert(c, &bob)), 0);
    refused_after(store_guild_delete(c, GUILD));
    db_close();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(a_message_is_kept_whole),
        CO_TEST(history_is_read_newest_first),
        CO_TEST(a_nonce_makes_one_message),
        CO_TEST(pins_are_listed_latest_first),
        CO_TEST(reactions_are_counted),
        CO_TEST(a_guild_goes_with_all_that_is_in_it),
        CO_TEST(a_checked_message_needs_rights_as_they_were),
        CO_TEST(a_checked_message_needs_its_author_and_guild),
    };
    db_choose(argc, argv);
    return cmocka_run_group_tests_name("store_messages", tests, NULL, NULL);
}
