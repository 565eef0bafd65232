/* A person uses applications from the terminal: `/roll sides:8`, `:1` for the button numbered 1, `:2 red blue` for a
 * select, and a line for each field of a modal. What Discord's client would send goes to POST /interactions; the API
 * checks it, and its errors are printed. Loop thread; the newest SHOWN_MAX components can be used. */
#include "platform/api/interactions/interactions.h"
#include "platform/api/messages/components.h"
#include "platform/base/mem.h"
#include "platform/cli/ctl_chat.h"
#include "platform/io/co.h"
#include "platform/model/command.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 256
#define WORDS_MAX 3 /* command, subcommand group, subcommand */

static struct {
    struct shown {
        char message[24], application[24], custom_id[404];
        int type, flags;
    } shown[SHOWN_MAX];
    unsigned shown_count; /* ever; number n is in shown[n % SHOWN_MAX] */
    json_t *modal;        /* being filled in */
    json_t *fields;       /* of it: what each line fills, references into modal */
    size_t filled;
} use;

/* --- sending ---------------------------------------------------------------------------------------------------------
 */

/* Takes data. application and message may be "". */
static void interact(int type, const char *application, const char *message, int flags, json_t *data)
{
    json_t *body =
        json_pack("{si ss ss ss ss so}", "type", type, "application_id", application, "guild_id", chat_place.guild,
                  "channel_id", chat_place.channel, "session_id", chat_place.session, "data", data);

    if (*message) {
        json_object_set_new(body, "message_id", json_string(message));
        json_object_set_new(body, "message_flags", json_integer(flags));
    }
    json_decref(chat_ask("POST", "interactions", body));
}

static int type_of(json_t *o)
{
    return (int)json_integer_value(json_object_get(o, "type"));
}

/* --- commands --- */

/* type 0: any. */
static json_t *named(json_t *list, int type, const char *name, size_t n)
{
    json_t *o;
    size_t i;

    json_array_foreach(list, i, o)
    {
        const char *is = chat_text(o, "name");
        if ((!type || type_of(o) == type) && strlen(is) == n && memcmp(is, name, n) == 0)
            return o;
    }
    return NULL;
}

/* "<@5>", "<@&5>", "<#5>" and "5" are the same id. */
static json_t *id_of(const char *s, size_t n)
{
    size_t from = strcspn(s, "0123456789");

    return from < n ? json_stringn(s + from, strspn(s + from, "0123456789")) : json_stringn(s, n);
}

static json_t *value_of(int type, const char *s, size_t n)
{
    switch (type) {
    case OPTION_INTEGER:
        return json_integer(strtoll(s, NULL, 10));
    case OPTION_NUMBER:
        return json_real(strtod(s, NULL));
    case OPTION_BOOLEAN:
        return json_boolean(n > 0 && strchr("tTyY1", *s));
    case OPTION_SUB_COMMAND:
    case OPTION_SUB_COMMAND_GROUP:
    case OPTION_STRING:
        return json_stringn(s, n);
    default:
        return id_of(s, n);
    }
}

/* The option that s begins to give ("sides:"), if one of the list is so called. */
static json_t *option_at(json_t *options, const char *s)
{
    size_t n = strcspn(s, ": ");

    return s[n] == ':' ? named(options, 0, s, n) : NULL;
}

static void option_add(json_t *given, json_t *option, const char *s, const char *end)
{
    while (end > s && end[-1] == ' ')
        end--;
    while (s < end && *s == ' ')
        s++;
    if (option && (end > s || json_is_true(json_object_get(option, "required"))))
        json_array_append_new(given, json_pack("{si ss so}", "type", type_of(option), "name", chat_text(option, "name"),
                                               "value", value_of(type_of(option), s, (size_t)(end - s))));
}

/* "sides:8 reason:it is due" by the options' names; what comes before the first name is the first option's. */
static json_t *options_read(json_t *options, const char *s)
{
    json_t *given = json_array(), *option = json_array_get(options, 0);
    const char *from = s;

    for (bool begins = true; *s; begins = *s++ == ' ') {
        json_t *next = begins ? option_at(options, s) : NULL;
        if (!next)
            continue;
        if (s > from)
            option_add(given, option, from, s);
        option = next;
        s += strcspn(s, ":");
        from = s + 1;
    }
    if (s > from)
        option_add(given, option, from, s);
    return given;
}

