/* The shape of a seed file: which members there are and what each must be, so that a misspelt name or a wrong type is
 * told with its place instead of being passed over. Pure. The shapes are one table, seed.c reads what they allow. */
#include "platform/base/snowflake.h"
#include "platform/cli/cli.h"

#include <errno.h>
#include <string.h>

enum kind { TEXT, NUMBER, TRUTH, ID, BITS, TYPE, NAMES, LIST };

struct seed_member {
    const char *name;
    enum kind kind;
    const struct seed_member *items; /* of a LIST; a table ends with a NULL name */
};

static const struct seed_member user_shape[] = {
    {"id", ID, NULL},      {"username", TEXT, NULL}, {"global_name", TEXT, NULL}, {"password", TEXT, NULL},
    {"email", TEXT, NULL}, {"token", TEXT, NULL},    {NULL, TEXT, NULL}};
static const struct seed_member bot_shape[] = {{"id", ID, NULL},
                                               {"username", TEXT, NULL},
                                               {"owner", TEXT, NULL},
                                               {"token", TEXT, NULL},
                                               {"global_name", TEXT, NULL},
                                               {"intents", NAMES, NULL},
                                               {"public", TRUTH, NULL},
                                               {"max_concurrency", NUMBER, NULL},
                                               {"session_starts", NUMBER, NULL},
                                               {"user_install", TRUTH, NULL},
                                               {NULL, TEXT, NULL}};
static const struct seed_member overwrite_shape[] = {{"role", TEXT, NULL},      {"user", TEXT, NULL},
                                                     {"everyone", TRUTH, NULL}, {"allow", BITS, NULL},
                                                     {"deny", BITS, NULL},      {NULL, TEXT, NULL}};
static const struct seed_member channel_shape[] = {{"id", ID, NULL},
                                                   {"name", TEXT, NULL},
                                                   {"type", TYPE, NULL},
                                                   {"topic", TEXT, NULL},
                                                   {"parent", TEXT, NULL},
                                                   {"nsfw", TRUTH, NULL},
                                                   {"rate_limit_per_user", NUMBER, NULL},
                                                   {"overwrites", LIST, overwrite_shape},
                                                   {NULL, TEXT, NULL}};
static const struct seed_member role_shape[] = {
    {"id", ID, NULL},       {"name", TEXT, NULL},         {"permissions", BITS, NULL}, {"color", NUMBER, NULL},
    {"hoist", TRUTH, NULL}, {"mentionable", TRUTH, NULL}, {"members", NAMES, NULL},    {NULL, TEXT, NULL}};
static const struct seed_member guild_bot_shape[] = {
    {"username", TEXT, NULL}, {"permissions", BITS, NULL}, {NULL, TEXT, NULL}};
static const struct seed_member guild_shape[] = {{"id", ID, NULL},
                                                 {"name", TEXT, NULL},
                                                 {"owner", TEXT, NULL},
                                                 {"members", NAMES, NULL},
                                                 {"bots", LIST, guild_bot_shape},
                                                 {"roles", LIST, role_shape},
                                                 {"channels", LIST, channel_shape},
                                                 {NULL, TEXT, NULL}};
static const struct seed_member file_shape[] = {
    {"users", LIST, user_shape}, {"bots", LIST, bot_shape}, {"guilds", LIST, guild_shape}, {NULL, TEXT, NULL}};

static bool type_fits(const json_t *v)
{
    switch (json_is_integer(v) ? json_integer_value(v) : -1) {
    case CHANNEL_GUILD_TEXT:
    case CHANNEL_GUILD_VOICE:
    case CHANNEL_GUILD_CATEGORY:
    case CHANNEL_GUILD_ANNOUNCEMENT:
    case CHANNEL_GUILD_STAGE_VOICE:
    case CHANNEL_GUILD_FORUM:
    case CHANNEL_GUILD_MEDIA:
        return true;
    default:
        return false;
    }
}

static bool names_fit(const json_t *v)
{
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!json_is_string(json_array_get(v, i)))
            return false;
    return json_is_array(v);
}

static bool value_fits(const json_t *v, enum kind kind, const char **ret_wanted)
{
    static const char *const wanted[] = {"a text",
                                         "a whole number",
                                         "true or false",
                                         "an id in quotes",
                                         "a number in quotes",
                                         "a guild channel's type",
                                         "a list of names",
                                         "a list"};
    struct str s = str_c(json_string_value(v));
    uint64_t n;
    *ret_wanted = wanted[kind];
    switch (kind) {
    case TEXT:
        return json_is_string(v);
    case NUMBER:
        return json_is_integer(v);
    case TRUTH:
        return json_is_boolean(v);
    case ID:
        return s.n && snowflake_parse(s, &n) == 0;
    case BITS:
        return s.n && str_to_u64(s, &n) == 0;
    case TYPE:
        return type_fits(v);
    case NAMES:
        return names_fit(v);
    case LIST:
        return json_is_array(v);
    }
    return false;
}

static const struct seed_member *member_find(const struct seed_member *shape, const char *name)
{
    for (; shape->name; shape++)
        if (strcmp(shape->name, name) == 0)
            return shape;
    return NULL;
}

static int object_check(json_t *o, const struct seed_member *shape, const char *path, struct buf *err)
{
    const char *key, *wanted;
    json_t *v;

    if (!json_is_object(o)) {
        buf_addf(err, "%s must be an object", path);
        return -EINVAL;
    }
    json_object_foreach(o, key, v)
    {
        const struct seed_member *m = member_find(shape, key);
        if (!m || !value_fits(v, m->kind, &wanted)) {
            if (m)
                buf_addf(err, "%s: `%s` must be %s", path, key, wanted);
            else
                buf_addf(err, "%s: there is no `%s`", path, key);
            return -EINVAL;
        }
        for (size_t i = 0; m->kind == LIST && i < json_array_size(v); i++) {
            char item[160];
            snprintf(item, sizeof item, "%s, %s %zu", path, key, i + 1);
            int r = object_check(json_array_get(v, i), m->items, item, err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

int seed_check(json_t *root, const char *path, struct buf *err)
{
    char top[128];
    snprintf(top, sizeof top, "seed: %s", path);
    return object_check(root, file_shape, top, err);
}
