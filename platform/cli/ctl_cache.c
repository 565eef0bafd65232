/* `guildhall ctl cache`: what the bot side's cache holds. One coroutine on the loop; answers on standard output are the
 * JSON that is cached, or tables. */
#include "cache/reader.h"
#include "cache/stats.h"
#include "platform/base/settings.h"
#include "platform/cli/cli.h"
#include "platform/cli/ctl.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REDIS_WAIT_MS 5000
#define STATS_GUILDS  256
#define IDS_MAX       3

struct ask {
    struct cache cache;
    uint64_t ids[IDS_MAX];
    uint64_t guild; /* of the thread in ids */
    struct buf *out;
};

static struct {
    const struct verb *verb;
    const struct noun *noun;
    struct ask ask;
    int code;
} self;

/* --- get --- */

static int get_guild(const struct ask *a)
{
    return cache_guild(&a->cache, a->ids[0], a->out);
}

static int get_channel(const struct ask *a)
{
    return cache_channel(&a->cache, 0, a->ids[0], a->out);
}

static int get_user(const struct ask *a)
{
    return cache_user(&a->cache, a->ids[0], a->out);
}

/* Outside guilds when no guild has that channel. */
static int guild_of(const struct ask *a, uint64_t channel, uint64_t *ret)
{
    int error = cache_guild_of(&a->cache, channel, ret);

    if (error == -ENOENT)
        *ret = 0;
    return error == -ENOENT ? 0 : error;
}

static int get_message(const struct ask *a)
{
    uint64_t guild;
    int error = guild_of(a, a->ids[0], &guild);

    return error ? error : cache_message(&a->cache, guild, a->ids[0], a->ids[1], a->out);
}

static int get_messages(const struct ask *a)
{
    uint64_t guild;
    int error = guild_of(a, a->ids[0], &guild);

    return error ? error : cache_messages(&a->cache, guild, a->ids[0], 100, a->out);
}

static int get_thread_member(const struct ask *a)
{
    uint64_t guild;
    int error = guild_of(a, a->ids[0], &guild);

    return error ? error : cache_thread_member(&a->cache, guild, a->ids[0], a->ids[1], a->out);
}

/* --- list: slice by slice, printed as they come --- */

static int slice_of_entity(const struct ask *a, uint64_t *cursor);

static int slices_print(const struct ask *a, int (*slice)(const struct ask *a, uint64_t *cursor))
{
    uint64_t cursor = 0;
    bool any = false;
    int error;

    do {
        buf_clear(a->out);
        error = slice(a, &cursor);
        if (error)
            break;
        struct str elements = {a->out->data + 1, a->out->len - 2}; /* without its brackets */
        if (elements.n > 0)
            printf("%s%.*s", any ? "," : "[", STR_ARG(elements));
        any |= elements.n > 0;
    } while (cursor != 0);
    buf_clear(a->out);
    buf_adds(a->out, any ? "]" : "");
    return error ? error : any ? 0 : -ENOENT;
}

static int slice_of_thread(const struct ask *a, uint64_t *cursor)
{
    return cache_thread_members_slice(&a->cache, a->guild, a->ids[0], cursor, a->out);
}

static int list_thread_members(const struct ask *a)
{
    struct ask with_guild = *a;
    int error = guild_of(a, a->ids[0], &with_guild.guild);

    return error ? error : slices_print(&with_guild, slice_of_thread);
}

static int slice_of_guilds(const struct ask *a, uint64_t *cursor)
{
    return cache_guilds_slice(&a->cache, cursor, a->out);
}

static int list_guilds(const struct ask *a)
{
    return slices_print(a, slice_of_guilds);
}

