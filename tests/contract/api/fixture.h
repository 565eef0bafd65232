/* An API server on embedded ports and a client for it, in one process: what is sent, what is expected. One server at a
 * time; everything runs on the test's coroutine. */
#pragma once

#include "tests/support/co_test.h"

#include "platform/api/api.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"
#include "platform/ports/tokens.h"

#include <jansson.h>

struct person {
    uint64_t id;
    char *token; /* as the Authorization header wants it, with `Bot ` for bots */
};

extern struct ports ports;
extern struct token_registry *tokens;

/* Of the server started next; 0: the ordinary time. What is not about it waits long, for busy machines. */
extern int64_t first_answer_ms;
extern enum http_reach endpoint_reach;

void api_start(bool limits);
void api_stop(void);

/* Sends; what came is in `status` and `body` until the next call. Paths are below /api/v10 unless they begin with
 * "/api" or "/attachments". */
extern int status;
extern json_t *body;     /* NULL: none, or not JSON */
extern bool from_origin; /* as a page of another origin asks */
struct str answer_header(const char *lower_name);
struct str answer_text(void);
int call(const char *token, const char *method, const char *json, const char *path_fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with a content type and bytes of one's own. */
int call_raw(const char *token, const char *method, const char *content_type, struct str bytes, const char *path);

/* Without a body, leaving `status` and `body` alone: for several at once. Returns the status. */
int call_beside(const char *token, const char *method, const char *path);

/* "user.id", "0.name", "errors.name._errors.0.code" of the answer; NULL when there is none. */
const char *text_at(const char *path);
json_t *node_at(const char *path);
uint64_t id_at(const char *path);
int64_t int_at(const char *path);
int code(void); /* body.code; -1 */

/* A registered person; a bot of the person's with its application. */
struct person person_new(const char *name);
struct person bot_new(const struct person *owner, const char *name);
/* A guild of the owner's. */
uint64_t guild_new(const struct person *owner, const char *name);
uint64_t guild_channel(uint64_t guild_id, const char *name); /* of the store */
void guild_enter(uint64_t guild_id, const struct person *owner, const struct person *who);
void bot_enter(uint64_t guild_id, const struct person *owner, const struct person *bot); /* as authorized, no role */
uint64_t role_new(const struct person *owner, uint64_t guild_id, const char *json);
void role_give(const struct person *owner, uint64_t guild_id, const struct person *who, uint64_t role_id);

/* Events published to the topics that are watched, since the last events_clear. */
void watch(uint64_t topic);
void events_clear(void);
unsigned events_count(void);
/* The i-th of a type; NULL. data is parsed. */
json_t *event_at(enum event_type type, unsigned i);
uint64_t event_number(enum event_type type, unsigned i); /* 0: outside the order */
bool event_seen(enum event_type type);
