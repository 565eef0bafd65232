/* Reaction roles: who reacts to MESSAGE_ID with an emoji gets the role beside it, and loses it with the reaction.
 * ROLES=emoji=role id,emoji=role id,... (emoji: Unicode, or name:id). The bot puts the reactions there itself.
 * The shards need GUILD_MESSAGE_REACTIONS (--intents 1024), the bot MANAGE_ROLES and a higher role. */
#include <guildhall/guildhall.h>

#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX 20

static struct {
    char *emoji;
    uint64_t role;
} pairs[PAIRS_MAX];
static size_t pair_count;
static char *pair_text; /* what the emoji point into */
static uint64_t message_id, channel_id;

static uint64_t role_of(struct gh_context *c, const struct gh_emoji *emoji)
{
    const char *text = gh_emoji_reaction(c, emoji);
    for (size_t i = 0; i < pair_count; i++)
        if (strcmp(pairs[i].emoji, text) == 0)
            return pairs[i].role;
    return 0;
}

/* A role that is gone, or a member who left, is nobody's failure. */
static int forgiving(struct gh_context *c, int r)
{
    int code = gh_last_error(c)->code;
    return r && (code == GH_CODE_UNKNOWN_MEMBER || code == GH_CODE_UNKNOWN_ROLE) ? 0 : r;
}

static int on_add(struct gh_context *c, const struct gh_reaction *r, void *arg)
{
    (void)arg;
    uint64_t role = r->message_id == message_id ? role_of(c, &r->emoji) : 0;
    if (!role || r->user_id == gh_bot_user_id(gh_context_bot(c)))
        return 0;
    return forgiving(
        c, gh_add_guild_member_role(c, r->guild_id, r->user_id, role, &(struct gh_call){.reason = "reaction role"}));
}

static int on_remove(struct gh_context *c, const struct gh_reaction *r, void *arg)
{
    (void)arg;
    uint64_t role = r->message_id == message_id ? role_of(c, &r->emoji) : 0;
    return role ? forgiving(c, gh_remove_guild_member_role(c, r->guild_id, r->user_id, role, NULL)) : 0;
}

static int put_reactions(struct gh_context *c, void *arg)
{
    int r = 0;
    (void)arg;
    for (size_t i = 0; r == 0 && i < pair_count; i++)
        r = gh_reaction_add(c, channel_id, message_id, pairs[i].emoji);
    return r;
}

static int pairs_read(const char *text)
{
    char *save = NULL;
    pair_text = text ? strdup(text) : NULL;
    for (char *one = pair_text ? strtok_r(pair_text, ",", &save) : NULL; one; one = strtok_r(NULL, ",", &save)) {
        char *equals = strrchr(one, '=');
        if (!equals || pair_count == PAIRS_MAX)
            return -1;
        *equals = '\0';
        pairs[pair_count].emoji = one;
        pairs[pair_count++].role = strtoull(equals + 1, NULL, 10);
    }
    return pair_count ? 0 : -1;
}

int main(void)
{
    const char *message = getenv("MESSAGE_ID"), *channel = getenv("CHANNEL_ID");
    if (!message || !channel || pairs_read(getenv("ROLES")) < 0) {
        gh_log(GH_LOG_ERROR, "settings", "why=\"MESSAGE_ID, CHANNEL_ID and ROLES=emoji=role,... are needed\"");
        return 2;
    }
    message_id = strtoull(message, NULL, 10);
    channel_id = strtoull(channel, NULL, 10);
    struct gh_bot *bot = gh_bot_new(NULL);
    if (!bot)
        return 2;
    gh_on_message_reaction_add(bot, on_add, NULL);
    gh_on_message_reaction_remove(bot, on_remove, NULL);
    gh_task(bot, put_reactions, NULL);
    int status = gh_bot_run(bot);
    gh_bot_free(bot);
    return status;
}