/* get NULL: the entity's in a guild, by guild and id; list: all of the guild's. */
static const struct noun {
    const char *word;
    int ids;
    const char *ids_help;
    int (*get)(const struct ask *a);
    enum cache_entity entity;
    bool list;
} nouns[] = {
    {"guild", 1, "GUILD", get_guild, CACHE_GUILDS, false},
    {"channel", 1, "CHANNEL", get_channel, CACHE_CHANNELS, false},
    {"thread", 1, "THREAD", get_channel, CACHE_THREADS, false},
    {"member", 2, "GUILD USER", NULL, CACHE_MEMBERS, false},
    {"user", 1, "USER", get_user, CACHE_USERS, false},
    {"role", 2, "GUILD ROLE", NULL, CACHE_ROLES, false},
    {"message", 2, "CHANNEL MESSAGE", get_message, CACHE_MESSAGES, false},
    {"emoji", 2, "GUILD EMOJI", NULL, CACHE_EMOJIS, false},
    {"sticker", 2, "GUILD STICKER", NULL, CACHE_STICKERS, false},
    {"soundboard_sound", 2, "GUILD SOUND", NULL, CACHE_SOUNDS, false},
    {"presence", 2, "GUILD USER", NULL, CACHE_PRESENCES, false},
    {"voice_state", 2, "GUILD USER", NULL, CACHE_VOICE_STATES, false},
    {"stage_instance", 2, "GUILD STAGE", NULL, CACHE_STAGES, false},
    {"scheduled_event", 2, "GUILD EVENT", NULL, CACHE_EVENTS, false},
    {"thread_member", 2, "THREAD USER", get_thread_member, CACHE_THREAD_MEMBERS, false},
    {"guilds", 0, "", list_guilds, CACHE_GUILDS, true},
    {"channels", 1, "GUILD", NULL, CACHE_CHANNELS, true},
    {"threads", 1, "GUILD", NULL, CACHE_THREADS, true},
    {"members", 1, "GUILD", NULL, CACHE_MEMBERS, true},
    {"roles", 1, "GUILD", NULL, CACHE_ROLES, true},
    {"messages", 1, "CHANNEL", get_messages, CACHE_MESSAGES, true},
    {"emojis", 1, "GUILD", NULL, CACHE_EMOJIS, true},
    {"stickers", 1, "GUILD", NULL, CACHE_STICKERS, true},
    {"soundboard_sounds", 1, "GUILD", NULL, CACHE_SOUNDS, true},
    {"presences", 1, "GUILD", NULL, CACHE_PRESENCES, true},
    {"voice_states", 1, "GUILD", NULL, CACHE_VOICE_STATES, true},
    {"stage_instances", 1, "GUILD", NULL, CACHE_STAGES, true},
    {"scheduled_events", 1, "GUILD", NULL, CACHE_EVENTS, true},
    {"thread_members", 1, "THREAD", list_thread_members, CACHE_THREAD_MEMBERS, true},
};

static const struct noun *noun_find(const char *word, bool list)
{
    for (size_t i = 0; i < sizeof nouns / sizeof *nouns; i++)
        if (nouns[i].list == list && strcmp(nouns[i].word, word) == 0)
            return &nouns[i];
    return NULL;
}

static void nouns_help(bool list)
{
    fprintf(stderr, "guildhall: ctl cache %s one of\n", list ? "list" : "get");
    for (size_t i = 0; i < sizeof nouns / sizeof *nouns; i++)
        if (nouns[i].list == list)
            fprintf(stderr, "  %s %s\n", nouns[i].word, nouns[i].ids_help);
}

static int run_get(const struct ask *a)
{
    const struct noun *n = self.noun;

    if (n->get)
        return n->get(a);
    return n->list ? slices_print(a, slice_of_entity) : cache_get(&a->cache, n->entity, a->ids[0], a->ids[1], a->out);
}

static int slice_of_entity(const struct ask *a, uint64_t *cursor)
{
    return cache_list_slice(&a->cache, self.noun->entity, a->ids[0], cursor, a->out);
}

/* --- the others --- */

static int run_stats(const struct ask *a)
{
    struct cache_stats s;
    int error = cache_stats_read(&a->cache, STATS_GUILDS, &s);

    if (error)
        return error;
    buf_addf(a->out, "%-18s %12s %14s\n", "entity", "count", "bytes");
    for (unsigned e = 0; e < CACHE_ENTITY_COUNT; e++)
        buf_addf(a->out, "%-18s %12llu %14llu\n", cache_entity_name((enum cache_entity)e),
                 (unsigned long long)s.of[e].count, (unsigned long long)s.of[e].bytes);
    buf_addf(a->out, "from %llu of %llu guilds", (unsigned long long)s.sampled, (unsigned long long)s.guilds);
    return 0;
}

static int run_purge(const struct ask *a)
{
    uint64_t keys;
    int error = cache_purge_guild(&a->cache, a->ids[0], &keys);

    if (!error)
        buf_addf(a->out, "%llu keys", (unsigned long long)keys);
    return !error && keys == 0 ? -ENOENT : error;
}

