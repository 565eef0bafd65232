/* The store's functions for users, applications, guilds, roles, channels, members and invites, on every SQL driver:
 * what is written is read back, and what must fail fails. */
#include "tests/contract/sql/sql_fixture.h"

#include "platform/ports/store/store.h"

#include <stdio.h>

static struct arena memory;
static struct commit c;

static void begin(void)
{
    commit_init(&c, &memory);
}

static int end(void)
{
    struct sql_result *results = ARENA_ARRAY(&memory, struct sql_result, c.stmt_count);
    int r = sql_run(db, &memory, c.stmts, (int)c.stmt_count, results);

    c.results = results;
    return r;
}

static void start(void)
{
    db_open_fresh();
    expect_int(store_migrate(db), 0);
}

static void stop(void)
{
    arena_done(&memory);
    db_close();
}

static struct user user_make(uint64_t id, const char *name)
{
    return (struct user){.id = id, .username = str_c(name), .accent_color = -1, .created_ms = 7};
}

static void user_put(uint64_t id, const char *name)
{
    struct user u = user_make(id, name);
    begin();
    store_user_insert(&c, &u);
    expect_int(end(), 0);
}

/* Guild 100 of user 1 with @everyone, roles 101 and 102, channels 110 (text) and 111 (voice), members 1, 2, 3. */
static void guild_put(void)
{
    struct guild g = {.id = 100, .owner_id = 1, .name = STR("Demo"), .afk_timeout = 300, .features_json = STR("[]")};
    struct role roles[] = {
        {.id = 100, .guild_id = 100, .name = STR("@everyone"), .permissions = 1024},
        {.id = 101, .guild_id = 100, .name = STR("mod"), .position = 2, .permissions = UINT64_C(1) << 52},
        {.id = 102, .guild_id = 100, .name = STR("bot"), .position = 1, .managed = true, .bot_id = 3}};
    struct overwrite o[] = {{.id = 100, .type = 0, .deny = 1024}, {.id = 2, .type = 1, .allow = 1024}};
    struct channel text = {.id = 110, .guild_id = 100, .name = STR("general"), .overwrites = o, .overwrite_count = 2};
    struct channel voice = {
        .id = 111, .guild_id = 100, .type = CHANNEL_GUILD_VOICE, .name = STR("Talk"), .position = 1};
    uint64_t mine[] = {101, 102};

    user_put(1, "alice");
    user_put(2, "bob");
    user_put(3, "carol");
    begin();
    store_guild_insert(&c, &g);
    for (int i = 0; i < 3; i++)
        store_role_insert(&c, &roles[i]);
    store_channel_insert(&c, &text);
    store_channel_insert(&c, &voice);
    for (uint64_t id = 1; id <= 3; id++) {
        struct member m = {
            .guild_id = 100, .user.id = id, .joined_ms = 5, .roles = mine, .role_count = id == 2 ? 2 : 0};
        store_member_insert(&c, &m);
    }
    expect_int(end(), 0);
}

