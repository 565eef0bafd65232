/* Which handler gets an interaction: commands by path, components and modals by the longest prefix of their custom_id;
 * and the registration of the commands. Loop thread. */
#include "worker-sdk/src/interactions.h"

#include "worker-sdk/src/rest.h"

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/settings.h"
#include "platform/io/co.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

struct way {
    struct list link;
    int64_t type; /* GH_INTERACTION_... */
    char *name;   /* path or prefix */
    gh_interaction_fn fn;
    void *arg;
};

struct scope {
    struct list link;
    uint64_t guild_id; /* 0: global */
    json_t *commands;
};

struct router {
    struct list ways, scopes;
};

struct router *router_new(void)
{
    struct router *r = MEM_NEW(struct router);
    list_init(&r->ways);
    list_init(&r->scopes);
    return r;
}

void router_free(struct router *r)
{
    LIST_FOREACH_SAFE(it, &r->ways)
    {
        struct way *w = LIST_ENTRY(it, struct way, link);
        mem_free(w->name);
        mem_free(w);
    }
    LIST_FOREACH_SAFE(it, &r->scopes)
    {
        struct scope *s = LIST_ENTRY(it, struct scope, link);
        json_decref(s->commands);
        mem_free(s);
    }
    mem_free(r);
}

/* --- handlers --- */

static struct way *way_find(struct router *r, int64_t type, const char *name)
{
    LIST_FOREACH(it, &r->ways)
    {
        struct way *w = LIST_ENTRY(it, struct way, link);
        if (w->type == type && strcmp(w->name, name) == 0)
            return w;
    }
    return NULL;
}

static void way_set(struct gh_bot *bot, int64_t type, const char *name, gh_interaction_fn fn, void *arg)
{
    struct way *w = way_find(bot->router, type, name);
    if (!w) {
        w = MEM_NEW(struct way);
        w->type = type;
        w->name = mem_strdup(name);
        list_append(&bot->router->ways, &w->link);
    }
    w->fn = fn;
    w->arg = arg;
}

void gh_on_command(struct gh_bot *bot, const char *path, gh_interaction_fn fn, void *arg)
{
    way_set(bot, GH_INTERACTION_COMMAND, path, fn, arg);
}

void gh_on_autocomplete(struct gh_bot *bot, const char *path, gh_interaction_fn fn, void *arg)
{
    way_set(bot, GH_INTERACTION_AUTOCOMPLETE, path, fn, arg);
}

void gh_on_component(struct gh_bot *bot, const char *prefix, gh_interaction_fn fn, void *arg)
{
    way_set(bot, GH_INTERACTION_COMPONENT, prefix, fn, arg);
}

void gh_on_modal(struct gh_bot *bot, const char *prefix, gh_interaction_fn fn, void *arg)
{
    way_set(bot, GH_INTERACTION_MODAL, prefix, fn, arg);
}

static bool begins(const char *text, const char *prefix, char end)
{
    size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 && (text[n] == '\0' || text[n] == end);
}

int router_run(struct router *r, struct gh_context *c, const struct gh_interaction *i)
{
    bool command = i->type == GH_INTERACTION_COMMAND || i->type == GH_INTERACTION_AUTOCOMPLETE;
    const char *name = command ? gh_command_path(c, i) : i->data.custom_id;
    const struct way *best = NULL;
    LIST_FOREACH(it, &r->ways)
    {
        const struct way *w = LIST_ENTRY(it, struct way, link);
        if (w->type == i->type && begins(name, w->name, command ? ' ' : ':') &&
            (!best || strlen(w->name) > strlen(best->name)))
            best = w;
    }
    return best ? best->fn(c, i, best->arg) : 0;
}

/* --- commands --- */

static json_t *option_write(const struct gh_command_option *option)
{
    json_t *o = entity_write(ENTITY_command_option, option);
    if (option->choices_count) {
        json_t *all = json_array();
        for (size_t i = 0; i < option->choices_count; i++)
            json_array_append_new(all, choice_write(&option->choices[i], option->type));
        json_object_set_new(o, "choices", all);
    }
    if (option->type == GH_OPTION_INTEGER && option->min_value != 0)
        json_object_set_new(o, "min_value", json_integer((json_int_t)option->min_value));
    if (option->type == GH_OPTION_INTEGER && option->max_value != 0)
        json_object_set_new(o, "max_value", json_integer((json_int_t)option->max_value));
    if (option->options_count) {
        json_t *all = json_array();
        for (size_t i = 0; i < option->options_count; i++)
            json_array_append_new(all, option_write(&option->options[i]));
        json_object_set_new(o, "options", all);
    }
    return o;
}

