/* Interactions: a person uses a command, a component or a modal (create.c, resolve.c, payload.c); the application hears
 * of it and answers by the interaction's token (callback.c, webhook.c). What is known of one lives in kv (record.c), so
 * any process takes the answer. Source: Discord API documentation, "Receiving and Responding". */
#pragma once

#include "platform/api/api.h"
#include "platform/ports/store/commands.h"

struct json_t;
struct message;

enum interaction_type {
    INTERACTION_PING = 1,
    INTERACTION_COMMAND = 2,
    INTERACTION_COMPONENT = 3,
    INTERACTION_AUTOCOMPLETE = 4,
    INTERACTION_MODAL_SUBMIT = 5,
};

enum callback_type {
    CALLBACK_PONG = 1,
    CALLBACK_MESSAGE = 4,
    CALLBACK_DEFERRED_MESSAGE = 5,
    CALLBACK_DEFERRED_UPDATE = 6,
    CALLBACK_UPDATE = 7,
    CALLBACK_AUTOCOMPLETE = 8,
    CALLBACK_MODAL = 9,
    CALLBACK_PREMIUM_REQUIRED = 10,
    CALLBACK_LAUNCH_ACTIVITY = 12,
};

struct interaction {
    uint64_t id, application_id, bot_id, user_id, guild_id, channel_id;
    uint64_t source_id; /* the message whose component was used, also through a modal; 0 */
    uint64_t target_id; /* of a user or message command */
    int type, command_type /* 0: no command */;
    bool
        bot_here; /* the bot is a member of the guild, a recipient of the DM; else a person installed the application */
    struct str token, nonce /* JSON value, or none */;
    struct str name;         /* of a command, with its subcommands */
    struct str user_json;    /* the user object */
    struct str owners_json;  /* authorizing_integration_owners */
    struct str target_json;  /* of a user command: the user it was used on; else none */
    struct str trigger_json; /* of a modal: interaction_metadata of what opened it; else none */
};

/* --- record.c: what kv knows ----------------------------------------------------------------------------------------
 */
/* Makes the token. */
void interaction_token_make(struct api_ctx *x, struct interaction *ix);
/* 0, or kv's errors. */
int interaction_put(struct api_ctx *x, const struct interaction *ix);
/* By the token in a path. UNKNOWN_WEBHOOK (no token at all, or another application's), INVALID_WEBHOOK_TOKEN (its time
 * is over). application_id 0: whatever it is. Wrong ones are counted by address: 429 is written, and API_OK with
 * *ret_refused. */
enum api_error interaction_find(struct api_ctx *x, struct str token, uint64_t application_id, struct interaction *ret,
                                bool *ret_refused);

/* The first answer. type 0: there was none in time. */
struct interaction_answer {
    int type; /* enum callback_type */
    uint64_t message_id;
    bool ephemeral;
};
/* -EEXIST: somebody else was first. */
int interaction_answer_claim(struct api_ctx *x, const struct interaction *ix, const struct interaction_answer *a);
void interaction_answer_withdraw(struct api_ctx *x, const struct interaction *ix);
/* -ENOENT: none yet. */
int interaction_answer_get(struct api_ctx *x, const struct interaction *ix, struct interaction_answer *ret);

/* A modal that was sent to the person, until it is sent back. */
int interaction_modal_put(struct api_ctx *x, const struct interaction *ix, struct str modal_json);
/* Takes it: a modal is sent back once. -ENOENT. */
int interaction_modal_get(struct api_ctx *x, uint64_t interaction_id, struct interaction *ret_opener,
                          struct json_t **ret_modal);
void interaction_modal_drop(struct api_ctx *x, uint64_t interaction_id);

/* --- ephemeral.c: messages that only one person sees; they are in kv, never in the channel
 * ---------------------------- */
int ephemeral_put(struct api_ctx *x, const struct message *m, uint64_t user_id);
int ephemeral_get(struct api_ctx *x, uint64_t message_id, struct message *ret, uint64_t *ret_user_id);
int ephemeral_drop(struct api_ctx *x, uint64_t message_id);

/* --- pending.c: what was not answered in time
 * ------------------------------------------------------------------------- */
struct pending_interactions;
struct pending_interactions *pending_new(struct api *api);
void pending_free(struct pending_interactions *p);
/* After the deadline of the first answer the person hears INTERACTION_FAILURE, unless there was one. -EAGAIN: too many
 * are waiting. */
int pending_add(struct api_ctx *x, const struct interaction *ix);
int64_t interaction_first_ms(const struct api_options *o);

/* --- payload.c
 * --------------------------------------------------------------------------------------------------------- */
/* What the application gets. access: the person's. message: of components, else NULL (an object as JSON). */
struct str interaction_payload(struct api_ctx *x, const struct interaction *ix, const struct api_access *access,
                               const struct member *bot, struct str data_json, struct str message_json);
/* interaction_metadata of a message that answers ix. response_id: of follow-ups, the first answer's; 0. */
struct str interaction_metadata(struct api_ctx *x, const struct interaction *ix, uint64_t response_id);
/* The event to the application's bot: stored and published, but for autocomplete. */
enum api_error interaction_dispatch(struct api_ctx *x, const struct interaction *ix, struct str payload);
/* To the person's clients; a lost one is not told again. */
void interaction_tell_user(struct api_ctx *x, const struct interaction *ix, enum event_type type, struct str data);
/* Only a person installed the application: nothing was asked of the guild. */
bool interaction_of_user(const struct interaction *ix);
/* {"id","nonce"} */
struct str interaction_head(struct api_ctx *x, const struct interaction *ix);