/* Takes the words of the group and the subcommand off *s, and answers the options they hold, wrapped as they are sent.
 */
static json_t *arguments(json_t *command, const char **s, int depth)
{
    json_t *options = json_object_get(command, "options");
    size_t n = strcspn(*s, " ");
    json_t *sub = depth < WORDS_MAX ? named(options, 0, *s, n) : NULL;

    if (!sub || (type_of(sub) != OPTION_SUB_COMMAND && type_of(sub) != OPTION_SUB_COMMAND_GROUP))
        return options_read(options, *s);
    *s += n + strspn(*s + n, " ");
    return json_pack("[{si ss so}]", "type", type_of(sub), "name", chat_text(sub, "name"), "options",
                     arguments(sub, s, depth + 1));
}

static void commands_list(json_t *index)
{
    json_t *o;
    size_t i;

    json_array_foreach(json_object_get(index, "application_commands"), i, o)
    {
        if (type_of(o) != COMMAND_CHAT_INPUT)
            continue;
        printf("-- /");
        chat_print(chat_text(o, "name"));
        fputs("  ", stdout);
        chat_print(chat_text(o, "description"));
        putchar('\n');
    }
    fflush(stdout);
}

static void command_run(void *arg)
{
    char *line = arg, path[80];

    snprintf(path, sizeof path, "guilds/%s/application-command-index", chat_place.guild);
    json_t *index = chat_ask("GET", path, NULL);
    size_t n = strcspn(line, " ");
    json_t *command = named(json_object_get(index, "application_commands"), COMMAND_CHAT_INPUT, line, n);
    const char *rest = line + n + strspn(line + n, " ");
    if (command)
        interact(INTERACTION_COMMAND, chat_text(command, "application_id"), "", 0,
                 json_pack("{ss ss si ss so}", "id", chat_text(command, "id"), "name", chat_text(command, "name"),
                           "type", COMMAND_CHAT_INPUT, "version", chat_text(command, "version"), "options",
                           arguments(command, &rest, 1)));
    else if (index)
        commands_list(index);
    json_decref(index);
    mem_free(line);
}

/* --- components --- */

static void shown_add(json_t *message, json_t *component)
{
    struct shown *s = &use.shown[++use.shown_count % SHOWN_MAX];
    const char *application = chat_text(message, "application_id");

    if (!*application) /* a bot's own message: its user's id is its application's */
        application = chat_text(json_object_get(message, "author"), "id");
    snprintf(s->message, sizeof s->message, "%s", chat_text(message, "id"));
    snprintf(s->application, sizeof s->application, "%s", application);
    snprintf(s->custom_id, sizeof s->custom_id, "%s", chat_text(component, "custom_id"));
    s->type = type_of(component);
    s->flags = (int)json_integer_value(json_object_get(message, "flags"));
    printf("   :%u ", use.shown_count);
    chat_print(s->type == COMPONENT_BUTTON ? chat_text(component, "label") : chat_text(component, "placeholder"));
}

static void choices_show(json_t *component)
{
    json_t *o;
    size_t i;

    json_array_foreach(json_object_get(component, "options"), i, o)
    {
        fputs(i ? " | " : " ", stdout);
        chat_print(chat_text(o, "value"));
    }
}

static void component_show(json_t *message, json_t *component)
{
    int type = type_of(component);
    json_t *o;
    size_t i;

    if (type == COMPONENT_TEXT) {
        fputs("   ", stdout);
        chat_print(chat_text(component, "content"));
    } else if (*chat_text(component, "url")) {
        fputs("   ", stdout);
        chat_print(chat_text(component, "url"));
    } else if (*chat_text(component, "custom_id") && !json_is_true(json_object_get(component, "disabled"))) {
        shown_add(message, component);
        choices_show(component);
    }
    json_array_foreach(json_object_get(component, "components"), i, o) component_show(message, o);
    if ((o = json_object_get(component, "accessory")))
        component_show(message, o);
}

void chat_use_show(json_t *message)
{
    json_t *o;
    size_t i;

    json_array_foreach(json_object_get(message, "components"), i, o)
    {
        component_show(message, o);
        putchar('\n');
    }
}

/* The words of s as an array. */
static json_t *words(const char *s)
{
    json_t *list = json_array();

    for (size_t n; *(s += strspn(s, " ")); s += n) {
        n = strcspn(s, " ");
        json_array_append_new(list, json_stringn(s, n));
    }
    return list;
}

