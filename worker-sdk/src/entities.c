/* JSON objects as entities: each reader comes from the entity's list of fields. */
#include "worker-sdk/src/sdk.h"

#include "platform/base/snowflake.h"

static uint64_t read_id(json_t *v)
{
    uint64_t id = 0;
    if (json_is_integer(v))
        return (uint64_t)json_integer_value(v);
    return snowflake_parse(str_c(json_string_value(v)), &id) == 0 ? id : 0;
}

static const char *read_text(json_t *v)
{
    return json_is_string(v) ? json_string_value(v) : "";
}

static const char *text_of(struct gh_context *c, json_t *o, const char *text)
{
    if (text)
        return text;
    char *dumped = json_dumps(o, JSON_COMPACT);
    const char *kept = dumped ? arena_strdup(&c->arena, str_c(dumped)) : "{}";
    free(dumped);
    return kept;
}

#define READ_ID(name, key)     e->name = read_id(json_object_get(o, key));
#define READ_TEXT(name, key)   e->name = read_text(json_object_get(o, key));
#define READ_NUMBER(name, key) e->name = json_integer_value(json_object_get(o, key));
#define READ_FLAG(name, key)   e->name = json_is_true(json_object_get(o, key));
#define READ(FIELDS)           FIELDS(READ_ID, READ_TEXT, READ_NUMBER, READ_FLAG) e->json = text_of(c, o, text);

/* `more` reads what is nested. */
#define READER(entity, FIELDS, more)                                                                                   \
    static void fill_##entity(struct gh_context *c, json_t *o, const char *text, struct gh_##entity *e)                \
    {                                                                                                                  \
        READ(FIELDS)                                                                                                   \
        more                                                                                                           \
    }                                                                                                                  \
    struct gh_##entity *read_gh_##entity(struct gh_context *c, json_t *o, const char *text)                            \
    {                                                                                                                  \
        struct gh_##entity *e = ARENA_NEW(&c->arena, struct gh_##entity);                                              \
        fill_##entity(c, o, text, e);                                                                                  \
        return e;                                                                                                      \
    }

static void fill_emoji(json_t *o, struct gh_emoji *e)
{
    e->id = read_id(json_object_get(o, "id"));
    e->name = read_text(json_object_get(o, "name"));
}

READER(user, GH_USER_FIELDS, )
READER(member, GH_MEMBER_FIELDS, fill_user(c, json_object_get(o, "user"), NULL, &e->user);)
READER(message, GH_MESSAGE_FIELDS, fill_user(c, json_object_get(o, "author"), NULL, &e->author);)
READER(channel, GH_CHANNEL_FIELDS, )
READER(guild, GH_GUILD_FIELDS, )
READER(role, GH_ROLE_FIELDS, )
READER(reaction, GH_REACTION_FIELDS, fill_emoji(json_object_get(o, "emoji"), &e->emoji);)
READER(deletion, GH_DELETION_FIELDS, )
