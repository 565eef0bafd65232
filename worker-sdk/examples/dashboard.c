/* A dashboard without events or gateway: it reads the cache that the shards keep, prints a guild once, and ends.
 * GUILD_ID=... dashboard. It needs REDIS_URL and DISCORD_TOKEN (for the application's id; nothing is sent), and a
 * shard that keeps the cache: with GUILDS, --intents 1, guilds, channels and roles are there. */
#include <guildhall/guildhall.h>

#include <stdio.h>
#include <stdlib.h>

static const char *kind(int64_t type)
{
    return type == GH_CHANNEL_TEXT       ? "#"
           : type == GH_CHANNEL_VOICE    ? "voice "
           : type == GH_CHANNEL_CATEGORY ? "category "
           : type == GH_CHANNEL_NEWS     ? "news "
                                         : "other ";
}

static int by_position(const void *a, const void *b)
{
    const struct gh_channel *x = a, *y = b;
    return (x->position > y->position) - (x->position < y->position);
}

static void print_channels(struct gh_context *c, uint64_t guild_id)
{
    size_t count = 0;
    const struct gh_channel *all = gh_cache_channels(c, guild_id, &count);
    struct gh_channel *sorted = count ? malloc(count * sizeof *sorted) : NULL;
    for (size_t i = 0; sorted && i < count; i++)
        sorted[i] = all[i];
    if (sorted)
        qsort(sorted, count, sizeof *sorted, by_position);
    printf("channels: %zu\n", count);
    for (size_t i = 0; sorted && i < count; i++)
        printf("  %s%s\n", kind(sorted[i].type), sorted[i].name);
    free(sorted);
}

static void print_roles(struct gh_context *c, uint64_t guild_id)
{
    size_t count = 0;
    const struct gh_role *all = gh_cache_roles(c, guild_id, &count);
    printf("roles: %zu\n", count);
    for (size_t i = 0; i < count; i++)
        printf("  %s: %s\n", all[i].name, gh_permissions_text(c, all[i].permissions));
}

static int print_guild(struct gh_context *c, void *arg)
{
    uint64_t guild_id = *(const uint64_t *)arg;
    const struct gh_guild *g = gh_cache_guild(c, guild_id);
    if (!g) {
        printf("guild %llu is not in the cache\n", (unsigned long long)guild_id);
        return 1;
    }
    printf("guild: %s, %lld members, made %s\n", g->name, (long long)g->member_count,
           gh_iso_time(c, gh_id_time_ms(guild_id)));
    print_channels(c, guild_id);
    print_roles(c, guild_id);
    return 0;
}

int main(void)
{
    const char *id = getenv("GUILD_ID");
    uint64_t guild_id = id ? strtoull(id, NULL, 10) : 0;
    struct gh_bot *bot = gh_bot_new(&(struct gh_options){.no_events = true});
    if (!bot)
        return 2;
    int status = gh_bot_once(bot, print_guild, &guild_id);
    gh_bot_free(bot);
    return status;
}