static void press(void *arg)
{
    char *line = arg, *rest;
    unsigned long number = strtoul(line, &rest, 10);

    if (number == 0 || number > use.shown_count || number + SHOWN_MAX <= use.shown_count) {
        fprintf(stderr, "guildhall: chat: nothing has the number %s\n", line);
    } else {
        struct shown s = use.shown[number % SHOWN_MAX];
        json_t *data = json_pack("{si ss}", "component_type", s.type, "custom_id", s.custom_id);
        if (s.type != COMPONENT_BUTTON)
            json_object_set_new(data, "values", words(rest));
        interact(INTERACTION_COMPONENT, s.application, s.message, s.flags, data);
    }
    mem_free(line);
}

/* --- modals --- */

static void field_ask(void)
{
    json_t *field = json_array_get(use.fields, use.filled);

    fputs("-- ", stdout);
    chat_print(chat_text(field, "label"));
    choices_show(json_object_get(field, "component"));
    fputs(": ", stdout);
    fflush(stdout);
}

/* Older modals have rows of inputs with a label of their own; newer ones labels around one component each. */
static void field_add(const char *label, json_t *component)
{
    if (*chat_text(component, "custom_id"))
        json_array_append_new(use.fields, json_pack("{ss sO}", "label", label, "component", component));
}

void chat_use_modal(json_t *modal)
{
    json_t *o, *input;
    size_t i, j;

    json_decref(use.modal);
    json_decref(use.fields);
    use.modal = json_incref(modal);
    use.fields = json_array();
    use.filled = 0;
    json_array_foreach(json_object_get(modal, "components"), i, o)
    {
        if (type_of(o) == COMPONENT_LABEL)
            field_add(chat_text(o, "label"), json_object_get(o, "component"));
        json_array_foreach(json_object_get(o, "components"), j, input) field_add(chat_text(input, "label"), input);
    }
    fputs("-- ", stdout);
    chat_print(chat_text(modal, "title"));
    putchar('\n');
    field_ask();
}

static json_t *field_value(json_t *component, const char *s)
{
    int type = type_of(component);
    json_t *answer = json_pack("{si ss}", "type", type, "custom_id", chat_text(component, "custom_id"));

    if (type == COMPONENT_STRING_SELECT || type == COMPONENT_CHECKBOX_GROUP ||
        (type >= COMPONENT_USER_SELECT && type <= COMPONENT_CHANNEL_SELECT))
        json_object_set_new(answer, "values", words(s));
    else
        json_object_set_new(answer, "value",
                            value_of(type == COMPONENT_CHECKBOX ? OPTION_BOOLEAN : OPTION_STRING, s, strlen(s)));
    return answer;
}

static void modal_send(void *arg)
{
    json_t *modal = use.modal, *fields = use.fields, *components = json_array(), *o;
    size_t i;

    (void)arg;
    use.modal = use.fields = NULL;
    json_array_foreach(fields, i, o) json_array_append_new(
        components, json_pack("{si sO}", "type", COMPONENT_LABEL, "component", json_object_get(o, "answer")));
    interact(INTERACTION_MODAL_SUBMIT, chat_text(json_object_get(modal, "application"), "id"), "", 0,
             json_pack("{ss ss so}", "id", chat_text(modal, "id"), "custom_id", chat_text(modal, "custom_id"),
                       "components", components));
    json_decref(modal);
    json_decref(fields);
}

static void field_fill(struct str line)
{
    json_t *field = json_array_get(use.fields, use.filled++);
    char *text = mem_strndup(line.p, line.n);

    json_object_set_new(field, "answer", field_value(json_object_get(field, "component"), text));
    mem_free(text);
    if (use.filled < json_array_size(use.fields))
        field_ask();
    else
        (void)co_spawn(modal_send, NULL);
}

/* --- lines --- */

bool chat_use_line(struct str line)
{
    if (use.fields && use.filled < json_array_size(use.fields)) {
        field_fill(line);
        return true;
    }
    if (line.n < 1 || (*line.p != '/' && *line.p != ':'))
        return false;
    if (*line.p == ':' && (line.n < 2 || line.p[1] < '1' || line.p[1] > '9'))
        return false; /* a smile */
    chat_start(*line.p == '/' ? command_run : press, (struct str){line.p + 1, line.n - 1});
    return true;
}
