/* The seed: users, bots, guilds and channels from a JSON file, created where they are not there yet, so that the same
 * file can be given at every start. Members are found by name within the file, so a file reads without ids. Coroutine;
 * trusted input (an operator's file), checked well enough to say what is wrong with it. */
#include "platform/api/auth/password.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/snowflake.h"
#include "platform/cli/cli.h"
#include "platform/ports/store/store.h"
#include "platform/protocol/intents.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>

struct seed {
    struct platform *p;
    struct arena arena;
    struct buf *out, *err;
};

static int seed_error(struct seed *s, const char *what, const char *name)
{
    buf_addf(s->err, "seed: %s%s%s", what, name ? ": " : "", name ? name : "");
    return -EINVAL;
}

static struct str text_of(json_t *o, const char *key)
{
    return str_c(json_string_value(json_object_get(o, key)));
}

static uint64_t id_of(json_t *o)
{
    uint64_t id;
    return snowflake_parse(text_of(o, "id"), &id) == 0 ? id : snowflake_next();
}

static uint64_t bits_of(json_t *o, const char *key, uint64_t otherwise)
{
    uint64_t v;
    return str_to_u64(text_of(o, key), &v) == 0 ? v : otherwise;
}

/* --- users and bots --- */

static int user_find(struct seed *s, struct str username, struct user *ret)
{
    return store_user_get_by_username(s->p->ports.db, &s->arena, username, ret);
}

static int user_create(struct seed *s, json_t *o, bool bot, struct user *ret)
{
    struct str name = text_of(o, "username");
    if (!name.n)
        return seed_error(s, "a user has no username", NULL);
    int r = user_find(s, name, ret);
    if (r != -ENOENT)
        return r;
    struct str password = text_of(o, "password"), hash = STR_NONE;
    if (password.n && (r = password_hash(&s->arena, password, &hash)) < 0)
        return r;
    *ret = (struct user){.id = id_of(o),
                         .username = name,
                         .discriminator = STR("0"),
                         .global_name = text_of(o, "global_name"),
                         .email = text_of(o, "email"),
                         .password_hash = hash,
                         .bot = bot,
                         .verified = true,
                         .accent_color = -1,
                         .created_ms = clock_wall_ms()};
    struct commit c;
    commit_init(&c, &s->arena);
    store_user_insert(&c, ret);
    return commit_run(&c, &s->p->ports);
}

/* Libraries read the id out of the token. */
static bool token_names(struct str token, uint64_t user_id)
{
    static const int variants[] = {sodium_base64_VARIANT_ORIGINAL_NO_PADDING, sodium_base64_VARIANT_URLSAFE_NO_PADDING};
    const char *dot = memchr(token.p, '.', token.n);
    char text[24];
    size_t n;
    uint64_t id;
    for (size_t i = 0; dot && i < sizeof variants / sizeof *variants; i++)
        if (sodium_base642bin((unsigned char *)text, sizeof text, token.p, (size_t)(dot - token.p), NULL, &n, NULL,
                              variants[i]) == 0 &&
            str_to_u64((struct str){text, n}, &id) == 0)
            return id == user_id;
    return false;
}

static int token_of(struct seed *s, json_t *o, uint64_t user_id, struct str *ret)
{
    struct str fixed = text_of(o, "token");
    if (fixed.n && !token_names(fixed, user_id))
        return seed_error(s, "a fixed token must begin with base64 of the id (which the file must give) and a dot",
                          json_string_value(json_object_get(o, "username")));
    if (!fixed.n) {
        *ret = token_issue(s->p->tokens, &s->arena, user_id, clock_wall_ms());
        return 0;
    }
    struct commit c;
    commit_init(&c, &s->arena);
    store_fixed_token_put(&c, fixed, user_id);
    token_registry_add_fixed(s->p->tokens, fixed, user_id);
    *ret = fixed;
    int r = commit_run(&c, &s->p->ports);
    return r == -EEXIST ? 0 : r;
}

static struct str secret_of(struct seed *s, uint64_t application_id)
{
    struct application app;
    int r = store_application_get(s->p->ports.db, &s->arena, application_id, &app);

    return r < 0 ? STR_NONE
                 : token_client_secret(s->p->tokens, &s->arena, application_id, (uint64_t)app.secret_version);
}

