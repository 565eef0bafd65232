/* What the store tests share: a migrated database and short ways to commit. */
#pragma once

#include "tests/contract/sql/sql_fixture.h"

#include "platform/ports/store/store.h"

enum { ALICE = 101, BOB, CAROL, BOT, GUILD = 201, OTHER_GUILD, MOD = 301, PAINTER, GENERAL = 401, TALK, CATEGORY, DM };

/* An empty schema; then users alice, bob, carol, a bot; guild 201 owned by alice with all of them, two roles beside
 * @everyone, a category with two channels; guild 202 with bob alone. */
static inline void store_open(void)
{
    db_open_fresh();
    expect_int(store_migrate(db), 0);
}

static struct commit commit_now; /* the one being filled */

static inline struct commit *begin(void)
{
    commit_init(&commit_now, &arena);
    return &commit_now;
}

/* Only the rows: events are the outbox's test. */
static inline int finish(void)
{
    return sql_run(db, &arena, commit_now.stmts, (int)commit_now.stmt_count, NULL);
}

/* `in_commit(store_x(c, ...))` is the commit's error. */
#define in_commit(call)                                                                                                \
    ({                                                                                                                 \
        struct commit *c = begin();                                                                                    \
        call;                                                                                                          \
        finish();                                                                                                      \
    })

static inline struct user user_made(uint64_t id, const char *name, bool bot)
{
    return (struct user){.id = id,
                         .username = str_c(name),
                         .discriminator = STR("0"),
                         .email = bot ? STR_NONE : arena_printf(&arena, "%s@example.test", name),
                         .bot = bot,
                         .accent_color = -1,
                         .created_ms = 1000};
}

static inline struct member member_made(uint64_t guild_id, uint64_t user_id)
{
    return (struct member){.guild_id = guild_id, .user = {.id = user_id}, .joined_ms = 5000};
}

static inline struct channel channel_made(uint64_t id, uint64_t parent_id, const char *name, int64_t position)
{
    return (struct channel){.id = id,
                            .guild_id = GUILD,
                            .type = id == CATEGORY ? CHANNEL_GUILD_CATEGORY : CHANNEL_GUILD_TEXT,
                            .parent_id = parent_id,
                            .name = str_c(name),
                            .position = position};
}

static inline void users_make(struct commit *c)
{
    static const char *const names[] = {"alice", "bob", "carol", "pingbot"};
    for (uint64_t i = 0; i < 4; i++) {
        struct user u = user_made(ALICE + i, names[i], ALICE + i == BOT);
        store_user_insert(c, &u);
    }
}

static inline void guild_make(struct commit *c, uint64_t guild_id, uint64_t owner_id, const char *name)
{
    struct guild g = {.id = guild_id, .owner_id = owner_id, .name = str_c(name)};
    struct role everyone = {.id = guild_id, .guild_id = guild_id, .name = STR("@everyone"), .permissions = 1024};
    struct member owner = member_made(guild_id, owner_id);
    store_guild_insert(c, &g);
    store_role_insert(c, &everyone);
    store_member_insert(c, &owner);
}

static inline void rest_make(struct commit *c)
{
    struct role mod = {.id = MOD, .guild_id = GUILD, .name = STR("mod"), .position = 2, .permissions = 8192};
    struct role painter = {.id = PAINTER, .guild_id = GUILD, .name = STR("painter"), .position = 1, .color = 255};
    struct overwrite hidden = {.id = GUILD, .type = 0, .deny = 1024};
    struct channel category = channel_made(CATEGORY, 0, "Text", 0), general = channel_made(GENERAL, CATEGORY, "g", 2),
                   talk = channel_made(TALK, CATEGORY, "talk", 1);
    store_role_insert(c, &mod);
    store_role_insert(c, &painter);
    talk.overwrites = &hidden;
    talk.overwrite_count = 1;
    store_channel_insert(c, &category);
    store_channel_insert(c, &general);
    store_channel_insert(c, &talk);
    for (uint64_t id = BOB; id <= BOT; id++) {
        struct member m = member_made(GUILD, id);
        store_member_insert(c, &m);
    }
}

static inline void store_open_demo(void)
{
    store_open();
    struct commit *c = begin();
    users_make(c);
    guild_make(c, GUILD, ALICE, "Demo");
    rest_make(c);
    guild_make(c, OTHER_GUILD, BOB, "Other");
    expect_int(finish(), 0);
}
