/* Messages: create, read, change, delete; mentions, embeds, attachments, reactions, pins, typing. One file for each. */
#pragma once

#include "platform/api/api.h"
#include "platform/base/map.h"
#include "platform/base/snowflake.h"

#include <jansson.h>

/* A snowflake in JSON: a string, or (discord.py) a number. */
static inline bool json_to_id(const json_t *v, uint64_t *ret)
{
    if (json_is_integer(v) && json_integer_value(v) > 0) {
        *ret = (uint64_t)json_integer_value(v);
        return true;
    }
    return json_is_string(v) && snowflake_parse(str_c(json_string_value(v)), ret) == 0;
}

/* Message flags a sender may set or an editor change. Source: "Message: Message Flags". */
enum message_flag {
    MESSAGE_SUPPRESS_EMBEDS = 1 << 2,
    MESSAGE_EPHEMERAL = 1 << 6, /* only answers to interactions */
    MESSAGE_LOADING = 1 << 7,
    MESSAGE_SUPPRESS_NOTIFICATIONS = 1 << 12,
    MESSAGE_COMPONENTS_V2 = 1 << 15, /* never taken back */
};
enum message_type {
    MESSAGE_DEFAULT = 0,
    MESSAGE_CHANNEL_PINNED_MESSAGE = 6,
    MESSAGE_REPLY = 19,
    MESSAGE_CHAT_INPUT_COMMAND = 20,
    MESSAGE_CONTEXT_MENU_COMMAND = 23,
};

/* --- page.c: messages with what their JSON needs besides their rows -------------------------------------------------
 */
struct message_page {
    struct message *messages;
    unsigned count;
    struct map users;      /* id -> struct user: authors and mentioned */
    struct map references; /* id -> struct message: what replies point to */
    struct reaction_count **reactions;
    unsigned *reaction_counts;
    bool with_nonce; /* only the answer to a create and its event carry it */
    bool told_again; /* MESSAGE_UPDATE: nobody speaks it a second time */
};

/* Loads authors, mentioned users, referenced messages and reactions (as `viewer` sees them). 0 or sql errors. */
int message_page_load(struct api_ctx *x, struct message *messages, unsigned count, uint64_t viewer,
                      struct message_page *ret);
/* Of one message that is being created: nobody can have reacted to it. author may be NULL: not known yet. */
int message_page_new(struct api_ctx *x, struct message *m, const struct user *author, struct message_page *ret);
void message_page_done(struct message_page *p);

/* The message object as one JSON value. For an event, `member` (may be NULL) and guild_id are added. */
void message_write(struct api_ctx *x, struct buf *b, const struct message_page *p, unsigned i);
void message_write_event(struct api_ctx *x, struct buf *b, const struct message_page *p, unsigned i,
                         const struct member *member);
/* All of the page as an array. */
void message_page_write(struct api_ctx *x, struct buf *b, const struct message_page *p);

/* Adds MESSAGE_CREATE or MESSAGE_UPDATE of the message to the commit and writes the answer, from one page. access: the
 * author's, for `member`. only_user: nobody else hears of it (ephemeral); 0: who can view the channel. */
enum api_error message_tell(struct api_ctx *x, struct commit *c, const struct api_access *access, enum event_type type,
                            struct message *m, uint64_t only_user);

/* Adds the event with this payload for everyone in the channel: once for a guild, once for each recipient of a DM. */
void message_event(struct commit *c, enum event_type type, const struct channel *ch, uint64_t user_id, struct str data,
                   const uint64_t *mentions, unsigned mention_count);
/* {"id":..,"channel_id":..,"guild_id":..}: begins the object and leaves it open. */
void message_event_head(struct buf *b, const struct channel *ch);
/* Copies a finished buffer into the arena and frees it. */
struct str message_payload(struct arena *a, struct buf *b);

/* --- content.c: what a create or an edit may carry ------------------------------------------------------------------
 */
/* Reads content, embeds, components, flags, allowed_mentions of the body into *m; only what is present. Errors go to
 * the form. Mentions are worked out against `access`; replied_author (0: none) is mentioned unless that was switched
 * off. */
enum api_error message_content_read(struct api_ctx *x, const struct api_access *access, uint64_t replied_author,
                                    struct message *m);
bool message_is_empty(const struct message *m);

/* --- embeds.c
 * ---------------------------------------------------------------------------------------------------------- */
/* Checks the body's `embeds` and writes them in their stored form; STR_NONE when there are none. */
struct str embeds_read(struct api_ctx *x);

/* --- attachments.c
 * ------------------------------------------------------------------------------------------------------ */
/* Stores the request's files and answers the `attachments` array in its stored form: kept ones (of `before`, as the
 * body's `attachments` lists them) and new ones. Errors go to the form or are returned. */
enum api_error attachments_read(struct api_ctx *x, uint64_t channel_id, struct str before, struct str *ret);
/* Writes the stored form with links signed now. */
void attachments_write(struct api_ctx *x, struct buf *b, uint64_t channel_id, struct str stored);
/* A stored "attachment://NAME" of an embed, NAME as file names are kept. */
struct str attachment_reference(struct arena *a, struct str url);
/* Whether "attachment://NAME" is a file of the request, as `list` (the body's `attachments`; NULL) names them, or one
 * of `stored`. */
bool attachment_named(struct api_ctx *x, struct json_t *list, struct str stored, struct str url);
/* Components (stored form) with their media as they are answered: links, type and size of the message's own. */
struct str attachments_in_components(struct api_ctx *x, uint64_t channel_id, struct str stored, struct str components);
/* `embeds` (stored form) with what refers to the message's own attachments turned into links. */
struct str attachments_in_embeds(struct api_ctx *x, uint64_t channel_id, struct str stored, struct str embeds);
/* GET /attachments/{channel}/{attachment}/{filename}: checks the signature and answers the file. */
void attachment_serve(struct http_request *req, struct http_response *res, const struct api_options *o);
/* Deletes the files of messages that are gone; failures are only logged. */
void attachments_delete(struct api_ctx *x, const struct message *m);