static int run_marker(const struct ask *a)
{
    struct cache_marker m;
    int error = cache_marker(&a->cache, (unsigned)a->ids[0], (unsigned)a->ids[1], &m);

    if (!error)
        buf_addf(a->out, "session %s seq %llu epoch %llu", m.session, (unsigned long long)m.seq,
                 (unsigned long long)m.epoch);
    return error;
}

static const struct verb {
    const char *word;
    int (*run)(const struct ask *a);
    int ids;
    const char *words, *help;
} verbs[] = {
    {"get", run_get, -1, "ENTITY ID...", "one guild, channel, member, user, role, message, ... as JSON"},
    {"list", run_get, -1, "ENTITIES ID", "all roles, channels, members, ... of a guild; guilds; messages of a channel"},
    {"stats", run_stats, 0, "", "how many of each entity, and their bytes in Redis, from a sample of guilds"},
    {"purge", run_purge, 1, "guild GUILD", "drop every key of the guild"},
    {"marker", run_marker, 2, "SHARD COUNT", "up to which event of the shard everything is in the cache"},
};

void ctl_cache_help(void)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        char name[48];
        snprintf(name, sizeof name, "cache %s", verbs[i].word);
        fprintf(stderr, "  %-20s %s%s%s\n", name, verbs[i].words, *verbs[i].words ? ": " : "", verbs[i].help);
    }
}

/* --- what was typed --- */

static int words_read(int count, char **words)
{
    int ids = self.verb->ids;

    if (self.verb->run == run_get) {
        bool list = strcmp(self.verb->word, "list") == 0;
        self.noun = count ? noun_find(words[0], list) : NULL;
        if (!self.noun || count - 1 != self.noun->ids) {
            nouns_help(list);
            return -EINVAL;
        }
        ids = self.noun->ids;
    } else if (self.verb->run == run_purge) {
        ids = count == 2 && strcmp(words[0], "guild") == 0 ? 1 : -1;
    }
    int skip = count - ids;
    if (ids < 0 || skip != (self.noun || self.verb->run == run_purge)) {
        fprintf(stderr, "guildhall: ctl cache %s %s\n", self.verb->word, self.verb->words);
        return -EINVAL;
    }
    for (int i = 0; i < ids; i++)
        if (str_to_u64(str_c(words[skip + i]), &self.ask.ids[i]) < 0) {
            fprintf(stderr, "guildhall: ctl cache: '%s' is no id\n", words[skip + i]);
            return -EINVAL;
        }
    return 0;
}

static void run_main(void *arg)
{
    BUF_AUTO struct buf out = {0};
    int error = -EHOSTDOWN;

    (void)arg;
    for (int waits = 0; !redis_connected(self.ask.cache.redis) && waits < REDIS_WAIT_MS / 20; waits++)
        co_sleep(20);
    self.ask.out = &out;
    if (redis_connected(self.ask.cache.redis))
        error = self.verb->run(&self.ask);
    if (error == 0)
        printf("%.*s\n", STR_ARG(buf_str(&out)));
    else
        fprintf(stderr, "guildhall: %s\n", error == -ENOENT ? "not in the cache" : "--redis-url does not answer");
    self.code = error ? 1 : 0;
    loop_stop();
}

int ctl_cache_main(int word_count, char **words)
{
    BUF_AUTO struct buf err = {0};

    for (size_t i = 0; word_count && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].word, words[0]) == 0)
            self.verb = &verbs[i];
    if (!self.verb) {
        fprintf(stderr, "usage: guildhall ctl cache ...\n\n");
        ctl_cache_help();
        return 2;
    }
    if (words_read(word_count - 1, words + 1) < 0)
        return 2;
    self.ask.cache.application = ctl_application();
    if (!self.ask.cache.application)
        buf_adds(&err, "--application-id (or the bot's --token) is needed");
    else if (!*setting_str(SETTING_redis_url))
        buf_adds(&err, "--redis-url is needed");
    else
        self.ask.cache.redis = redis_new(setting_str(SETTING_redis_url), &err);
    if (!self.ask.cache.redis)
        return usage_error(&err);
    (void)co_spawn(run_main, NULL);
    loop_run();
    redis_free(self.ask.cache.redis);
    return self.code;
}
