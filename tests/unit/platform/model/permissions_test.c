/* permissions.c: the documentation's rules, one conversation each. Guild 1 is owned by 10; roles 2 (mod, position 5),
 * 3 (helper, position 2), 4 (also position 2). */
#include "tests/support/cm.h"

#include "platform/model/permissions.h"

#define VIEW PERMISSION_VIEW_CHANNEL
#define SEND PERMISSION_SEND_MESSAGES

enum { GUILD = 1, OWNER = 10, ALICE = 11, MOD = 2, HELPER = 3, HELPER2 = 4 };

static struct guild guild = {.id = GUILD, .owner_id = OWNER};

static struct role *the_roles(void)
{
    static struct role roles[4];
    roles[0] = (struct role){.id = GUILD, .guild_id = GUILD, .permissions = VIEW | SEND};
    roles[1] = (struct role){.id = HELPER, .guild_id = GUILD, .position = 2, .permissions = PERMISSION_KICK_MEMBERS};
    roles[2] = (struct role){.id = HELPER2, .guild_id = GUILD, .position = 2};
    roles[3] = (struct role){.id = MOD, .guild_id = GUILD, .position = 5, .permissions = PERMISSION_MANAGE_MESSAGES};
    return roles;
}

static uint64_t in_guild(uint64_t user, const uint64_t *roles, unsigned count)
{
    return permissions_in_guild(&guild, the_roles(), 4, user, roles, count);
}

static uint64_t in_channel(struct channel *c, const uint64_t *roles, unsigned count)
{
    return permissions_in_channel(in_guild(ALICE, roles, count), GUILD, c, ALICE, roles, count);
}

static void adds_up_roles(void **state)
{
    const uint64_t mine[] = {MOD, HELPER};

    (void)state;
    assert_int_equal(in_guild(ALICE, NULL, 0), VIEW | SEND);
    assert_int_equal(in_guild(ALICE, mine, 1), VIEW | SEND | PERMISSION_MANAGE_MESSAGES);
    assert_int_equal(in_guild(ALICE, mine, 2), VIEW | SEND | PERMISSION_MANAGE_MESSAGES | PERMISSION_KICK_MEMBERS);
}

static void owner_and_administrator_hold_all(void **state)
{
    const uint64_t mine[] = {MOD};
    struct role *roles = the_roles();
    struct overwrite closed = {.id = GUILD, .deny = VIEW};
    struct channel c = {.guild_id = GUILD, .overwrites = &closed, .overwrite_count = 1};

    (void)state;
    assert_int_equal(in_guild(OWNER, NULL, 0), PERMISSIONS_ALL);
    roles[3].permissions = PERMISSION_ADMINISTRATOR;
    uint64_t all = permissions_in_guild(&guild, roles, 4, ALICE, mine, 1);
    assert_int_equal(all, PERMISSIONS_ALL);
    assert_int_equal(permissions_in_channel(all, GUILD, &c, ALICE, mine, 1), PERMISSIONS_ALL);
}

static void overwrites_apply_in_order(void **state)
{
    const uint64_t mine[] = {MOD, HELPER};
    struct overwrite o[4] = {{.id = GUILD, .deny = VIEW}};
    struct channel c = {.guild_id = GUILD, .overwrites = o, .overwrite_count = 1};

    (void)state;
    assert_int_equal(in_channel(&c, mine, 2), 0); /* @everyone denied */
    o[1] = (struct overwrite){.id = MOD, .allow = VIEW};
    c.overwrite_count = 2;
    assert_true(in_channel(&c, mine, 2) & VIEW); /* a role's allow beats @everyone's deny */
    o[2] = (struct overwrite){.id = HELPER, .deny = VIEW};
    c.overwrite_count = 3;
    assert_true(in_channel(&c, mine, 2) & VIEW); /* among roles allow wins, whatever their position */
    assert_int_equal(in_channel(&c, mine + 1, 1), 0);
    o[3] = (struct overwrite){.id = ALICE, .type = 1, .deny = VIEW};
    c.overwrite_count = 4;
    assert_int_equal(in_channel(&c, mine, 2), 0); /* the member's own comes last */
    o[3] = (struct overwrite){.id = ALICE, .type = 1, .deny = SEND, .allow = VIEW};
    assert_false(in_channel(&c, mine, 2) & SEND);
    o[3].id = OWNER; /* somebody else's */
    assert_true(in_channel(&c, mine, 2) & SEND);
    o[3] = (struct overwrite){.id = ALICE, .type = 0, .deny = VIEW}; /* a role of that id, not the member */
    assert_true(in_channel(&c, mine, 2) & VIEW);
}