static void keeps_users(void)
{
    struct user u = user_make(1, "alice"), got, *list;
    uint64_t ids[] = {3, 9, 1}, *users, *versions;
    struct str *texts;
    unsigned count;

    start();
    u.email = STR("a@example.test");
    u.password_hash = STR("hash");
    u.flags = INT64_C(1) << 40;
    begin();
    store_user_insert(&c, &u);
    expect_int(end(), 0);
    expect_int(store_user_get(db, &memory, 1, &got), 0);
    expect_text(got.username, "alice");
    expect_text(got.discriminator, "0");
    expect_text(got.locale, "en-US");
    expect_int(got.flags, INT64_C(1) << 40);
    expect_int(got.accent_color, -1);
    expect_true(got.global_name.p == NULL && got.avatar.p == NULL && !got.bot);
    expect_int(store_user_get_by_email(db, &memory, STR("a@example.test"), &got), 0);
    expect_int(store_user_get_by_username(db, &memory, STR("alice"), &got), 0);
    expect_text(got.password_hash, "hash");
    expect_int(store_user_get(db, &memory, 2, &got), -ENOENT);
    expect_int(store_user_get_by_email(db, &memory, STR("b@example.test"), &got), -ENOENT);

    u.id = 2;
    begin();
    store_user_insert(&c, &u);
    expect_int(end(), -EEXIST);
    user_put(3, "carol");
    u = got = user_make(3, "caroline");
    u.email = STR_NONE; /* two without one are fine */
    begin();
    store_user_update(&c, &u);
    expect_int(end(), 0);
    u.id = 77;
    u.username = STR("nobody");
    begin();
    store_user_update(&c, &u);
    expect_int(end(), -ENODATA);
    expect_int(store_users_get(db, &memory, ids, 3, &list, &count), 0);
    expect_int(count, 2);
    expect_true(list[0].id == 3 && list[1].id == 1);
    expect_text(list[0].username, "caroline");
    expect_int(store_users_get(db, &memory, ids, 0, &list, &count), 0);
    expect_int(count, 0);

    for (int i = 1; i <= 2; i++) {
        begin();
        store_fixed_token_put(&c, STR("fixed"), 1);
        store_token_version_bump(&c, 1);
        expect_int(end(), 0);
        expect_int(sql_int(&c.results[1], 0, 0), i);
    }
    expect_int(store_token_versions(db, &memory, &users, &versions, &count), 0);
    expect_true(count == 1 && users[0] == 1 && versions[0] == 2);
    expect_int(store_fixed_tokens(db, &memory, &texts, &users, &count), 0);
    expect_int(count, 0); /* a revocation takes them too */
    begin();
    store_fixed_token_put(&c, STR("fixed"), 1);
    store_fixed_token_put(&c, STR("fixed"), 3);
    expect_int(end(), 0);
    expect_int(store_fixed_tokens(db, &memory, &texts, &users, &count), 0);
    expect_true(count == 1 && users[0] == 3);
    expect_text(texts[0], "fixed");
    stop();
}

static void keeps_applications(void)
{
    struct application app = {.id = 9,
                              .owner_id = 1,
                              .name = STR("ping"),
                              .verify_key = STR("key"),
                              .bot_public = true},
                       got, *list;
    unsigned count;

    start();
    user_put(1, "alice");
    user_put(9, "ping");
    begin();
    store_application_insert(&c, &app);
    expect_int(end(), 0);
    app.bot_id = 9;
    app.flags = APPLICATION_GATEWAY_MESSAGE_CONTENT;
    app.tags_json = STR("[\"fun\"]");
    begin();
    store_application_update(&c, &app);
    expect_int(end(), 0);
    expect_int(store_application_get(db, &memory, 9, &got), 0);
    expect_true(got.bot_id == 9 && got.owner_id == 1 && got.bot_public && got.flags == 1 << 18);
    expect_text(got.tags_json, "[\"fun\"]");
    expect_text(got.redirect_uris_json, "[]");
    expect_int(store_applications_of(db, &memory, 1, &list, &count), 0);
    expect_int(count, 1);
    expect_int(store_application_get(db, &memory, 1, &got), -ENOENT);
    app.id = 10;
    app.owner_id = 55;
    begin();
    store_application_insert(&c, &app);
    expect_int(end(), -ENOENT);
    stop();
}