static void account_write(struct seed *s, const struct user *u, struct str token)
{
    jw_obj(s->out);
    jw_kid(s->out, "id", u->id);
    jw_kstr(s->out, "username", u->username);
    if (u->bot) {
        jw_kid(s->out, "application_id", u->id);
        jw_kstr(s->out, "client_secret", secret_of(s, u->id));
    }
    jw_kstr(s->out, "token", token);
    jw_obj_end(s->out);
}

static int application_flags_of(struct seed *s, json_t *o, int64_t *ret)
{
    static const struct {
        uint32_t intent;
        int64_t flag;
    } switches[] = {{INTENT_GUILD_MEMBERS, APPLICATION_GATEWAY_GUILD_MEMBERS_LIMITED},
                    {INTENT_GUILD_PRESENCES, APPLICATION_GATEWAY_PRESENCE_LIMITED},
                    {INTENT_MESSAGE_CONTENT, APPLICATION_GATEWAY_MESSAGE_CONTENT_LIMITED}};
    json_t *intents = json_object_get(o, "intents");
    *ret = 0;
    for (size_t i = 0; i < json_array_size(intents); i++) {
        const char *name = json_string_value(json_array_get(intents, i));
        uint32_t bit = intent_find(str_c(name));
        if (!bit)
            return seed_error(s, "no such intent", name);
        for (size_t k = 0; k < sizeof switches / sizeof *switches; k++)
            if (switches[k].intent == bit)
                *ret |= switches[k].flag;
    }
    return 0;
}

static int application_create(struct seed *s, json_t *o, const struct user *bot)
{
    struct user owner;
    struct application app;
    int64_t flags;
    int r = store_application_get(s->p->ports.db, &s->arena, bot->id, &app);
    if (r != -ENOENT)
        return r;
    if (user_find(s, text_of(o, "owner"), &owner) < 0)
        return seed_error(s, "a bot's owner is no user of the file", json_string_value(json_object_get(o, "username")));
    r = application_flags_of(s, o, &flags);
    if (r < 0)
        return r;
    unsigned char key[32];
    char key_hex[65];
    randombytes_buf(key, sizeof key);
    sodium_bin2hex(key_hex, sizeof key_hex, key, sizeof key);
    json_t *is_public = json_object_get(o, "public");
    app = (struct application){.id = bot->id,
                               .owner_id = owner.id,
                               .bot_id = bot->id,
                               .name = bot->username,
                               .description = STR(""),
                               .verify_key = str_c(key_hex),
                               .bot_public = !is_public || json_is_true(is_public),
                               .flags = flags,
                               .integration_types_json = json_is_true(json_object_get(o, "user_install"))
                                                             ? STR("{\"0\":{},\"1\":{}}")
                                                             : STR_NONE,
                               .max_concurrency = json_integer_value(json_object_get(o, "max_concurrency")),
                               .session_starts = json_integer_value(json_object_get(o, "session_starts"))};
    struct commit c;
    commit_init(&c, &s->arena);
    store_application_insert(&c, &app);
    return commit_run(&c, &s->p->ports);
}

static int accounts_create(struct seed *s, json_t *list, bool bot)
{
    int r = 0;
    jw_karr(s->out, bot ? "bots" : "users");
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        json_t *o = json_array_get(list, i);
        struct user u;
        struct str token;
        r = user_create(s, o, bot, &u);
        if (r == 0 && bot)
            r = application_create(s, o, &u);
        if (r == 0)
            r = token_of(s, o, u.id, &token);
        if (r == 0)
            account_write(s, &u, token);
    }
    jw_arr_end(s->out);
    return r;
}

/* --- guilds --- */

/* The names of a guild under construction. */
struct guild_seed {
    struct guild guild;
    struct role *roles;
    unsigned role_count;
    struct channel *channels;
    unsigned channel_count;
};

static uint64_t role_named(const struct guild_seed *g, struct str name)
{
    for (unsigned i = 0; i < g->role_count; i++)
        if (str_eq(g->roles[i].name, name))
            return g->roles[i].id;
    return 0;
}

static bool name_in(json_t *list, struct str name)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (str_eq(str_c(json_string_value(json_array_get(list, i))), name))
            return true;
    return false;
}

