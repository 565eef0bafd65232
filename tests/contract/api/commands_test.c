/* Application commands over HTTP: made, listed, changed, replaced as a whole; who may do it; permissions in a guild. */
#include "tests/contract/api/fixture.h"

#include <sodium.h>
#include <stdio.h>

#define U(v) (unsigned long long)(v)

static struct person alice, bob, bot;
static uint64_t guild;

/* alice's guild with her bot in it; bob is a member of it. */
static void start(bool limits)
{
    api_start(limits);
    alice = person_new("alice");
    bob = person_new("bob");
    bot = bot_new(&alice, "pingbot");
    guild = guild_new(&alice, "Demo");
    guild_enter(guild, &alice, &bob);
    bot_enter(guild, &alice, &bot);
}

#define PING "{\"name\":\"ping\",\"description\":\"says pong\"}"

static void makes_and_changes(void)
{
    start(false);
    expect_int(call(bot.token, "POST", PING, "/applications/%llu/commands", U(bot.id)), 201);
    uint64_t id = id_at("id"), version = id_at("version");
    expect_true(id && version && id_at("application_id") == bot.id && !node_at("guild_id"));
    expect_true(json_is_null(node_at("default_member_permissions")) && json_is_false(node_at("nsfw")));
    expect_int((int)int_at("type"), 1);
    /* the same again changes nothing, other words make a new version */
    expect_int(call(bot.token, "POST", PING, "/applications/%llu/commands", U(bot.id)), 200);
    expect_true(id_at("id") == id && id_at("version") == version);
    expect_int(
        call(bot.token, "PATCH", "{\"description\":\"answers\"}", "/applications/%llu/commands/%llu", U(bot.id), U(id)),
        200);
    expect_true(id_at("version") > version && strcmp(text_at("name"), "ping") == 0);
    expect_int(call(alice.token, "GET", NULL, "/applications/%llu/commands/%llu", U(bot.id), U(id)), 200);
    expect_true(strcmp(text_at("description"), "answers") == 0);

    expect_int(
        call(bot.token, "POST", "{\"name\":\"pong\",\"description\":\"d\"}", "/applications/%llu/commands", U(bot.id)),
        201);
    uint64_t pong = id_at("id");
    expect_int(call(bot.token, "PATCH", "{\"name\":\"ping\"}", "/applications/%llu/commands/%llu", U(bot.id), U(pong)),
               400);
    expect_int(code(), 40041);
    /* a user command may have the same name */
    expect_int(call(bot.token, "POST", "{\"name\":\"ping\",\"type\":2}", "/applications/%llu/commands", U(bot.id)),
               201);
    expect_int(call(bot.token, "GET", NULL, "/applications/%llu/commands", U(bot.id)), 200);
    expect_int((int)json_array_size(body), 3);
    expect_int(call(bot.token, "DELETE", NULL, "/applications/%llu/commands/%llu", U(bot.id), U(pong)), 204);
    expect_int(call(bot.token, "DELETE", NULL, "/applications/%llu/commands/%llu", U(bot.id), U(pong)), 404);
    expect_int(code(), 10063);
    expect_int(call(bot.token, "GET", NULL, "/applications/%llu/commands/%llu", U(bot.id), U(pong)), 404);
    api_stop();
}