static void reads_many_guilds_at_once(void)
{
    struct guild_snapshot one, *s;
    unsigned count;
    const uint64_t ids[] = {300, 100, 5, 200};

    start();
    guild_put();
    for (uint64_t id = 200; id <= 300; id += 100) {
        struct guild g = {.id = id, .owner_id = 2, .name = STR("Other")};
        struct role everyone = {.id = id, .guild_id = id, .name = STR("@everyone"), .permissions = 1024};
        struct channel ch = {.id = id + 10, .guild_id = id, .type = CHANNEL_GUILD_TEXT, .name = STR("c")};
        struct overwrite o = {.id = id, .deny = id};
        struct member m = {.guild_id = id, .user = {.id = 2}, .joined_ms = 1};
        ch.overwrites = &o;
        ch.overwrite_count = 1;
        begin();
        store_guild_insert(&c, &g);
        store_role_insert(&c, &everyone);
        store_channel_insert(&c, &ch);
        store_member_insert(&c, &m);
        expect_int(end(), 0);
    }
    expect_int(store_guild_snapshots(db, &memory, ids, 4, 2, 0, &s, &count), 0);
    expect_int(count, 3);
    expect_true(s[0].guild.id == 100 && s[1].guild.id == 200 && s[2].guild.id == 300);
    expect_int(store_guild_snapshot(db, &memory, 100, 10, 0, &one), 0);
    expect_int(s[0].role_count, one.role_count);
    expect_int(s[0].channel_count, one.channel_count);
    for (unsigned i = 0; i < one.role_count; i++)
        expect_int(s[0].roles[i].id, one.roles[i].id);
    for (unsigned i = 0; i < one.channel_count; i++)
        expect_int(s[0].channels[i].overwrite_count, one.channels[i].overwrite_count);
    expect_true(s[0].member_count == 1 && s[0].members[0].user.id == 2 && s[0].members[0].role_count == 2);
    expect_int(s[0].guild.member_count, 3);
    for (unsigned i = 1; i < 3; i++) {
        expect_true(s[i].role_count == 1 && s[i].channel_count == 1 && s[i].member_count == 1);
        expect_true(s[i].channels[0].overwrite_count == 1 && s[i].channels[0].overwrites[0].deny == s[i].guild.id);
    }
    expect_int(store_guild_snapshots(db, &memory, ids, 4, 77, 2, &s, &count), 0); /* who is nowhere */
    expect_true(s[0].member_count == 0 && s[1].member_count == 1 && s[2].member_count == 1);
    expect_int(store_guild_snapshots(db, &memory, ids, 4, 2, 3, &s, &count), 0);
    expect_int(s[0].member_count, 3);
    expect_true(s[0].members[1].user.id == 2 && s[0].members[1].role_count == 2 && s[0].members[2].role_count == 0);
    stop();
}

static void reads_whole_guilds(void)
{
    struct guild_snapshot s;

    start();
    guild_put();
    expect_int(store_guild_snapshot(db, &memory, 100, 2, 3, &s), 0);
    expect_text(s.guild.name, "Demo");
    expect_int(s.guild.member_count, 3);
    expect_int(s.role_count, 3);
    expect_true(s.roles[0].id == 100 && s.roles[1].id == 102 && s.roles[2].id == 101);
    expect_true(s.roles[2].permissions == UINT64_C(1) << 52 && s.roles[1].bot_id == 3 && s.roles[1].managed);
    expect_int(s.channel_count, 2);
    expect_true(s.channels[0].id == 110 && s.channels[0].overwrite_count == 2 && s.channels[1].overwrite_count == 0);
    expect_true(s.channels[0].overwrites[0].id == 2 && s.channels[0].overwrites[0].type == 1);
    expect_int(s.channels[1].bitrate, 64000);
    expect_int(s.member_count, 2); /* 1 and, in place of 2, 3 */
    expect_true(s.members[0].user.id == 1 && s.members[1].user.id == 3);
    expect_int(store_guild_snapshot(db, &memory, 100, 10, 0, &s), 0);
    expect_int(s.member_count, 3);
    expect_true(s.members[1].role_count == 2 && s.members[1].roles[0] == 101 && s.members[1].roles[1] == 102);
    expect_true(s.members[0].role_count == 0 && s.members[2].role_count == 0);
    expect_text(s.members[1].user.username, "bob");
    expect_int(store_guild_snapshot(db, &memory, 5, 10, 0, &s), -ENOENT);

    expect_int(store_guild_for_member(db, &memory, 100, 110, 2, &s), 0);
    expect_true(s.channel_count == 1 && s.channels[0].overwrite_count == 2 && s.member_count == 1);
    expect_true(s.members[0].user.id == 2 && s.members[0].role_count == 2);
    expect_int(store_guild_for_member(db, &memory, 100, 0, 99, &s), 0);
    expect_true(s.channel_count == 0 && s.member_count == 0 && s.role_count == 3);
    expect_int(store_guild_for_member(db, &memory, 100, 5, 2, &s), -ENOENT);
    expect_int(store_guild_for_member(db, &memory, 5, 0, 2, &s), -ENOENT);
    expect_int(store_channel_for_member(db, &memory, 110, 2, &s), 0);
    expect_true(s.guild.id == 100 && s.role_count == 3 && s.channels[0].overwrite_count == 2 && s.member_count == 1);
    expect_int(store_channel_for_member(db, &memory, 5, 2, &s), -ENOENT);
    stop();
}

