/* The control endpoint: what operators (`guildhall ctl`) and tests of bots ask of a running process. Components name
 * their actions; this file knows who may call them, reads the arguments and writes the answer. Loop thread.
 *
 *   GET  /_guildhall/control                   the actions of this process
 *   GET  /_guildhall/control/sessions?user=ID  arguments in the query
 *   POST /_guildhall/control/sessions/close    arguments in a JSON object
 *
 * An argument's value may be a string where a number or a boolean is meant: ctl sends what was typed. */
#pragma once

#include "platform/io/http_server.h"

struct json_t;

#define CONTROL_PREFIX "/_guildhall/control"

struct control_call {
    struct arena *arena;
    const struct json_t *args; /* an object */
    struct buf *out;           /* an open JSON object: members are added to it */
    struct buf *err;           /* one line that says what is wrong with the arguments */
};

/* Coroutine. 0 (200), -EINVAL (400), -ENOENT (404), -EBUSY (409), -EHOSTDOWN (503), others 500. */
typedef int (*control_fn)(struct control_call *c, void *arg);

/* One action, in a static table. Several components may answer one path: all are called, in the order of adding, and
 * write into one object. */
struct control_action {
    const char *method, *path; /* "POST", "/sessions/close" */
    const char *args;          /* for people: "WHO [code=4000]" */
    const char *help;
    control_fn run;
};
void control_add(const struct control_action *actions, unsigned count, void *arg);
/* Takes back what was added with this arg. */
void control_remove(const void *arg);

/* Who may call: with a secret, whoever sends it (`Authorization: Bearer SECRET`); without one only this machine, and
 * only where `loopback` says so; never a web page in a browser (Origin, foreign Host). Nothing is open before. */
void control_open(const char *secret, bool loopback);
bool control_is_open(void);

/* Answers what is below the prefix; false: another path, or control is off. Coroutine. */
bool control_handle(struct http_request *req, struct http_response *res);

/* --- arguments. Each 0, or -EINVAL and a line in err. An absent one leaves *ret as it is. ---------------------------
 */
int control_arg_u64(const struct control_call *c, const char *key, uint64_t min, uint64_t max, uint64_t *ret);
int control_arg_bool(const struct control_call *c, const char *key, bool *ret);
/* Numbers are given as text. Borrowed from args or in the arena. */
int control_arg_str(const struct control_call *c, const char *key, struct str *ret);
bool control_arg_has(const struct control_call *c, const char *key);
/* -EINVAL when there is an argument that `known` (NULL at its end) does not name: a misspelt one must not be ignored.
 */
int control_args_only(const struct control_call *c, const char *const *known);