static void tells_what_is_wrong(void)
{
    start(false);
    expect_int(call(bot.token, "POST",
                    "{\"name\":\"ping\",\"description\":\"d\",\"options\":[{\"type\":3,\"name\":\"A b\","
                    "\"description\":\"d\"}]}",
                    "/applications/%llu/commands", U(bot.id)),
               400);
    expect_int(code(), 50035);
    expect_true(strcmp(text_at("errors.options.0.name._errors.0.code"), "APPLICATION_COMMAND_INVALID_NAME") == 0);
    expect_int(call(bot.token, "PUT", "[" PING ",{\"name\":\"ping\",\"description\":\"d\"}]",
                    "/applications/%llu/commands", U(bot.id)),
               400);
    expect_true(strcmp(text_at("errors.1.name._errors.0.code"), "APPLICATION_COMMANDS_DUPLICATE_NAME") == 0);
    expect_int(call(bot.token, "PUT", PING, "/applications/%llu/commands", U(bot.id)), 400);
    expect_int(call(bot.token, "POST", PING, "/applications/4711/commands"), 404);
    expect_int(code(), 10002);
    expect_int(call(bob.token, "POST", PING, "/applications/%llu/commands", U(bot.id)), 403);
    expect_int(code(), 20012);
    expect_int(call(NULL, "GET", NULL, "/applications/%llu/commands", U(bot.id)), 401);
    /* a guild the bot is not in */
    uint64_t elsewhere = guild_new(&alice, "Elsewhere");
    expect_int(call(bot.token, "POST", PING, "/applications/%llu/guilds/%llu/commands", U(bot.id), U(elsewhere)), 403);
    expect_int(code(), 50001);
    api_stop();
}

static void replaces_all(void)
{
    start(false);
    expect_int(call(bot.token, "PUT", "[" PING ",{\"name\":\"Info\",\"type\":2},{\"name\":\"Info\",\"type\":3}]",
                    "/applications/%llu/guilds/%llu/commands", U(bot.id), U(guild)),
               200);
    expect_int((int)json_array_size(body), 3);
    uint64_t ping = id_at("0.id"), info = id_at("1.id"), version = id_at("0.version");
    expect_true(id_at("0.guild_id") == guild && info);
    /* one stays as it is, one takes another's name, one is new, one goes */
    char json[512];
    snprintf(json, sizeof json,
             "[{\"id\":\"%llu\",\"name\":\"Who\",\"type\":2}," PING ",{\"name\":\"pong\",\"description\":\"d\"}]",
             U(info));
    expect_int(call(bot.token, "PUT", json, "/applications/%llu/guilds/%llu/commands", U(bot.id), U(guild)), 200);
    expect_true(id_at("0.id") == info && id_at("1.id") == ping && id_at("1.version") == version);
    expect_true(id_at("2.id") > ping);
    expect_int(call(bot.token, "GET", NULL, "/applications/%llu/guilds/%llu/commands", U(bot.id), U(guild)), 200);
    expect_int((int)json_array_size(body), 3);
    /* the global ones are others */
    expect_int(call(bot.token, "GET", NULL, "/applications/%llu/commands", U(bot.id)), 200);
    expect_int((int)json_array_size(body), 0);
    expect_int(call(bot.token, "GET", NULL, "/applications/%llu/commands/%llu", U(bot.id), U(ping)), 404);
    expect_int(call(bot.token, "PUT", "[{\"id\":\"4711\",\"name\":\"a\",\"description\":\"d\"}]",
                    "/applications/%llu/guilds/%llu/commands", U(bot.id), U(guild)),
               404);
    expect_int(call(bot.token, "PUT", "[]", "/applications/%llu/guilds/%llu/commands", U(bot.id), U(guild)), 200);
    expect_int((int)json_array_size(body), 0);
    api_stop();
}

static void localizes(void)
{
    start(false);
    expect_int(call(bot.token, "POST",
                    "{\"name\":\"dog\",\"description\":\"d\",\"name_localizations\":{\"de\":\"hund\"},\"options\":["
                    "{\"type\":3,\"name\":\"race\",\"description\":\"d\",\"name_localizations\":{\"de\":\"rasse\"}}]}",
                    "/applications/%llu/commands", U(bot.id)),
               201);
    expect_true(strcmp(text_at("name_localizations.de"), "hund") == 0);
    expect_int(call(bot.token, "GET", NULL, "/applications/%llu/commands", U(bot.id)), 200);
    expect_true(!node_at("0.name_localizations") && !node_at("0.options.0.name_localizations"));
    expect_int(call(bot.token, "GET", NULL, "/applications/%llu/commands?with_localizations=true", U(bot.id)), 200);
    expect_true(strcmp(text_at("0.options.0.name_localizations.de"), "rasse") == 0);
    /* what is there to use in the guild: also for those who only use it */
    expect_int(call(bob.token, "GET", NULL, "/guilds/%llu/application-command-index", U(guild)), 200);
    expect_true(strcmp(text_at("application_commands.0.name"), "dog") == 0);
    expect_true(id_at("applications.0.bot_id") == bot.id);
    api_stop();
}