static void changes_and_deletes_guilds(void)
{
    struct guild g;
    uint64_t *ids;
    unsigned count;

    start();
    guild_put();
    expect_int(store_guild_get(db, &memory, 100, &g), 0);
    g.name = STR("Renamed");
    g.system_channel_id = 110;
    g.member_count = 99; /* not the caller's to say */
    begin();
    store_guild_update(&c, &g);
    expect_int(end(), 0);
    expect_int(store_guild_get(db, &memory, 100, &g), 0);
    expect_text(g.name, "Renamed");
    expect_true(g.system_channel_id == 110 && g.member_count == 3);
    expect_int(store_user_guild_ids(db, &memory, 2, &ids, &count), 0);
    expect_true(count == 1 && ids[0] == 100);
    expect_int(run_sql("INSERT INTO messages (channel_id, id, author_id) VALUES (110, 1, 1)"), 0);
    begin();
    store_guild_delete(&c, 100);
    expect_int(end(), 0);
    begin();
    store_guild_delete(&c, 100);
    expect_int(end(), -ENODATA);
    const char *const tables[] = {"roles", "channels", "channel_overwrites", "members", "member_roles", "messages"};
    for (int i = 0; i < 6; i++) {
        char text[64];
        snprintf(text, sizeof text, "CREATE VIEW v%d AS SELECT count(*) AS n FROM %s", i, tables[i]);
        expect_int(sql_script(db, text), 0);
    }
    expect_int(read_sql("SELECT v0.n + v1.n + v2.n + v3.n + v4.n + v5.n FROM v0, v1, v2, v3, v4, v5"), 0);
    expect_int(sql_int(&result, 0, 0), 0);
    stop();
}

static void pages_a_users_guilds(void)
{
    struct guild_snapshot *guilds;
    unsigned count;

    start();
    user_put(1, "alice");
    for (uint64_t id = 100; id < 500; id += 100) {
        struct guild g = {.id = id, .owner_id = 1, .name = STR("g")};
        struct role everyone = {.id = id, .guild_id = id, .name = STR("@everyone")};
        struct role extra = {.id = id + 1, .guild_id = id, .name = STR("mine")}, other = extra;
        struct member m = {.guild_id = id, .user.id = 1, .roles = &extra.id, .role_count = 1};
        other.id = id + 2;
        begin();
        store_guild_insert(&c, &g);
        store_role_insert(&c, &everyone);
        store_role_insert(&c, &extra);
        store_role_insert(&c, &other);
        store_member_insert(&c, &m);
        expect_int(end(), 0);
    }
    expect_int(store_user_guilds(db, &memory, 1, 0, 0, 200, &guilds, &count), 0);
    expect_int(count, 4);
    for (unsigned i = 0; i < count; i++) {
        expect_true(guilds[i].guild.id == 100 * (i + 1) && guilds[i].role_count == 2);
        expect_true(guilds[i].roles[0].id == guilds[i].guild.id && guilds[i].roles[1].id == guilds[i].guild.id + 1);
    }
    expect_int(store_user_guilds(db, &memory, 1, 100, 0, 2, &guilds, &count), 0);
    expect_true(count == 2 && guilds[0].guild.id == 200 && guilds[1].guild.id == 300);
    expect_int(store_user_guilds(db, &memory, 1, 0, 400, 2, &guilds, &count), 0);
    expect_true(count == 2 && guilds[0].guild.id == 200 && guilds[1].guild.id == 300);
    expect_int(guilds[1].role_count, 2);
    stop();
}

