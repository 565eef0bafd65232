/* The store's users, applications, guilds, roles, channels, members and invites, on every driver. */
#include "tests/contract/store/store_fixture.h"

/* --- users, tokens, applications ---------------------------------------------------------------------------------- */

static void users_are_kept_whole(void)
{
    struct user u = user_made(ALICE, "alice", false), got, *list;
    unsigned count;
    store_open();
    u.global_name = STR("\xc3\x81lice");
    u.password_hash = STR("$argon2id$x");
    u.flags = INT64_C(1) << 40;
    expect_int(in_commit(store_user_insert(c, &u)), 0);
    expect_int(in_commit(store_user_insert(c, &u)), -EEXIST);
    struct user same_mail = user_made(BOB, "bob", false), same_name = user_made(BOB, "alice", false);
    same_mail.email = u.email;
    same_name.email = STR("other@example.test");
    expect_int(in_commit(store_user_insert(c, &same_mail)), -EEXIST);
    expect_int(in_commit(store_user_insert(c, &same_name)), -EEXIST);
    struct user robot = user_made(BOT, "pingbot", true), robot2 = user_made(CAROL, "robot", true);
    expect_int(in_commit((store_user_insert(c, &robot), store_user_insert(c, &robot2))), 0); /* no e-mail twice */
    expect_int(store_user_get(db, &arena, ALICE, &got), 0);
    expect_text(got.global_name, "\xc3\x81lice");
    expect_text(got.locale, "en-US");
    expect_text(got.password_hash, "$argon2id$x");
    expect_int(got.flags, INT64_C(1) << 40);
    expect_int(got.accent_color, -1);
    expect_true(!got.bot && got.avatar.p == NULL);
    got.avatar = STR("a1");
    got.accent_color = 0xffffff;
    expect_int(in_commit(store_user_update(c, &got)), 0);
    expect_int(store_user_get_by_email(db, &arena, STR("alice@example.test"), &got), 0);
    expect_text(got.avatar, "a1");
    expect_int(got.accent_color, 0xffffff);
    expect_int(store_user_get_by_username(db, &arena, STR("pingbot"), &got), 0);
    expect_true(got.bot && got.id == BOT);
    expect_int(store_user_get(db, &arena, 999, &got), -ENOENT);
    got.id = 999;
    expect_int(in_commit(store_user_update(c, &got)), -ENODATA);
    const uint64_t ids[] = {BOT, 999, ALICE};
    expect_int(store_users_get(db, &arena, ids, 3, &list, &count), 0);
    expect_int(count, 2);
    expect_int(list[0].id, BOT);
    expect_int(list[1].id, ALICE);
    expect_int(store_users_get(db, &arena, ids, 0, &list, &count), 0);
    expect_int(count, 0);
    db_close();
}

static void tokens_are_revoked_by_version(void)
{
    uint64_t *users, *versions;
    struct str *tokens;
    unsigned count;
    store_open_demo();
    expect_int(store_token_versions(db, &arena, &users, &versions, &count), 0);
    expect_int(count, 0);
    expect_int(in_commit(store_fixed_token_put(c, STR("t.1"), BOT)), 0);
    expect_int(in_commit(store_fixed_token_put(c, STR("t.1"), BOT)), 0);
    expect_int(in_commit(store_fixed_token_put(c, STR("t.2"), ALICE)), 0);
    expect_int(in_commit(store_fixed_token_put(c, STR("t.3"), 999)), -ENOENT);
    expect_int(store_fixed_tokens(db, &arena, &tokens, &users, &count), 0);
    expect_int(count, 2);
    expect_int(in_commit(store_token_version_bump(c, BOT)), 0);
    expect_int(in_commit(store_token_version_bump(c, BOT)), 0);
    expect_int(store_token_versions(db, &arena, &users, &versions, &count), 0);
    expect_int(count, 1);
    expect_int(users[0], BOT);
    expect_int(versions[0], 2);
    expect_int(store_fixed_tokens(db, &arena, &tokens, &users, &count), 0);
    expect_int(count, 1); /* the bot's is void */
    expect_text(tokens[0], "t.2");
    db_close();
}

