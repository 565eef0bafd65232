/* Answers !ping with pong and the channel's name from the cache. Settings come from the environment: DISCORD_TOKEN,
 * AMQP_URL, REDIS_URL, PROXY_URL. Start it as often as you like. The shards need GUILDS, GUILD_MESSAGES and
 * MESSAGE_CONTENT: --intents 33281. */
#include <guildhall/guildhall.h>

#include <string.h>

static int on_message(struct gh_context *c, const struct gh_message *m, void *arg)
{
    (void)arg;
    if (m->author.bot || strcmp(m->content, "!ping") != 0)
        return 0;
    const struct gh_channel *channel = gh_cache_channel(c, m->guild_id, m->channel_id);
    return gh_message_reply(c, m, "pong in #%s", channel ? channel->name : "?");
}

int main(void)
{
    struct gh_bot *bot = gh_bot_new(NULL);
    if (!bot)
        return 2;
    gh_on_message_create(bot, on_message, NULL);
    int status = gh_bot_run(bot);
    gh_bot_free(bot);
    return status;
}