static void bounds_their_number(void)
{
    char json[8192];
    size_t n = 0;

    start(true);
    for (int i = 0; i < 101; i++)
        n +=
            (size_t)snprintf(json + n, sizeof json - n, "%s{\"name\":\"c%d\",\"description\":\"d\"}", i ? "," : "[", i);
    snprintf(json + n, sizeof json - n, "]");
    expect_int(call(bot.token, "PUT", json, "/applications/%llu/commands", U(bot.id)), 400);
    expect_int(code(), 30032);
    n -= strlen("{\"name\":\"c100\",\"description\":\"d\"},");
    snprintf(json + n, sizeof json - n, "]");
    expect_int(call(bot.token, "PUT", json, "/applications/%llu/guilds/%llu/commands", U(bot.id), U(guild)), 200);
    expect_int((int)json_array_size(body), 100);
    expect_int(call(bot.token, "POST", PING, "/applications/%llu/guilds/%llu/commands", U(bot.id), U(guild)), 400);
    expect_int(code(), 30032);
    /* 100 more make 200 of a day */
    expect_int(call(bot.token, "PUT", "[]", "/applications/%llu/guilds/%llu/commands", U(bot.id), U(guild)), 200);
    for (char *c = json; (c = strstr(c, "\"name\":\"c")); c++)
        c[8] = 'd';
    expect_int(call(bot.token, "PUT", json, "/applications/%llu/guilds/%llu/commands", U(bot.id), U(guild)), 200);
    expect_int(call(bot.token, "PUT", "[]", "/applications/%llu/guilds/%llu/commands", U(bot.id), U(guild)), 200);
    expect_int(call(bot.token, "POST", PING, "/applications/%llu/guilds/%llu/commands", U(bot.id), U(guild)), 429);
    expect_int(code(), 30034);
    api_stop();
}