static void changes_roles_and_channels(void)
{
    struct role *roles;
    struct channel ch, *list;
    struct guild_snapshot s;
    struct overwrite role = {.id = 101, .type = 0, .allow = 8};
    unsigned count;

    start();
    guild_put();
    expect_int(store_channel_get(db, &memory, 110, &ch), 0);
    ch.topic = STR("new");
    ch.parent_id = 111;
    ch.overwrites = &role;
    ch.overwrite_count = 1;
    begin();
    store_channel_update(&c, &ch);
    expect_int(end(), 0);
    expect_int(store_channel_get(db, &memory, 110, &ch), 0);
    expect_text(ch.topic, "new");
    expect_true(ch.parent_id == 111 && ch.overwrite_count == 1 && ch.overwrites[0].allow == 8);
    expect_int(store_guild_snapshot(db, &memory, 100, 0, 0, &s), 0);
    roles = s.roles;
    roles[2].name = STR("moderators");
    roles[2].position = 9;
    begin();
    store_role_update(&c, &roles[2]);
    store_role_delete(&c, 100, 102);
    expect_int(end(), 0);
    expect_int(store_guild_snapshot(db, &memory, 100, 10, 0, &s), 0);
    expect_int(s.role_count, 2);
    expect_text(s.roles[1].name, "moderators");
    expect_true(s.members[1].role_count == 1);
    begin();
    store_role_delete(&c, 100, 101);
    expect_int(end(), 0);
    expect_int(store_channel_get(db, &memory, 110, &ch), 0);
    expect_int(ch.overwrite_count, 0); /* went with the role */
    begin();
    store_role_delete(&c, 100, 101);
    expect_int(end(), -ENODATA);
    begin();
    store_channel_delete(&c, 111);
    expect_int(end(), 0);
    expect_int(store_guild_channels(db, &memory, 100, &list, &count), 0);
    expect_true(count == 1 && list[0].parent_id == 0);
    expect_int(store_channel_get(db, &memory, 111, &ch), -ENOENT);
    stop();
}

static void keeps_direct_messages(void)
{
    struct user both[] = {user_make(2, "bob"), user_make(1, "alice")};
    struct channel dm = {.id = 50, .type = CHANNEL_DM, .recipients = both, .recipient_count = 2}, got, *list;
    struct guild_snapshot s;
    unsigned count;

    start();
    user_put(1, "alice");
    user_put(2, "bob");
    expect_int(store_dm_find(db, &memory, 1, 2, &got), -ENOENT);
    begin();
    store_dm_insert(&c, &dm);
    expect_int(end(), 0);
    dm.id = 51;
    begin();
    store_dm_insert(&c, &dm);
    expect_int(end(), -EEXIST);
    expect_int(store_dm_find(db, &memory, 2, 1, &got), 0);
    expect_true(got.id == 50 && got.recipient_count == 2 && got.recipients[0].id == 1 && got.type == CHANNEL_DM);
    expect_text(got.recipients[1].username, "bob");
    expect_int(store_user_dms(db, &memory, 2, &list, &count), 0);
    expect_true(count == 1 && list[0].recipient_count == 2);
    expect_int(store_channel_for_member(db, &memory, 50, 1, &s), 0);
    expect_true(s.guild.id == 0 && s.channels[0].recipient_count == 2 && s.member_count == 0);
    stop();
}

