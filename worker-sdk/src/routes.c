/* The typed calls: each from its line of routes.def. Coroutine. */
#include "worker-sdk/src/rest.h"

enum answer { NONE, ONE, MANY, JSON };

struct word {
    uint64_t id;
    const char *text; /* NULL: the id */
};

struct route {
    const char *method, *path;
    enum answer answer;
    enum entity entity;
    enum rest_form form;
    bool message; /* takes a nonce */
};

static void path_make(struct buf *b, const char *path, const struct word *words)
{
    for (; *path; path++) {
        if (*path != '{') {
            buf_addc(b, *path);
            continue;
        }
        if (words->text)
            rest_percent_encode(b, words->text);
        else
            buf_addf(b, "%llu", (unsigned long long)words->id);
        words++;
        path++; /* the closing brace */
    }
}

static void answer_read(struct gh_context *c, const struct route *r, const struct gh_response *a, const void **ret,
                        size_t *ret_count)
{
    json_t *o = (json_t *)(uintptr_t)a->json;
    if (r->answer == JSON)
        *ret = o;
    else if (r->answer == ONE)
        *ret = entity_read(c, r->entity, o);
    else if (r->answer == MANY)
        *ret = entity_read_list(c, r->entity, o, ret_count);
}

/* body: given up. */
static int run(struct gh_context *c, const struct route *r, const struct word *words, json_t *body,
               const struct gh_call *call, const void **ret, size_t *ret_count)
{
    BUF_AUTO struct buf path = {0}, bytes = {0};
    struct gh_call own = call ? *call : (struct gh_call){0};
    struct rest_body b;
    struct gh_response answer;
    size_t count;
    if (body)
        context_keep(c, body);
    if (r->message) {
        message_nonce_add(c, body);
        own.repeatable = true;
    }
    path_make(&path, r->path, words);
    rest_body_make(c, body, &own, r->form, &bytes, &b);
    int error = rest_call(c, r->method, path.data, &b, &own, &answer);
    if (error == 0 && ret)
        answer_read(c, r, &answer, ret, ret_count ? ret_count : &count);
    return error;
}

#define WORDS_X()                                                                                                      \
    {                                                                                                                  \
        0                                                                                                              \
    }
#define WORDS_I(i)                                                                                                     \
    {                                                                                                                  \
        .id = i                                                                                                        \
    }
#define WORDS_T(t)                                                                                                     \
    {                                                                                                                  \
        .text = t                                                                                                      \
    }
#define WORDS_II(i, j)                                                                                                 \
    {.id = i},                                                                                                         \
    {                                                                                                                  \
        .id = j                                                                                                        \
    }
#define WORDS_III(i, j, k)                                                                                             \
    {.id = i}, {.id = j},                                                                                              \
    {                                                                                                                  \
        .id = k                                                                                                        \
    }
#define WORDS_IT(i, t)                                                                                                 \
    {.id = i},                                                                                                         \
    {                                                                                                                  \
        .text = t                                                                                                      \
    }
#define WORDS_ITI(i, t, j)                                                                                             \
    {.id = i}, {.text = t},                                                                                            \
    {                                                                                                                  \
        .id = j                                                                                                        \
    }
#define WORDS_IIT(i, j, t)                                                                                             \
    {.id = i}, {.id = j},                                                                                              \
    {                                                                                                                  \
        .text = t                                                                                                      \
    }
#define WORDS_IITI(i, j, t, k)                                                                                         \
    {.id = i}, {.id = j}, {.text = t},                                                                                 \
    {                                                                                                                  \
        .id = k                                                                                                        \
    }

#define BODY_NONE(e)     NULL
#define BODY_OF(e)       (body ? entity_write(ENTITY_##e, body) : json_object())
#define BODY_JSON(e)     (body ? json_incref((json_t *)(uintptr_t)body) : json_object())

#define RET_NONE         NULL, NULL
#define RET_ONE          (const void **)ret, NULL
#define RET_MANY         (const void **)ret, ret_count
#define RET_JSON         (const void **)ret, NULL

#define IS_STICKER(name) (__builtin_strcmp(#name, "create_guild_sticker") == 0 ? REST_FIELDS : REST_PAYLOAD)
#define IS_MESSAGE(name) (__builtin_strcmp(#name, "create_message") == 0)

#define GH_ROUTE(name, method_, path_, kinds, parameters, body_, body_entity, answer_, entity_)                        \
    int gh_##name(GH_PATH_##kinds parameters,                                                                          \
                  GH_BODY_##body_(body_entity) const struct gh_call *call GH_ANSWER_##answer_(entity_))                \
    {                                                                                                                  \
        static const struct route route = {                                                                            \
            .method = method_, .path = path_, .answer = answer_, .entity = ENTITY_##entity_};                          \
        struct route own = route;                                                                                      \
        own.form = IS_STICKER(name);                                                                                   \
        own.message = IS_MESSAGE(name);                                                                                \
        const struct word words[] = {WORDS_##kinds parameters};                                                        \
        return run(c, &own, words, BODY_##body_(body_entity), call, RET_##answer_);                                    \
    }
#include <guildhall/routes.def>