json_t *command_write(const struct gh_command *command)
{
    struct gh_command own = *command;
    own.guild_id = 0; /* it is in the path */
    json_t *o = entity_write(ENTITY_command, &own);
    if (command->options_count) {
        json_t *all = json_array();
        for (size_t i = 0; i < command->options_count; i++)
            json_array_append_new(all, option_write(&command->options[i]));
        json_object_set_new(o, "options", all);
    }
    return o;
}

static struct scope *scope_of(struct router *r, uint64_t guild_id)
{
    LIST_FOREACH(it, &r->scopes)
    {
        struct scope *s = LIST_ENTRY(it, struct scope, link);
        if (s->guild_id == guild_id)
            return s;
    }
    struct scope *s = MEM_NEW(struct scope);
    s->guild_id = guild_id;
    s->commands = json_array();
    list_append(&r->scopes, &s->link);
    return s;
}

void gh_command_add(struct gh_bot *bot, const struct gh_command *command, gh_interaction_fn fn, void *arg)
{
    json_array_append_new(scope_of(bot->router, command->guild_id)->commands, command_write(command));
    if (fn)
        gh_on_command(bot, command->name, fn, arg);
}

/* --- registration --- */

static void hash_hex(const char *text, char out[33])
{
    unsigned char hash[16];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)text, strlen(text), NULL, 0);
    sodium_bin2hex(out, 33, hash, sizeof hash);
}

static bool registered(struct gh_bot *bot, const char *key, const char *field, const char *hash)
{
    struct redis_reply *r;
    if (redis_await(bot->redis, 3, (struct str[]){STR("HGET"), str_c(key), str_c(field)}, &r) != 0)
        return false;
    bool same = str_eq(redis_reply_str(r), str_c(hash));
    redis_reply_free(r);
    return same;
}

static int scope_put(struct gh_bot *bot, const struct scope *s)
{
    struct gh_context c = {.bot = bot};
    const struct gh_json *commands = (const struct gh_json *)s->commands;
    int error = s->guild_id ? gh_bulk_overwrite_guild_application_commands(&c, bot->application_id, s->guild_id,
                                                                           commands, NULL, NULL, NULL)
                            : gh_bulk_overwrite_global_application_commands(&c, bot->application_id, commands, NULL,
                                                                            NULL, NULL);
    if (error)
        LOG_ERROR("commands not registered", "guild=%llu error=%d code=%d message=\"%s\"",
                  (unsigned long long)s->guild_id, error, c.error.code, c.error.message ? c.error.message : "");
    context_done(&c);
    return error;
}

/* 0: registered, or so before. */
static int scope_register(struct gh_bot *bot, const struct scope *s, bool always)
{
    char key[64], field[24], hash[33];
    struct redis_reply *r;
    char *text = json_dumps(s->commands, JSON_COMPACT | JSON_SORT_KEYS);
    snprintf(key, sizeof key, "gh:%llu:commands", (unsigned long long)bot->application_id);
    snprintf(field, sizeof field, "%llu", (unsigned long long)s->guild_id);
    hash_hex(text, hash);
    free(text);
    if (!always && registered(bot, key, field, hash))
        return 0;
    int error = scope_put(bot, s);
    if (error)
        return error;
    LOG_INFO("commands registered", "guild=%s count=%zu", field, json_array_size(s->commands));
    struct str words[] = {STR("HSET"), str_c(key), str_c(field), str_c(hash)};
    if (redis_await(bot->redis, 4, words, &r) == 0)
        redis_reply_free(r);
    return 0;
}

void commands_register(struct gh_bot *bot)
{
    const char *when = setting_str(SETTING_register_commands);
    if (strcmp(when, "never") == 0)
        return;
    LIST_FOREACH(it, &bot->router->scopes)
    {
        const struct scope *s = LIST_ENTRY(it, struct scope, link);
        int64_t pause_ms = 500;
        while (!bot->stopping && scope_register(bot, s, strcmp(when, "always") == 0) != 0) {
            for (int64_t slept = 0; slept < pause_ms && !bot->stopping; slept += 250)
                co_sleep(250);
            pause_ms = pause_ms < 30000 ? pause_ms * 2 : pause_ms;
        }
    }
}
