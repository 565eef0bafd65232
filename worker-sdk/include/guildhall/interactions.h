/* Slash, user and message commands, autocomplete, components and modals. A handler has three seconds for its first
 * answer (gh_respond, gh_defer, ...) and fifteen minutes for the others. Where a handler is called again (it failed, or
 * its worker died), a first answer that was given before counts as given. Source: Discord API documentation,
 * "Application Commands", "Receiving and Responding to Interactions", "Component Reference". */
#ifndef GUILDHALL_INTERACTIONS_H
#define GUILDHALL_INTERACTIONS_H

#include <guildhall/rest.h>

GH_BEGIN_DECLS

enum { GH_COMMAND_SLASH = 1, GH_COMMAND_USER, GH_COMMAND_MESSAGE };
enum {
    GH_OPTION_SUBCOMMAND = 1,
    GH_OPTION_GROUP,
    GH_OPTION_TEXT,
    GH_OPTION_INTEGER,
    GH_OPTION_FLAG,
    GH_OPTION_USER,
    GH_OPTION_CHANNEL,
    GH_OPTION_ROLE,
    GH_OPTION_MENTIONABLE,
    GH_OPTION_REAL,
    GH_OPTION_ATTACHMENT
};
enum {
    GH_INTERACTION_PING = 1,
    GH_INTERACTION_COMMAND,
    GH_INTERACTION_COMPONENT,
    GH_INTERACTION_AUTOCOMPLETE,
    GH_INTERACTION_MODAL
};
enum {
    GH_ACTION_ROW = 1,
    GH_BUTTON,
    GH_SELECT_TEXT,
    GH_INPUT,
    GH_SELECT_USER,
    GH_SELECT_ROLE,
    GH_SELECT_MENTIONABLE,
    GH_SELECT_CHANNEL,
    GH_SECTION,
    GH_TEXT_DISPLAY,
    GH_THUMBNAIL,
    GH_MEDIA_GALLERY,
    GH_FILE,
    GH_SEPARATOR,
    GH_CONTAINER = 17,
    GH_LABEL,
    GH_FILE_UPLOAD
};
enum { GH_STYLE_PRIMARY = 1, GH_STYLE_SECONDARY, GH_STYLE_SUCCESS, GH_STYLE_DANGER, GH_STYLE_LINK };
enum { GH_INPUT_SHORT = 1, GH_INPUT_LONG };
enum { GH_MESSAGE_EPHEMERAL = 1 << 6, GH_MESSAGE_COMPONENTS_V2 = 1 << 15 };

/* 0: done; anything else: called again, as with events. */
typedef int (*gh_interaction_fn)(struct gh_context *c, const struct gh_interaction *i, void *arg);

/* Declares a command and who handles it (fn NULL: only its subcommands, gh_on_command). It is copied. With guild_id the
 * command is that guild's. When the bot starts, all commands it has declared take the place of those registered before
 * (bulk overwrite; only when they differ from what a worker registered last, see the setting `register_commands`).
 * A choice's `value` is written as text here; it is sent as a number where the option is one. */
GH_API void gh_command_add(struct gh_bot *bot, const struct gh_command *command, gh_interaction_fn fn, void *arg);
/* path: "name", "name subcommand" or "name group subcommand". The longest path that was given a handler gets it. */
GH_API void gh_on_command(struct gh_bot *bot, const char *path, gh_interaction_fn fn, void *arg);
/* path as above; gh_focused tells which option is being typed. Answer with gh_suggest. */
GH_API void gh_on_autocomplete(struct gh_bot *bot, const char *path, gh_interaction_fn fn, void *arg);
/* custom_id is `prefix` or "prefix:anything" (gh_custom_rest). The longest prefix gets it. */
GH_API void gh_on_component(struct gh_bot *bot, const char *prefix, gh_interaction_fn fn, void *arg);
GH_API void gh_on_modal(struct gh_bot *bot, const char *prefix, gh_interaction_fn fn, void *arg);