static void changes_members(void)
{
    struct member m, *list;
    uint64_t foreign[] = {101, 999}, ids[] = {3, 77, 2};
    unsigned count;

    start();
    guild_put();
    expect_int(store_member_get(db, &memory, 100, 2, &m), 0);
    m.nick = STR("Bobby");
    m.mute = true;
    m.communication_disabled_until_ms = INT64_C(4000000000000);
    m.roles = foreign;
    m.role_count = 2;
    begin();
    store_member_update(&c, &m);
    expect_int(end(), 0);
    expect_int(store_member_get(db, &memory, 100, 2, &m), 0);
    expect_text(m.nick, "Bobby");
    expect_true(m.mute && !m.deaf && m.communication_disabled_until_ms == INT64_C(4000000000000));
    expect_true(m.role_count == 1 && m.roles[0] == 101); /* one of another guild, or of none, adds nothing */
    begin();
    store_member_role_add(&c, 100, 2, 102);
    store_member_role_add(&c, 100, 2, 102);
    store_member_role_remove(&c, 100, 2, 101);
    expect_int(end(), 0);
    expect_int(store_member_get(db, &memory, 100, 2, &m), 0);
    expect_true(m.role_count == 1 && m.roles[0] == 102);
    begin();
    store_member_insert(&c, &m);
    expect_int(end(), -EEXIST);
    expect_int(store_members_list(db, &memory, 100, 1, 1, &list, &count), 0);
    expect_true(count == 1 && list[0].user.id == 2 && list[0].role_count == 1);
    expect_int(store_members_get(db, &memory, 100, ids, 3, &list, &count), 0);
    expect_true(count == 2 && list[0].user.id == 2 && list[1].user.id == 3 && list[0].role_count == 1);
    uint64_t *marked;
    expect_int(store_members_marked(db, &memory, 100, 10, &marked, &count), 0);
    expect_true(count == 1 && marked[0] == 2); /* by both, once */
    expect_int(store_members_search(db, &memory, 100, STR("BOB"), 10, &list, &count), 0);
    expect_true(count == 1 && list[0].user.id == 2 && list[0].role_count == 1);
    expect_int(store_members_search(db, &memory, 100, STR("_o"), 10, &list, &count), 0);
    expect_int(count, 0);
    expect_int(store_members_search(db, &memory, 100, STR(""), 2, &list, &count), 0);
    expect_int(count, 2);
    /* a new name takes the old one's place, and the nick stays */
    struct user bob;
    expect_int(store_user_get(db, &memory, 2, &bob), 0);
    bob.username = STR("robert");
    bob.global_name = STR("Zoe \xf0\x9f\x8e\xb2");
    begin();
    store_user_rename(&c, &bob);
    expect_int(end(), 0);
    static const struct {
        const char *query;
        unsigned found;
    } searches[] = {{"bobb", 1}, {"ROB", 1}, {"zoe", 1}, {"zoe \xf0\x9f\x8e\xb2", 1}, {"zoe\x7f", 0}};
    for (size_t i = 0; i < sizeof searches / sizeof *searches; i++) {
        expect_int(store_members_search(db, &memory, 100, str_c(searches[i].query), 10, &list, &count), 0);
        expect_int(count, searches[i].found);
    }
    expect_int(store_user_members(db, &memory, 2, 10, &list, &count), 0);
    expect_true(count == 1 && list[0].guild_id == 100 && list[0].role_count == 1);
    begin();
    store_member_delete(&c, 100, 2);
    expect_int(end(), 0);
    begin();
    store_member_delete(&c, 100, 2);
    expect_int(end(), -ENODATA);
    expect_int(store_members_search(db, &memory, 100, STR("rob"), 10, &list, &count), 0);
    expect_int(count, 0);
    expect_int(store_member_get(db, &memory, 100, 2, &m), -ENOENT);
    struct guild g;
    expect_int(store_guild_get(db, &memory, 100, &g), 0);
    expect_int(g.member_count, 2);
    stop();
}

static void keeps_invites(void)
{
    struct invite i = {.code = STR("abc"),
                       .guild_id = 100,
                       .channel_id = 110,
                       .inviter_id = 1,
                       .max_age_s = 60,
                       .max_uses = 2,
                       .created_ms = 5},
                  got, *list;
    unsigned count;

    start();
    guild_put();
    begin();
    store_invite_insert(&c, &i);
    expect_int(end(), 0);
    begin();
    store_invite_insert(&c, &i);
    expect_int(end(), -EEXIST);
    begin();
    store_invite_use(&c, STR("abc"));
    expect_int(end(), 0);
    expect_int(store_invite_get(db, &memory, STR("abc"), &got), 0);
    expect_true(got.uses == 1 && got.max_uses == 2 && got.channel_id == 110 && got.inviter_id == 1);
    begin();
    store_invite_use(&c, STR("abc"));
    expect_int(end(), 0);
    expect_int(store_invite_get(db, &memory, STR("abc"), &got), -ENOENT); /* used up */
    begin();
    store_invite_use(&c, STR("abc"));
    expect_int(end(), -ENODATA);
    i.max_uses = 0;
    begin();
    store_invite_insert(&c, &i);
    store_invite_use(&c, STR("abc"));
    expect_int(end(), 0);
    expect_int(store_guild_invites(db, &memory, 100, &list, &count), 0);
    expect_true(count == 1 && list[0].uses == 1);
    begin();
    store_invite_delete(&c, STR("abc"));
    expect_int(end(), 0);
    begin();
    store_invite_delete(&c, STR("abc"));
    expect_int(end(), -ENODATA);
    stop();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(keeps_users),
        CO_TEST(keeps_applications),
        CO_TEST(reads_whole_guilds),
        CO_TEST(reads_many_guilds_at_once),
        CO_TEST(changes_and_deletes_guilds),
        CO_TEST(pages_a_users_guilds),
        CO_TEST(changes_roles_and_channels),
        CO_TEST(keeps_direct_messages),
        CO_TEST(changes_members),
        CO_TEST(keeps_invites),
    };
    db_choose(argc, argv);
    return cmocka_run_group_tests_name("store_entities", tests, NULL, NULL);
}