static void roles_create(struct seed *s, struct commit *c, json_t *o, struct guild_seed *g)
{
    json_t *list = json_object_get(o, "roles"), *bots = json_object_get(o, "bots");
    g->roles = ARENA_ARRAY(&s->arena, struct role, json_array_size(list) + json_array_size(bots) + 1);
    g->roles[g->role_count++] = (struct role){.id = g->guild.id,
                                              .guild_id = g->guild.id,
                                              .name = STR("@everyone"),
                                              .permissions = PERMISSIONS_EVERYONE_DEFAULT};
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *role = json_array_get(list, i);
        g->roles[g->role_count] = (struct role){.id = id_of(role),
                                                .guild_id = g->guild.id,
                                                .name = text_of(role, "name"),
                                                .permissions = bits_of(role, "permissions", 0),
                                                .color = json_integer_value(json_object_get(role, "color")),
                                                .hoist = json_is_true(json_object_get(role, "hoist")),
                                                .mentionable = json_is_true(json_object_get(role, "mentionable")),
                                                .position = g->role_count};
        g->role_count++;
    }
    for (unsigned i = 0; i < g->role_count; i++)
        store_role_insert(c, &g->roles[i]);
}

static void member_add(struct seed *s, struct commit *c, const struct guild_seed *g, json_t *roles, uint64_t user_id,
                       struct str username, uint64_t own_role)
{
    struct member m = {.guild_id = g->guild.id, .user = {.id = user_id}, .joined_ms = clock_wall_ms()};
    m.roles = ARENA_ARRAY(&s->arena, uint64_t, json_array_size(roles) + 1);
    if (own_role)
        m.roles[m.role_count++] = own_role;
    for (size_t i = 0; i < json_array_size(roles); i++) {
        json_t *role = json_array_get(roles, i);
        if (name_in(json_object_get(role, "members"), username))
            m.roles[m.role_count++] = role_named(g, text_of(role, "name"));
    }
    store_member_insert(c, &m);
}

static int members_create(struct seed *s, struct commit *c, json_t *o, struct guild_seed *g)
{
    json_t *list = json_object_get(o, "members"), *bots = json_object_get(o, "bots");
    json_t *roles = json_object_get(o, "roles");
    member_add(s, c, g, roles, g->guild.owner_id, text_of(o, "owner"), 0);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct user u;
        struct str name = str_c(json_string_value(json_array_get(list, i)));
        if (user_find(s, name, &u) < 0)
            return seed_error(s, "a member is no user of the file", name.p);
        member_add(s, c, g, roles, u.id, name, 0);
    }
    for (size_t i = 0; i < json_array_size(bots); i++) {
        json_t *bot = json_array_get(bots, i);
        struct user u;
        struct str name = text_of(bot, "username");
        if (user_find(s, name, &u) < 0)
            return seed_error(s, "a guild's bot is no bot of the file", name.p);
        uint64_t permissions = bits_of(bot, "permissions", 0);
        struct role own = {.id = snowflake_next(),
                           .guild_id = g->guild.id,
                           .name = name,
                           .permissions = permissions,
                           .managed = true,
                           .bot_id = u.id,
                           .position = g->role_count};
        if (permissions)
            store_role_insert(c, &own);
        g->role_count += permissions != 0;
        member_add(s, c, g, roles, u.id, name, permissions ? own.id : 0);
    }
    return 0;
}

static int overwrites_of(struct seed *s, json_t *o, const struct guild_seed *g, struct channel *ch)
{
    json_t *list = json_object_get(o, "overwrites");
    ch->overwrites = ARENA_ARRAY(&s->arena, struct overwrite, json_array_size(list) + 1);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *w = json_array_get(list, i);
        struct str role = text_of(w, "role"), username = text_of(w, "user");
        struct overwrite ow = {.id = role.p ? role_named(g, role) : g->guild.id,
                               .allow = bits_of(w, "allow", 0),
                               .deny = bits_of(w, "deny", 0)};
        if (username.p) {
            struct user u;
            if (user_find(s, username, &u) < 0)
                return seed_error(s, "an overwrite's user is not in the file", username.p);
            ow.id = u.id;
            ow.type = 1;
        }
        if (!ow.id)
            return seed_error(s, "an overwrite's role is not in the guild", role.p);
        ch->overwrites[ch->overwrite_count++] = ow;
    }
    return 0;
}

static uint64_t channel_named(const struct guild_seed *g, struct str name)
{
    for (unsigned i = 0; name.p && i < g->channel_count; i++)
        if (str_eq(g->channels[i].name, name))
            return g->channels[i].id;
    return 0;
}