/* --- what came --- */
GH_API const struct gh_user *gh_interaction_user(const struct gh_interaction *i); /* never NULL */
/* The command's full path: "config set". */
GH_API const char *gh_command_path(struct gh_context *c, const struct gh_interaction *i);
/* An option of the command or of its subcommand; NULL: not given. */
GH_API const struct gh_option *gh_option_find(const struct gh_interaction *i, const char *name);
GH_API const struct gh_option *gh_focused(const struct gh_interaction *i);
/* "", 0 or false where it was not given. gh_option_id: of users, members, channels, roles, attachments. */
GH_API const char *gh_option_text(const struct gh_interaction *i, const char *name);
GH_API int64_t gh_option_number(const struct gh_interaction *i, const char *name);
GH_API double gh_option_real(const struct gh_interaction *i, const char *name);
GH_API bool gh_option_flag(const struct gh_interaction *i, const char *name);
GH_API uint64_t gh_option_id(const struct gh_interaction *i, const char *name);
/* What came along with an id (of an option, a select's value, or target_id). NULL: nothing. */
GH_API const struct gh_user *gh_resolved_user(struct gh_context *c, const struct gh_interaction *i, uint64_t id);
GH_API const struct gh_member *gh_resolved_member(struct gh_context *c, const struct gh_interaction *i, uint64_t id);
GH_API const struct gh_role *gh_resolved_role(struct gh_context *c, const struct gh_interaction *i, uint64_t id);
GH_API const struct gh_channel *gh_resolved_channel(struct gh_context *c, const struct gh_interaction *i, uint64_t id);
GH_API const struct gh_message *gh_resolved_message(struct gh_context *c, const struct gh_interaction *i, uint64_t id);
GH_API const struct gh_attachment *gh_resolved_attachment(struct gh_context *c, const struct gh_interaction *i,
                                                          uint64_t id);
/* What stands behind the prefix and its colon. */
GH_API const char *gh_custom_rest(const struct gh_interaction *i);
/* What was entered in a modal's input; "". */
GH_API const char *gh_modal_text(const struct gh_interaction *i, const char *custom_id);

/* --- the first answer: one of these --- */
GH_API int gh_respond(struct gh_context *c, const struct gh_interaction *i, const struct gh_message_body *message,
                      const struct gh_call *call);
/* Content by printf; gh_whisper: only the user sees it. */
GH_API int gh_say(struct gh_context *c, const struct gh_interaction *i, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
GH_API int gh_whisper(struct gh_context *c, const struct gh_interaction *i, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "... is thinking": the message follows with gh_answer_edit. flags: GH_MESSAGE_EPHEMERAL or 0. */
GH_API int gh_defer(struct gh_context *c, const struct gh_interaction *i, int64_t flags);
/* Of components: the message they are on stays as it is for now, or is changed. */
GH_API int gh_defer_update(struct gh_context *c, const struct gh_interaction *i);
GH_API int gh_update(struct gh_context *c, const struct gh_interaction *i, const struct gh_message_body *message,
                     const struct gh_call *call);
GH_API int gh_suggest(struct gh_context *c, const struct gh_interaction *i, const struct gh_command_choice *choices,
                      size_t count);
GH_API int gh_show_modal(struct gh_context *c, const struct gh_interaction *i, const struct gh_modal *modal);

/* --- afterwards; ret may be NULL --- */
GH_API int gh_answer_get(struct gh_context *c, const struct gh_interaction *i, const struct gh_message **ret);
GH_API int gh_answer_edit(struct gh_context *c, const struct gh_interaction *i, const struct gh_message_body *message,
                          const struct gh_call *call, const struct gh_message **ret);
GH_API int gh_answer_delete(struct gh_context *c, const struct gh_interaction *i);
GH_API int gh_followup(struct gh_context *c, const struct gh_interaction *i, const struct gh_message_body *message,
                       const struct gh_call *call, const struct gh_message **ret);
GH_API int gh_followup_edit(struct gh_context *c, const struct gh_interaction *i, uint64_t message_id,
                            const struct gh_message_body *message, const struct gh_call *call,
                            const struct gh_message **ret);
GH_API int gh_followup_delete(struct gh_context *c, const struct gh_interaction *i, uint64_t message_id);

GH_END_DECLS
#endif
