/* Moderation: commands that only moderators see, the hierarchy checked from the cache, reasons in the audit log, and a
 * notice to a log channel for every ban, whoever made it. LOG_CHANNEL names that channel. The shards need GUILDS and
 * GUILD_MODERATION (--intents 5; with GUILD_MEMBERS, 7, everybody's permissions are known), the bot the rights. */
#include <guildhall/guildhall.h>

#include <stdlib.h>
#include <string.h>

static uint64_t log_channel;

/* NULL: the bot may do it. */
static const char *why_not(struct gh_context *c, const struct gh_interaction *i, uint64_t target, uint64_t permission)
{
    uint64_t mine = 0, theirs = 0;
    if (target == gh_bot_user_id(gh_context_bot(c)))
        return "I would rather not.";
    if (gh_permissions_of(c, i->guild_id, 0, gh_bot_user_id(gh_context_bot(c)), &mine) == 0 && !(mine & permission))
        return gh_printf(c, "I lack %s.", gh_permissions_text(c, permission));
    if (gh_permissions_of(c, i->guild_id, 0, target, &theirs) == 0 && theirs & GH_PERMISSION(ADMINISTRATOR))
        return "That is an administrator.";
    return NULL;
}

static const char *reason_of(struct gh_context *c, const struct gh_interaction *i)
{
    const char *reason = gh_option_text(i, "reason");
    return gh_printf(c, "%s (%s)", *reason ? reason : "no reason given", gh_interaction_user(i)->username);
}

static int done(struct gh_context *c, const struct gh_interaction *i, int r, const char *what)
{
    const struct gh_error *e = gh_last_error(c);
    if (r == 0)
        return gh_whisper(c, i, "%s.", what);
    return gh_whisper(c, i, "That failed: %s", e->code == GH_CODE_UNKNOWN_MEMBER ? "no such member" : e->message);
}

static int ban(struct gh_context *c, const struct gh_interaction *i, void *arg)
{
    (void)arg;
    uint64_t target = gh_option_id(i, "user");
    const char *no = why_not(c, i, target, GH_PERMISSION(BAN_MEMBERS));
    if (no)
        return gh_whisper(c, i, "%s", no);
    const struct gh_json *body =
        gh_json_set_number(gh_json_object(c), "delete_message_seconds", gh_option_number(i, "days") * 86400);
    int r = gh_create_guild_ban(c, i->guild_id, target, body, &(struct gh_call){.reason = reason_of(c, i)});
    return done(c, i, r, "Banned");
}

static int mute(struct gh_context *c, const struct gh_interaction *i, void *arg)
{
    (void)arg;
    uint64_t target = gh_option_id(i, "user");
    const char *no = why_not(c, i, target, GH_PERMISSION(MODERATE_MEMBERS));
    if (no)
        return gh_whisper(c, i, "%s", no);
    int64_t until_ms = gh_id_time_ms(i->id) + gh_option_number(i, "minutes") * 60000;
    const struct gh_json *body =
        gh_json_set_text(gh_json_object(c), "communication_disabled_until", gh_iso_time(c, until_ms));
    int r = gh_modify_guild_member(c, i->guild_id, target, body, &(struct gh_call){.reason = reason_of(c, i)}, NULL);
    return done(c, i, r, gh_printf(c, "Muted until %s", gh_timestamp(c, until_ms / 1000, 't')));
}

static int on_ban(struct gh_context *c, const struct gh_ban *b, void *arg)
{
    (void)arg;
    if (!log_channel)
        return 0;
    const struct gh_message_body notice = {
        .content = gh_printf(c, "%s (%s) was banned.", gh_mention_user(c, b->user.id), gh_escape(c, b->user.username)),
        .allowed_mentions = &(struct gh_allowed_mentions){GH_EMPTY(parse)}};
    return gh_create_message(c, log_channel, &notice, NULL, NULL);
}

#define WHO                                                                                                            \
    {                                                                                                                  \
        .type = GH_OPTION_USER, .name = "user", .description = "Who", .required = true                                 \
    }
#define REASON                                                                                                         \
    {                                                                                                                  \
        .type = GH_OPTION_TEXT, .name = "reason", .description = "Why", .max_length = 200                              \
    }

int main(void)
{
    struct gh_bot *bot = gh_bot_new(NULL);
    const char *channel = getenv("LOG_CHANNEL");
    if (!bot)
        return 2;
    log_channel = channel ? strtoull(channel, NULL, 10) : 0;
    gh_command_add(bot,
                   &(struct gh_command){.name = "ban",
                                        .description = "Ban somebody",
                                        .default_member_permissions = GH_PERMISSION(BAN_MEMBERS),
                                        GH_LIST(options, struct gh_command_option, WHO, REASON,
                                                {.type = GH_OPTION_INTEGER,
                                                 .name = "days",
                                                 .description = "Delete messages of so many days",
                                                 .max_value = 7})},
                   ban, NULL);
    gh_command_add(bot,
                   &(struct gh_command){.name = "mute",
                                        .description = "Let somebody be quiet for a while",
                                        .default_member_permissions = GH_PERMISSION(MODERATE_MEMBERS),
                                        GH_LIST(options, struct gh_command_option, WHO,
                                                {.type = GH_OPTION_INTEGER,
                                                 .name = "minutes",
                                                 .description = "For how long",
                                                 .required = true,
                                                 .min_value = 1,
                                                 .max_value = 40320},
                                                REASON)},
                   mute, NULL);
    gh_on_guild_ban_add(bot, on_ban, NULL);
    int status = gh_bot_run(bot);
    gh_bot_free(bot);
    return status;
}
