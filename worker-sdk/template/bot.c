/* A bot to begin with: one command and one event. */
#include <guildhall/guildhall.h>

static int hello(struct gh_context *c, const struct gh_interaction *i, void *arg)
{
    (void)arg;
    return gh_say(c, i, "Hello, %s!", gh_mention_user(c, gh_interaction_user(i)->id));
}

static int on_member(struct gh_context *c, const struct gh_member *m, void *arg)
{
    (void)arg;
    const struct gh_guild *guild = gh_cache_guild(c, m->guild_id);
    if (!guild || !guild->system_channel_id)
        return 0;
    return gh_message_send(c, guild->system_channel_id, "Welcome to %s, %s!", guild->name,
                           gh_mention_user(c, m->user.id));
}

int main(void)
{
    struct gh_bot *bot = gh_bot_new(NULL);
    if (!bot)
        return 2;
    gh_command_add(bot, &(struct gh_command){.name = "hello", .description = "Say hello"}, hello, NULL);
    gh_on_guild_member_add(bot, on_member, NULL);
    int status = gh_bot_run(bot);
    gh_bot_free(bot);
    return status;
}