static int channels_create(struct seed *s, struct commit *c, json_t *o, struct guild_seed *g)
{
    json_t *list = json_object_get(o, "channels");
    g->channels = ARENA_ARRAY(&s->arena, struct channel, json_array_size(list) + 1);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *ch = json_array_get(list, i);
        struct channel *made = &g->channels[g->channel_count];
        *made = (struct channel){.id = id_of(ch),
                                 .guild_id = g->guild.id,
                                 .parent_id = channel_named(g, text_of(ch, "parent")),
                                 .type = (enum channel_type)json_integer_value(json_object_get(ch, "type")),
                                 .name = text_of(ch, "name"),
                                 .topic = text_of(ch, "topic"),
                                 .nsfw = json_is_true(json_object_get(ch, "nsfw")),
                                 .rate_limit_per_user = json_integer_value(json_object_get(ch, "rate_limit_per_user")),
                                 .bitrate = 64000,
                                 .position = (int64_t)i};
        if (!made->name.n)
            return seed_error(s, "a channel has no name", NULL);
        int r = overwrites_of(s, ch, g, made);
        if (r < 0)
            return r;
        store_channel_insert(c, made);
        g->channel_count++;
    }
    return 0;
}

/* By id where the file gives one, otherwise by name among the owner's. */
static int guild_exists(struct seed *s, json_t *o, uint64_t owner_id, bool *ret)
{
    uint64_t id, *ids;
    unsigned count;
    struct guild g;
    *ret = false;
    if (snowflake_parse(text_of(o, "id"), &id) == 0) {
        int r = store_guild_get(s->p->ports.db, &s->arena, id, &g);
        *ret = r == 0;
        return r == -ENOENT ? 0 : r;
    }
    int r = store_user_guild_ids(s->p->ports.db, &s->arena, owner_id, &ids, &count);
    for (unsigned i = 0; r == 0 && !*ret && i < count; i++) {
        r = store_guild_get(s->p->ports.db, &s->arena, ids[i], &g);
        *ret = r == 0 && g.owner_id == owner_id && str_eq(g.name, text_of(o, "name"));
    }
    return r;
}

static int guild_create(struct seed *s, json_t *o)
{
    struct user owner;
    struct guild_seed g = {0};
    bool exists;
    if (user_find(s, text_of(o, "owner"), &owner) < 0)
        return seed_error(s, "a guild's owner is no user of the file", json_string_value(json_object_get(o, "name")));
    int r = guild_exists(s, o, owner.id, &exists);
    if (r < 0 || exists)
        return r;
    g.guild = (struct guild){.id = id_of(o),
                             .owner_id = owner.id,
                             .name = text_of(o, "name"),
                             .features_json = STR("[]"),
                             .preferred_locale = STR("en-US"),
                             .afk_timeout = 300};
    if (!g.guild.name.n)
        return seed_error(s, "a guild has no name", NULL);
    struct commit c;
    commit_init(&c, &s->arena);
    store_guild_insert(&c, &g.guild);
    roles_create(s, &c, o, &g);
    r = members_create(s, &c, o, &g);
    if (r == 0)
        r = channels_create(s, &c, o, &g);
    return r == 0 ? commit_run(&c, &s->p->ports) : r;
}

static int seed_all(struct seed *s, json_t *root)
{
    int r = accounts_create(s, json_object_get(root, "users"), false);
    if (r == 0)
        r = accounts_create(s, json_object_get(root, "bots"), true);
    json_t *guilds = json_object_get(root, "guilds");
    for (size_t i = 0; r == 0 && i < json_array_size(guilds); i++)
        r = guild_create(s, json_array_get(guilds, i));
    if (r < 0 && !s->err->len)
        buf_addf(s->err, "seed: the store refused it: %s", strerror(-r));
    return r;
}

static json_t *file_read(const char *path, struct buf *err)
{
    json_error_t problem;
    FILE *f = fopen(path, "re");
    json_t *root = f ? json_loadf(f, JSON_REJECT_DUPLICATES, &problem) : NULL;
    if (!f)
        buf_addf(err, "seed: %s: %s", path, strerror(errno));
    else if (!root)
        buf_addf(err, "seed: %s: line %d: %s", path, problem.line, problem.text);
    if (f)
        fclose(f);
    return root;
}

int seed_run(struct platform *p, const char *path, struct buf *out, struct buf *err)
{
    json_t *root = file_read(path, err);
    if (!root)
        return -EINVAL;
    struct seed s = {.p = p, .out = out, .err = err};
    int r = seed_check(root, path, err);
    if (r == 0)
        r = seed_all(&s, root);
    json_decref(root);
    arena_done(&s.arena);
    return r;
}