static void applications_are_kept_whole(void)
{
    struct application app = {.id = BOT, .owner_id = ALICE, .bot_id = BOT, .name = STR("ping"), .bot_public = true},
                       got, *list;
    unsigned count;
    store_open_demo();
    expect_int(in_commit(store_application_insert(c, &app)), 0);
    expect_int(store_application_get(db, &arena, BOT, &got), 0);
    expect_text(got.tags_json, "[]");
    expect_true(got.bot_public && !got.bot_require_code_grant && got.bot_id == BOT);
    got.flags = APPLICATION_GATEWAY_MESSAGE_CONTENT;
    got.description = STR("says pong");
    expect_int(in_commit(store_application_update(c, &got)), 0);
    expect_int(store_applications_of(db, &arena, ALICE, &list, &count), 0);
    expect_int(count, 1);
    expect_int(list[0].flags, APPLICATION_GATEWAY_MESSAGE_CONTENT);
    expect_text(list[0].description, "says pong");
    expect_int(store_applications_of(db, &arena, BOB, &list, &count), 0);
    expect_int(count, 0);
    expect_int(store_application_get(db, &arena, 999, &got), -ENOENT);
    db_close();
}

/* --- guilds ------------------------------------------------------------------------------------------------------- */

static void guilds_are_kept_whole(void)
{
    struct guild g;
    uint64_t *ids;
    unsigned count;
    store_open_demo();
    expect_int(store_guild_get(db, &arena, GUILD, &g), 0);
    expect_text(g.name, "Demo");
    expect_text(g.features_json, "[]");
    expect_int(g.member_count, 4);
    g.name = STR("Renamed");
    g.system_channel_id = GENERAL;
    expect_int(in_commit(store_guild_update(c, &g)), 0);
    expect_int(store_guild_get(db, &arena, GUILD, &g), 0);
    expect_text(g.name, "Renamed");
    expect_int(g.system_channel_id, GENERAL);
    expect_int(g.member_count, 4);
    expect_int(store_guild_get(db, &arena, 999, &g), -ENOENT);
    expect_int(store_user_guild_ids(db, &arena, BOB, &ids, &count), 0);
    expect_int(count, 2);
    expect_int(ids[1], OTHER_GUILD);
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

static void a_snapshot_has_what_is_asked_for(void)
{
    struct guild_snapshot s;
    store_open_demo();
    expect_int(in_commit(store_member_role_add(c, GUILD, BOB, MOD)), 0);
    expect_int(store_guild_snapshot(db, &arena, GUILD, 10, 0, &s), 0);
    expect_text(s.guild.name, "Demo");
    expect_int(s.role_count, 3);
    expect_int(s.roles[0].id, GUILD); /* @everyone, then by position */
    expect_int(s.roles[1].id, PAINTER);
    expect_int(s.roles[2].id, MOD);
    expect_int(s.channel_count, 3);
    expect_int(s.channels[1].id, TALK);
    expect_int(s.channels[1].overwrite_count, 1);
    expect_int(s.channels[1].overwrites[0].deny, 1024);
    expect_int(s.channels[2].overwrite_count, 0);
    expect_int(s.member_count, 4);
    expect_int(s.members[1].user.id, BOB);
    expect_text(s.members[1].user.username, "bob");
    expect_int(s.members[1].role_count, 1);
    expect_int(s.members[1].roles[0], MOD);
    expect_int(store_guild_snapshot(db, &arena, GUILD, 2, BOT, &s), 0);
    expect_int(s.member_count, 2);
    expect_int(s.members[0].user.id, ALICE);
    expect_int(s.members[1].user.id, BOT);
    expect_int(store_guild_snapshot(db, &arena, GUILD, 2, ALICE, &s), 0);
    expect_int(s.members[1].user.id, BOB);
    expect_int(store_guild_snapshot(db, &arena, 999, 2, ALICE, &s), -ENOENT);
    db_close();
}

static void a_permission_check_reads_one_batch(void)
{
    struct guild_snapshot s, *list;
    unsigned count;
    store_open_demo();
    expect_int(in_commit(store_member_role_add(c, GUILD, BOB, PAINTER)), 0);
    expect_int(store_guild_for_member(db, &arena, GUILD, TALK, BOB, &s), 0);
    expect_int(s.role_count, 3);
    expect_int(s.channel_count, 1);
    expect_int(s.channels[0].overwrites[0].id, GUILD);
    expect_int(s.member_count, 1);
    expect_int(s.members[0].roles[0], PAINTER);
    expect_int(store_guild_for_member(db, &arena, GUILD, 0, 999, &s), 0);
    expect_int(s.channel_count + s.member_count, 0);
    expect_int(store_guild_for_member(db, &arena, OTHER_GUILD, TALK, BOB, &s), -ENOENT);
    expect_int(store_guild_for_member(db, &arena, 999, 0, BOB, &s), -ENOENT);
    expect_int(store_channel_for_member(db, &arena, TALK, BOB, &s), 0);
    expect_int(s.guild.id, GUILD);
    expect_int(s.channels[0].overwrite_count, 1);
    expect_int(s.members[0].role_count, 1);
    expect_int(store_channel_for_member(db, &arena, 999, BOB, &s), -ENOENT);
    expect_int(store_user_guilds(db, &arena, BOB, 0, 0, 10, &list, &count), 0);
    expect_int(count, 2);
    expect_int(list[0].role_count, 2); /* @everyone and painter */
    expect_int(list[1].guild.id, OTHER_GUILD);
    expect_int(list[1].role_count, 1);
    expect_int(store_user_guilds(db, &arena, BOB, GUILD, 0, 10, &list, &count), 0);
    expect_int(count, 1);
    expect_int(store_user_guilds(db, &arena, BOB, 0, OTHER_GUILD + 1, 1, &list, &count), 0);
    expect_int(list[0].guild.id, OTHER_GUILD); /* the highest below */
    db_close();
}

/* --- roles, channels ---------------------------------------------------------------------------------------------- */

static void roles_come_and_go(void)
{
    struct role r = {
        .id = MOD, .guild_id = GUILD, .name = STR("boss"), .permissions = UINT64_C(1) << 50, .hoist = true};
    struct overwrite for_mod = {.id = MOD, .type = 0, .allow = 1024};
    struct channel ch;
    struct guild_snapshot s;
    struct member m;
    store_open_demo();
    expect_int(in_commit(store_role_update(c, &r)), 0);
    expect_int(in_commit((store_member_role_add(c, GUILD, BOB, MOD), store_member_role_add(c, GUILD, BOB, MOD))), 0);
    expect_int(in_commit(store_member_role_add(c, GUILD, 999, MOD)), -ENOENT);
    expect_int(store_channel_get(db, &arena, GENERAL, &ch), 0);
    ch.overwrites = &for_mod;
    ch.overwrite_count = 1;
    expect_int(in_commit(store_channel_update(c, &ch)), 0);
    expect_int(store_guild_for_member(db, &arena, GUILD, GENERAL, BOB, &s), 0);
    expect_text(s.roles[1].name, "boss");
    expect_true(s.roles[1].hoist && s.roles[1].permissions == UINT64_C(1) << 50);
    expect_int(s.channels[0].overwrites[0].allow, 1024);
    expect_int(in_commit(store_role_delete(c, OTHER_GUILD, MOD)), -ENODATA); /* another guild's name for it */
    expect_int(in_commit(store_role_delete(c, GUILD, MOD)), 0);
    expect_int(store_member_get(db, &arena, GUILD, BOB, &m), 0);
    expect_int(m.role_count, 0);
    expect_int(store_channel_get(db, &arena, GENERAL, &ch), 0);
    expect_int(ch.overwrite_count, 0);
    db_close();
}

static void channels_come_and_go(void)
{
    struct channel ch, *list;
    unsigned count;
    store_open_demo();
    expect_int(store_guild_channels(db, &arena, GUILD, &list, &count), 0);
    expect_int(count, 3);
    expect_int(list[0].type, CHANNEL_GUILD_CATEGORY);
    expect_int(list[1].overwrite_count, 1);
    expect_int(store_channel_get(db, &arena, GENERAL, &ch), 0);
    expect_int(ch.parent_id, CATEGORY);
    expect_int(ch.bitrate, 64000);
    expect_int(ch.last_message_id, 0);
    ch.topic = STR("about");
    ch.nsfw = true;
    ch.rate_limit_per_user = 5;
    expect_int(in_commit(store_channel_update(c, &ch)), 0);
    expect_int(store_channel_get(db, &arena, GENERAL, &ch), 0);
    expect_text(ch.topic, "about");
    expect_true(ch.nsfw && ch.rate_limit_per_user == 5);
    expect_int(in_commit(store_channel_delete(c, CATEGORY)), 0);
    expect_int(store_channel_get(db, &arena, GENERAL, &ch), 0);
    expect_int(ch.parent_id, 0);
    expect_int(in_commit(store_channel_delete(c, TALK)), 0);
    expect_int(in_commit(store_channel_delete(c, TALK)), -ENODATA);
    ch.id = TALK;
    expect_int(in_commit(store_channel_update(c, &ch)), -ENODATA);
    db_close();
}

static void two_have_one_dm(void)
{
    struct user both[] = {user_made(BOB, "bob", false), user_made(ALICE, "alice", false)};
    struct channel dm = {.id = DM, .type = CHANNEL_DM, .recipients = both, .recipient_count = 2}, got, *list;
    struct guild_snapshot s;
    unsigned count;
    store_open_demo();
    expect_int(store_dm_find(db, &arena, ALICE, BOB, &got), -ENOENT);
    expect_int(in_commit(store_dm_insert(c, &dm)), 0);
    dm.id = DM + 1;
    expect_int(in_commit(store_dm_insert(c, &dm)), -EEXIST);
    expect_int(store_channel_get(db, &arena, DM + 1, &got), -ENOENT);
    expect_int(store_dm_find(db, &arena, BOB, ALICE, &got), 0);
    expect_int(got.id, DM);
    expect_int(got.guild_id, 0);
    expect_int(got.recipient_count, 2);
    expect_text(got.recipients[0].username, "alice");
    expect_int(store_user_dms(db, &arena, ALICE, &list, &count), 0);
    expect_int(count, 1);
    expect_int(list[0].recipients[1].id, BOB);
    expect_int(store_user_dms(db, &arena, CAROL, &list, &count), 0);
    expect_int(count, 0);
    expect_int(store_channel_for_member(db, &arena, DM, ALICE, &s), 0);
    expect_int(s.guild.id, 0);
    expect_int(s.channels[0].recipient_count, 2);
    db_close();
}

/* --- members, invites --------------------------------------------------------------------------------------------- */

static void members_come_and_go(void)
{
    uint64_t roles[] = {MOD, PAINTER, OTHER_GUILD}; /* the last is another guild's */
    struct member m = member_made(OTHER_GUILD, CAROL), *list;
    struct guild g;
    unsigned count;
    store_open_demo();
    expect_int(in_commit(store_member_insert(c, &m)), 0);
    expect_int(in_commit(store_member_insert(c, &m)), -EEXIST);
    expect_int(store_guild_get(db, &arena, OTHER_GUILD, &g), 0);
    expect_int(g.member_count, 2);
    expect_int(store_member_get(db, &arena, GUILD, BOB, &m), 0);
    expect_int(m.joined_ms, 5000);
    m.nick = STR("Bobby");
    m.communication_disabled_until_ms = 7;
    m.roles = roles;
    m.role_count = 3;
    expect_int(in_commit(store_member_update(c, &m)), 0);
    expect_int(store_member_get(db, &arena, GUILD, BOB, &m), 0);
    expect_text(m.nick, "Bobby");
    expect_int(m.role_count, 2);
    expect_int(in_commit(store_member_role_remove(c, GUILD, BOB, MOD)), 0);
    expect_int(store_members_list(db, &arena, GUILD, ALICE, 2, &list, &count), 0);
    expect_int(count, 2);
    expect_int(list[0].user.id, BOB);
    expect_int(list[0].roles[0], PAINTER);
    const uint64_t ids[] = {BOT, 999, BOB};
    expect_int(store_members_get(db, &arena, GUILD, ids, 3, &list, &count), 0);
    expect_int(count, 2);
    expect_int(list[0].role_count, 1);
    expect_int(store_members_search(db, &arena, GUILD, STR("BOBB"), 10, &list, &count), 0);
    expect_int(count, 1);
    expect_int(store_members_search(db, &arena, GUILD, STR("_"), 10, &list, &count), 0);
    expect_int(count, 0); /* not a pattern */
    expect_int(in_commit(store_member_delete(c, GUILD, BOB)), 0);
    expect_int(in_commit(store_member_delete(c, GUILD, BOB)), -ENODATA);
    expect_int(store_guild_get(db, &arena, GUILD, &g), 0);
    expect_int(g.member_count, 3);
    expect_int(store_member_get(db, &arena, GUILD, BOB, &m), -ENOENT);
    db_close();
}

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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(users_are_kept_whole),
        CO_TEST(tokens_are_revoked_by_version),
        CO_TEST(applications_are_kept_whole),
        CO_TEST(guilds_are_kept_whole),
        CO_TEST(a_guild_goes_with_all_that_is_in_it),
        CO_TEST(a_snapshot_has_what_is_asked_for),
        CO_TEST(a_permission_check_reads_one_batch),
        CO_TEST(roles_come_and_go),
        CO_TEST(channels_come_and_go),
        CO_TEST(two_have_one_dm),
        CO_TEST(members_come_and_go),
        CO_TEST(an_invite_is_used_as_often_as_it_says),
    };
    db_choose(argc, argv);
    return cmocka_run_group_tests_name("store_guilds", tests, NULL, NULL);
}