static void keeps_permissions(void)
{
    char json[512];

    start(false);
    expect_int(call(bot.token, "POST", PING, "/applications/%llu/commands", U(bot.id)), 201);
    uint64_t ping = id_at("id");
    snprintf(json, sizeof json, "{\"permissions\":[{\"id\":\"%llu\",\"type\":2,\"permission\":false}]}", U(bob.id));
    watch(guild);
    events_clear();
#define PATH "/applications/%llu/guilds/%llu/commands/%llu/permissions"
    expect_int(call(bot.token, "PUT", json, PATH, U(bot.id), U(guild), U(ping)), 403);
    expect_int(code(), 20001);
    expect_int(call(bob.token, "PUT", json, PATH, U(bot.id), U(guild), U(ping)), 403);
    expect_int(code(), 50013);
    expect_int(call(alice.token, "PUT", json, PATH, U(bot.id), U(guild), 4711ULL), 404);
    expect_int(code(), 10063);
    expect_int(call(alice.token, "PUT", "{\"permissions\":[{\"id\":\"1\",\"type\":4,\"permission\":true}]}", PATH,
                    U(bot.id), U(guild), U(ping)),
               400);
    expect_true(strcmp(text_at("errors.permissions.0.type._errors.0.code"), "NUMBER_TYPE_MAX") == 0);
    expect_int(call(bot.token, "GET", NULL, PATH, U(bot.id), U(guild), U(ping)), 404);
    expect_int(code(), 10066);
    expect_int(call(alice.token, "PUT", json, PATH, U(bot.id), U(guild), U(ping)), 200);
    expect_true(id_at("id") == ping && id_at("permissions.0.id") == bob.id);
    json_t *told = event_at(EVENT_APPLICATION_COMMAND_PERMISSIONS_UPDATE, 0);
    expect_true(json_equal(told, body));
    expect_int(call(bot.token, "GET", NULL, PATH, U(bot.id), U(guild), U(ping)), 200);
    expect_int(call(bot.token, "GET", NULL, "/applications/%llu/guilds/%llu/commands/permissions", U(bot.id), U(guild)),
               200);
    expect_int((int)json_array_size(body), 1);
    expect_int(call(bob.token, "GET", NULL, PATH, U(bot.id), U(guild), U(ping)), 403);
    /* who may not use it, may not let others */
    uint64_t manager = role_new(&alice, guild, "{\"name\":\"m\",\"permissions\":\"268435488\"}");
    role_give(&alice, guild, &bob, manager);
    expect_int(call(bob.token, "PUT", json, PATH, U(bot.id), U(guild), U(ping)), 403);
    expect_int(code(), 50013);
    expect_int(call(alice.token, "PUT", "{\"permissions\":[]}", PATH, U(bot.id), U(guild), U(ping)), 200);
    expect_int(call(bob.token, "PUT", json, PATH, U(bot.id), U(guild), U(ping)), 200);
    /* another name, no permissions */
    expect_int(call(bot.token, "PATCH", "{\"name\":\"pong\"}", "/applications/%llu/commands/%llu", U(bot.id), U(ping)),
               200);
    expect_int(call(bot.token, "GET", NULL, PATH, U(bot.id), U(guild), U(ping)), 404);
    api_stop();
}

/* --- tokens of the owner ---------------------------------------------------------------------------------------------
 */
static char secret[64], basic[256], bearer[1100];

static void secret_new(void)
{
    char plain[128], text[192];

    expect_int(call(bob.token, "POST", NULL, "/applications/%llu/reset-secret", U(bot.id)), 404);
    expect_int(call(alice.token, "POST", NULL, "/applications/%llu/reset-secret", U(bot.id)), 200);
    snprintf(secret, sizeof secret, "%s", text_at("secret"));
    int n = snprintf(plain, sizeof plain, "%llu:%s", U(bot.id), secret);
    sodium_bin2base64(text, sizeof text, (unsigned char *)plain, (size_t)n, sodium_base64_VARIANT_ORIGINAL);
    snprintf(basic, sizeof basic, "Basic %s", text);
}

#define FORM "application/x-www-form-urlencoded"

static int token_ask(const char *as, const char *form)
{
    int r = call_raw(as, "POST", FORM, str_c(form), "/oauth2/token");

    snprintf(bearer, sizeof bearer, "Bearer %s", text_at("access_token") ? text_at("access_token") : "");
    return r;
}

static void refuses_other_clients(void)
{
    char form[256], before[256];

    expect_int(token_ask(NULL, "grant_type=client_credentials&scope=identify"), 401);
    expect_text(str_c(text_at("error")), "invalid_client");
    expect_int(token_ask(basic, "grant_type=password&scope=identify"), 400);
    expect_text(str_c(text_at("error")), "unsupported_grant_type");
    expect_int(token_ask(basic, "grant_type=client_credentials&scope=identify+nonsense"), 400);
    expect_text(str_c(text_at("error")), "invalid_scope");
    expect_int(call(basic, "POST", "{\"grant_type\":\"client_credentials\",\"scope\":\"identify\"}", "/oauth2/token"),
               400);
    snprintf(form, sizeof form, "grant_type=client_credentials&scope=identify&client_id=%llu&client_secret=%s",
             U(bot.id), secret);
    expect_int(token_ask(NULL, form), 200);
    /* a new secret, and the old one is void */
    snprintf(before, sizeof before, "%s", basic);
    secret_new();
    expect_int(token_ask(before, "grant_type=client_credentials&scope=identify"), 401);
}

