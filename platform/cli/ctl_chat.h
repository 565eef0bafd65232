/* `guildhall ctl chat` in two parts: the conversation (ctl_chat.c), and the use of applications in it: commands,
 * buttons, selects and modals (ctl_chat_use.c). Loop thread. */
#pragma once

#include "platform/base/str.h"

#include <jansson.h>
#include <stdbool.h>

/* --- the conversation offers --- */

extern struct chat_place {
    char guild[24], channel[24], session[64];
} chat_place;

/* Coroutine. METHOD /v10/PATH as the person; body: taken, NULL for none. The answer's JSON (to be given back),
 * json_null for an empty one, NULL when it failed, which has been told. */
json_t *chat_ask(const char *method, const char *path, json_t *body);
/* fn on a coroutine of its own; it owns the copy of the line. */
void chat_start(void (*fn)(void *line), struct str line);
/* A member that is a string; "" without. */
const char *chat_text(json_t *object, const char *key);
/* Prints without control characters: those of a stranger's message must not reach the terminal. */
void chat_print(const char *s);

/* --- the use of applications --- */

/* Takes a line that is a command (`/name option:value`), a press of a button or select (`:3 value`), or a modal's next
 * field. false: an ordinary line. */
bool chat_use_line(struct str line);
/* Prints a message's components, those that can be used with a number. */
void chat_use_show(json_t *message);
/* INTERACTION_MODAL_CREATE: the next lines are its fields. */
void chat_use_modal(json_t *modal);
