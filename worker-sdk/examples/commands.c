/* Slash commands: typed options with autocomplete, buttons, a modal, and an answer that takes its time. Interactions
 * need no intent, but a shard. */
#include <guildhall/guildhall.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const cities[] = {"Amsterdam", "Berlin", "Bern", "Brussels", "Lisbon", "London", "Madrid", "Paris"};

static int roll(struct gh_context *c, const struct gh_interaction *i, void *arg)
{
    (void)arg;
    int64_t sides = gh_option_find(i, "sides") ? gh_option_number(i, "sides") : 6, wait_ms = 0;
    const char *key = gh_printf(c, "roll:%llu", (unsigned long long)gh_interaction_user(i)->id);
    if (gh_cooldown(c, key, 3, 10000, &wait_ms) == -EAGAIN)
        return gh_whisper(c, i, "Not so fast: again in %lld s.", (long long)(wait_ms + 999) / 1000);
    return gh_say(c, i, "You rolled **%ld** of %lld.", 1 + random() % (long)sides, (long long)sides);
}

static int weather(struct gh_context *c, const struct gh_interaction *i, void *arg)
{
    (void)arg;
    int r = gh_defer(c, i, 0); /* three seconds are over soon, now there are fifteen minutes */
    if (r)
        return r;
    gh_sleep_ms(c, 2000); /* asks somebody slow */
    const struct gh_embed sunny = {.title = gh_option_text(i, "city"), .description = "Sunny, 24 degrees"};
    return gh_answer_edit(c, i, &(struct gh_message_body){.embeds = &sunny, .embeds_count = 1}, NULL, NULL);
}

static int suggest_city(struct gh_context *c, const struct gh_interaction *i, void *arg)
{
    struct gh_command_choice found[25];
    size_t count = 0;
    (void)arg;
    const char *typed = gh_option_text(i, "city");
    for (size_t n = 0; n < sizeof cities / sizeof *cities; n++)
        if (strncasecmp(cities[n], typed, strlen(typed)) == 0)
            found[count++] = (struct gh_command_choice){.name = cities[n], .value = cities[n]};
    return gh_suggest(c, i, found, count);
}

static int feedback(struct gh_context *c, const struct gh_interaction *i, void *arg)
{
    (void)arg;
    const struct gh_component text = {.type = GH_INPUT, .custom_id = "text", .style = GH_INPUT_LONG, .max_length = 500};
    const struct gh_modal modal = {
        .custom_id = "feedback",
        .title = "Feedback",
        GH_LIST(components, struct gh_component, {.type = GH_LABEL, .label = "What is it?", .component = &text})};
    return gh_show_modal(c, i, &modal);
}

static int feedback_given(struct gh_context *c, const struct gh_interaction *i, void *arg)
{
    (void)arg;
    const struct gh_message_body answer = {
        .content = gh_printf(c, "Thank you. Send it on?\n> %s", gh_escape(c, gh_modal_text(i, "text"))),
        .flags = GH_MESSAGE_EPHEMERAL,
        GH_LIST(components, struct gh_component,
                {.type = GH_ACTION_ROW,
                 GH_LIST(components, struct gh_component,
                         {.type = GH_BUTTON, .style = GH_STYLE_SUCCESS, .label = "Yes", .custom_id = "send:yes"},
                         {.type = GH_BUTTON, .style = GH_STYLE_SECONDARY, .label = "No", .custom_id = "send:no"})})};
    return gh_respond(c, i, &answer, NULL);
}

static int send_pressed(struct gh_context *c, const struct gh_interaction *i, void *arg)
{
    (void)arg;
    bool yes = strcmp(gh_custom_rest(i), "yes") == 0;
    const struct gh_message_body after = {.content = yes ? "Sent." : "Forgotten.", GH_EMPTY(components)};
    return gh_update(c, i, &after, NULL);
}

static void declare(struct gh_bot *bot)
{
    gh_command_add(bot,
                   &(struct gh_command){.name = "roll",
                                        .description = "Roll a die",
                                        GH_LIST(options, struct gh_command_option,
                                                {.type = GH_OPTION_INTEGER,
                                                 .name = "sides",
                                                 .description = "How many sides",
                                                 .min_value = 2,
                                                 .max_value = 1000})},
                   roll, NULL);
    gh_command_add(bot,
                   &(struct gh_command){.name = "weather",
                                        .description = "The weather somewhere",
                                        GH_LIST(options, struct gh_command_option,
                                                {.type = GH_OPTION_TEXT,
                                                 .name = "city",
                                                 .description = "Where",
                                                 .required = true,
                                                 .autocomplete = true})},
                   weather, NULL);
    gh_command_add(bot, &(struct gh_command){.name = "feedback", .description = "Tell us"}, feedback, NULL);
    gh_on_autocomplete(bot, "weather", suggest_city, NULL);
    gh_on_modal(bot, "feedback", feedback_given, NULL);
    gh_on_component(bot, "send", send_pressed, NULL);
}

int main(void)
{
    struct gh_bot *bot = gh_bot_new(NULL);
    if (!bot)
        return 2;
    declare(bot);
    int status = gh_bot_run(bot);
    gh_bot_free(bot);
    return status;
}
