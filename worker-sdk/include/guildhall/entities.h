/* Entities as a worker sees them: one struct for each GH_ENTITY of entities.def, named gh_<entity>. What is absent or
 * null reads as 0, "", false, NULL or an empty list; the whole object is in `json` (json.h), so that whatever the table
 * has not is reachable. All pointers belong to the context that read them and end with it.
 *
 * The same structs go the other way (message bodies, embeds, components, commands): members left 0, "", false or NULL
 * are not written, and where `json` is set to an object its members are added, a null or a false among them. */
#ifndef GUILDHALL_ENTITIES_H
#define GUILDHALL_ENTITIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gh_json;

#define GH_ENTITY(e) struct gh_##e;
#include <guildhall/entities.def>

#define GH_ENTITY(e)       struct gh_##e {
#define GH_ID(x)           uint64_t x;
#define GH_TEXT(x)         const char *x;
#define GH_NUMBER(x)       int64_t x;
#define GH_KEEP(x)         int64_t x;
#define GH_REAL(x)         double x;
#define GH_FLAG(x)         bool x;
#define GH_FLAG_AS(x, key) bool x;
#define GH_HAS(x, e)       struct gh_##e x;
#define GH_REF(x, e)       const struct gh_##e *x;
#define GH_LIST_OF(x, e)                                                                                               \
    const struct gh_##e *x;                                                                                            \
    size_t x##_count;
#define GH_IDS(x)                                                                                                      \
    const uint64_t *x;                                                                                                 \
    size_t x##_count;
#define GH_TEXTS(x)                                                                                                    \
    const char *const *x;                                                                                              \
    size_t x##_count;
#define GH_NUMBERS(x)                                                                                                  \
    const int64_t *x;                                                                                                  \
    size_t x##_count;
#define GH_MAP_OF(x, e) GH_LIST_OF(x, e)
#define GH_PRESENT(x)   bool x;
#define GH_RAW(x)       const struct gh_json *x;
#define GH_END(e)                                                                                                      \
    const struct gh_json *json;                                                                                        \
    }                                                                                                                  \
    ;
#include <guildhall/entities.def>

/* A list member in an initializer: GH_LIST(embeds, struct gh_embed, {.title = "a"}, {.title = "b"}), or of texts
 * GH_LIST(parse, char *const, "users"). GH_EMPTY(embeds) is written as [], which takes away what was
 * there. Both live as long as the block they stand in. */
#define GH_LIST(member, type, ...)                                                                                     \
    .member = (const type[]){__VA_ARGS__}, .member##_count = sizeof((const type[]){__VA_ARGS__}) / sizeof(type)
#define GH_EMPTY(member) .member = (const void *)"", .member##_count = 0

/* Values of `type` and their like. Source: Discord API documentation, "Channel", "Gateway Events: Activity Object",
 * "Application". */
enum {
    GH_CHANNEL_TEXT,
    GH_CHANNEL_DM,
    GH_CHANNEL_VOICE,
    GH_CHANNEL_GROUP_DM,
    GH_CHANNEL_CATEGORY,
    GH_CHANNEL_NEWS,
    GH_CHANNEL_NEWS_THREAD = 10,
    GH_CHANNEL_PUBLIC_THREAD,
    GH_CHANNEL_PRIVATE_THREAD,
    GH_CHANNEL_STAGE,
    GH_CHANNEL_DIRECTORY,
    GH_CHANNEL_FORUM,
    GH_CHANNEL_MEDIA
};
enum { GH_OVERWRITE_ROLE, GH_OVERWRITE_MEMBER };
enum {
    GH_ACTIVITY_PLAYING,
    GH_ACTIVITY_STREAMING,
    GH_ACTIVITY_LISTENING,
    GH_ACTIVITY_WATCHING,
    GH_ACTIVITY_CUSTOM,
    GH_ACTIVITY_COMPETING
};
enum { GH_INSTALL_GUILD, GH_INSTALL_USER };                  /* integration_types */
enum { GH_CONTEXT_GUILD, GH_CONTEXT_BOT_DM, GH_CONTEXT_DM }; /* contexts */

#endif