/* --- resolve.c: what a person filled in, against what was asked
 * --------------------------------------------------------- */
struct resolver;
struct resolver *resolver_new(struct api_ctx *x, const struct interaction *ix, const struct api_access *access,
                              const struct member *bot);
void resolver_done(struct resolver *r); /* NULL: nothing; the memory is the arena's */
/* Stores the request's files, which values name by their index. MISSING_PERMISSIONS. */
enum api_error resolve_uploads(struct resolver *r);
/* The id (a new reference) of the file that v names; NULL, and the form says at `path` what is wrong. types: a list of
 * file_types; NULL: any. */
struct json_t *resolve_upload(struct resolver *r, struct json_t *types, struct json_t *v, const char *path);
/* Reads x->body.options of the command and writes "options" into out (an open object). Errors go to the form. name: the
 * command's with its subcommands. partial: autocomplete, where what is required may be missing. */
enum api_error resolve_options(struct resolver *r, const struct application_command *cmd, bool partial, struct buf *out,
                               struct str *ret_name);
/* Whether a channel is of the `channel_types` of an option or a select; one that is unknown is told later. */
bool resolve_channel_fits(const struct resolver *r, struct json_t *option, uint64_t id);
/* An entity of a select or of a menu command. kind: an option type (USER, ROLE, CHANNEL, MENTIONABLE). */
void resolve_want(struct resolver *r, int kind, uint64_t id);
void resolve_message(struct resolver *r, const struct message *m);
/* Loads what was wanted and writes "resolved" when there is any. UNKNOWN_USER, UNKNOWN_ROLE, UNKNOWN_CHANNEL. */
enum api_error resolve_write(struct resolver *r, struct buf *out);

/* --- selects.c: components and modals
 * ------------------------------------------------------------------------------------- */
/* The interactive component of this custom_id in a list of components, however deep; borrowed. NULL. */
struct json_t *component_find(struct json_t *list, struct str custom_id);
/* The values chosen in a select (a JSON array), checked against it; errors at "values" of the form's scope. */
void select_values_read(struct api_ctx *x, struct resolver *r, struct json_t *component, struct json_t *values,
                        struct buf *out);
/* What a person filled into a modal: x->body is the `data`. Writes "components" into out. */
void modal_values_read(struct api_ctx *x, struct resolver *r, struct json_t *modal, struct buf *out);
/* Checks a modal that a callback carries (x->body) and answers it as it is kept: {custom_id, title, components}. */
struct str modal_read(struct api_ctx *x);

/* --- answer.c: what callbacks and follow-ups share -------------------------------------------------------------------
 */
/* The request acts as the application's bot from here on; access is the bot's in the interaction's channel, which it
 * may answer in whatever its permissions are. */
enum api_error answer_access(struct api_ctx *x, const struct interaction *ix, struct api_access *ret);
/* Whether a new answer is ephemeral: as `flags` ask, and always where only a person installed the application and may
 * not speak through it. */
int64_t answer_ephemeral(const struct interaction *ix, const struct api_access *access, int64_t flags);
/* Reads x->body (a message's fields, as of Create Message) and the request's files into *m. creating: it must have
 * something in it. */
enum api_error answer_read(struct api_ctx *x, const struct api_access *access, bool creating, struct message *m);
/* Stores the message, tells who may see it, writes it into the answer. */
enum api_error answer_save(struct api_ctx *x, const struct interaction *ix, const struct api_access *access,
                           bool creating, struct message *m);
/* A message of the channel, or an ephemeral one of this person. -ENOENT. */
int answer_message_get(struct api_ctx *x, uint64_t channel_id, uint64_t message_id, uint64_t user_id,
                       struct message *ret);
/* message_write of one message as `viewer` sees it. */
enum api_error answer_message_write(struct api_ctx *x, struct buf *out, struct message *m, uint64_t viewer);
/* The message_reference of an answer to message_id. */
struct str answer_reference(struct api_ctx *x, const struct interaction *ix, uint64_t message_id);

/* --- callback.c
 * -------------------------------------------------------------------------------------------------------- */
/* The first answer: x->body is the interaction response, of the callback's route or of an endpoint. with_response: what
 * came of it is written, else nothing. */
enum api_error interaction_answer(struct api_ctx *x, const struct interaction *ix, bool with_response);

/* --- deliver.c: applications that are called instead of listening
 * ------------------------------------------------------- */
/* The public half of the key its interactions are signed with, in hex. */
struct str application_verify_key(struct api_ctx *x, uint64_t application_id);
/* True when the endpoint answers a PING with PONG and refuses a wrong signature with 401. */
bool endpoint_check(struct api_ctx *x, uint64_t application_id, struct str url);
/* Posts the interaction in the background; what the endpoint answers is the first answer. */
void interaction_post(struct api_ctx *x, const struct interaction *ix, struct str url, struct str payload);
/* The person hears INTERACTION_FAILURE, unless there was an answer. */
void interaction_fail(struct api_ctx *x, const struct interaction *ix);