static void opens_what_it_says(void)
{
    expect_int(token_ask(basic, "grant_type=client_credentials&scope=identify%20applications.commands.update"), 200);
    expect_text(str_c(text_at("token_type")), "Bearer");
    expect_text(str_c(text_at("scope")), "identify applications.commands.update");
    expect_true(int_at("expires_in") == 604800 && !node_at("refresh_token"));
    expect_int(call(bearer, "GET", NULL, "/oauth2/@me"), 200);
    expect_true(id_at("user.id") == alice.id && id_at("application.id") == bot.id);
    expect_text(str_c(text_at("scopes.1")), "applications.commands.update");
    expect_int(call(bearer, "GET", NULL, "/users/@me"), 200);
    expect_true(id_at("id") == alice.id && !node_at("email"));
    expect_int(call(bearer, "PUT", "[" PING "]", "/applications/%llu/commands", U(bot.id)), 200);
    expect_int(call(bearer, "GET", NULL, "/users/@me/guilds"), 403);
    expect_int(code(), 50026);
    expect_int(call(bearer, "GET", NULL, "/guilds/%llu", U(guild)), 401);
    expect_int(call(alice.token, "GET", NULL, "/oauth2/@me"), 401);
    /* another application of the same owner's is none of its business */
    struct person other = bot_new(&alice, "other");
    expect_int(call(bearer, "GET", NULL, "/applications/%llu/commands", U(other.id)), 403);
    expect_int(code(), 20012);
    size_t last = strlen(bearer) - 1;
    bearer[last - 1] = bearer[last - 1] == 'A' ? 'B' : 'A';
    expect_int(call(bearer, "GET", NULL, "/oauth2/@me"), 401);
}

/* Which a bot's own token cannot. */
static void changes_permissions(void)
{
    char json[256], form[1200];

    expect_int(call(bot.token, "POST", PING, "/applications/%llu/commands", U(bot.id)), 200);
    uint64_t ping = id_at("id");
    snprintf(json, sizeof json, "{\"permissions\":[{\"id\":\"%llu\",\"type\":2,\"permission\":false}]}", U(bob.id));
    expect_int(token_ask(basic, "grant_type=client_credentials&scope=applications.commands.update"), 200);
    expect_int(call(bearer, "PUT", json, PATH, U(bot.id), U(guild), U(ping)), 403);
    expect_int(code(), 50026);
    expect_int(token_ask(basic, "grant_type=client_credentials&scope=applications.commands.permissions.update"), 200);
    expect_int(call(bearer, "PUT", json, PATH, U(bot.id), U(guild), U(ping)), 200);
    expect_true(id_at("permissions.0.id") == bob.id);
    /* revoked */
    snprintf(form, sizeof form, "token=%s", bearer + 7);
    expect_int(call_raw(NULL, "POST", FORM, str_c(form), "/oauth2/token/revoke"), 401);
    expect_int(call_raw(basic, "POST", FORM, str_c(form), "/oauth2/token/revoke"), 200);
    expect_int(call(bearer, "PUT", json, PATH, U(bot.id), U(guild), U(ping)), 401);
}

static void gives_tokens_to_owners(void)
{
    start(false);
    secret_new();
    refuses_other_clients();
    opens_what_it_says();
    changes_permissions();
    api_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(makes_and_changes),   CO_TEST(tells_what_is_wrong), CO_TEST(replaces_all),          CO_TEST(localizes),
        CO_TEST(bounds_their_number), CO_TEST(keeps_permissions),   CO_TEST(gives_tokens_to_owners)};
    return cmocka_run_group_tests_name("api_commands", tests, NULL, NULL);
}