static void channels_do_not_make_administrators(void **state)
{
    struct overwrite o = {.id = GUILD, .allow = PERMISSION_ADMINISTRATOR};
    struct channel c = {.guild_id = GUILD, .overwrites = &o, .overwrite_count = 1};

    (void)state;
    assert_int_equal(in_channel(&c, NULL, 0), VIEW | SEND);
}

static void denies_what_is_implied(void **state)
{
    struct overwrite o = {.id = GUILD,
                          .allow = PERMISSION_MENTION_EVERYONE | PERMISSION_ATTACH_FILES | PERMISSION_ADD_REACTIONS,
                          .deny = SEND};
    struct channel c = {.guild_id = GUILD, .overwrites = &o, .overwrite_count = 1};

    (void)state;
    assert_int_equal(in_channel(&c, NULL, 0), VIEW | PERMISSION_ADD_REACTIONS);
    o.deny = VIEW;
    assert_int_equal(in_channel(&c, NULL, 0), 0);
    o = (struct overwrite){.id = GUILD, .allow = PERMISSION_MANAGE_CHANNELS | PERMISSION_SPEAK};
    assert_true(in_channel(&c, NULL, 0) & PERMISSION_MANAGE_CHANNELS);
    c.type = CHANNEL_GUILD_VOICE;
    assert_int_equal(in_channel(&c, NULL, 0), VIEW | SEND);
}

static void timeout_leaves_reading(void **state)
{
    struct role *roles = the_roles();
    struct member m = {.guild_id = GUILD, .user.id = ALICE, .communication_disabled_until_ms = 1000};

    (void)state;
    roles[0].permissions |= PERMISSION_READ_MESSAGE_HISTORY;
    assert_int_equal(permissions_of_member(&guild, roles, 4, NULL, &m, 999), VIEW | PERMISSION_READ_MESSAGE_HISTORY);
    assert_true(permissions_of_member(&guild, roles, 4, NULL, &m, 1000) & SEND);
    m.user.id = OWNER;
    assert_int_equal(permissions_of_member(&guild, roles, 4, NULL, &m, 999), PERMISSIONS_ALL);
}

static struct hierarchy of(uint64_t user, uint64_t role)
{
    return hierarchy_of(&guild, the_roles(), 4, user, &role, role != 0);
}

static void ranks_members_and_roles(void **state)
{
    struct role *roles = the_roles();
    struct hierarchy owner = of(OWNER, 0), mod = of(ALICE, MOD), helper = of(12, HELPER), helper2 = of(13, HELPER2),
                     nobody = of(14, 0);

    (void)state;
    assert_true(hierarchy_above(&owner, &mod));
    assert_false(hierarchy_above(&mod, &owner));
    assert_false(hierarchy_above(&owner, &owner));
    assert_true(hierarchy_above(&mod, &helper));
    assert_false(hierarchy_above(&helper, &mod));
    assert_false(hierarchy_above(&mod, &mod));       /* never one's equals */
    assert_true(hierarchy_above(&helper, &helper2)); /* equal positions: the lower id */
    assert_false(hierarchy_above(&helper2, &helper));
    assert_true(hierarchy_above(&helper2, &nobody));
    assert_false(hierarchy_above(&nobody, &nobody));

    assert_true(hierarchy_above_role(&mod, &roles[1]));
    assert_false(hierarchy_above_role(&mod, &roles[3]));
    assert_false(hierarchy_above_role(&helper, &roles[3]));
    assert_true(hierarchy_above_role(&owner, &roles[3]));
    assert_true(hierarchy_above_role(&nobody, &roles[0]));
    assert_false(hierarchy_above_role(&nobody, &roles[2]));

    assert_int_equal(hierarchy_position(&guild, roles, 4, OWNER, NULL, 0), INT64_MAX);
    assert_int_equal(hierarchy_position(&guild, roles, 4, ALICE, (const uint64_t[]){MOD}, 1), 5);
    assert_int_equal(hierarchy_position(&guild, roles, 4, ALICE, NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_up_roles),
        cmocka_unit_test(owner_and_administrator_hold_all),
        cmocka_unit_test(overwrites_apply_in_order),
        cmocka_unit_test(channels_do_not_make_administrators),
        cmocka_unit_test(denies_what_is_implied),
        cmocka_unit_test(timeout_leaves_reading),
        cmocka_unit_test(ranks_members_and_roles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
