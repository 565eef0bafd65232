/* What dev, api and gateway share: pages, URLs, stopping. Loop thread. */
#pragma once

#include "platform/base/settings.h"
#include "platform/cli/cli.h"
#include "platform/io/admin.h"
#include "platform/io/http_client.h"
#include "platform/io/loop.h"

/* NULL when the setting is empty. */
const char *serve_path(enum setting s);

/* `setting` when given, otherwise made from the listener: "http://127.0.0.1:8080" + path. */
void serve_public_url(struct buf *out, const char *setting, const char *scheme, const char *listen, int port,
                      const char *path);

/* database, redis, amqp, objects and secret of the settings; all must be given. -EINVAL and err. */
int serve_full_stack_urls(struct platform_urls *ret, struct buf *err);

/* What endpoint_reach says; automatic: when it leaves that open. */
enum http_reach serve_endpoint_reach(enum http_reach automatic);

/* The admin listener where the setting asks for one, and its address for the ready line. */
int serve_admin(struct http_listener **ret, struct buf *err);
void serve_tell_admin(struct buf *line, struct http_listener *admin);

/* Until the platform has started no token can be told good from bad: writes 503. False: it has. */
bool serve_not_yet(const struct platform *p, struct http_response *res);

/* Takes a CONTROL_TOKEN_REVOKED event. */
void serve_revocation(struct platform *p, const struct event *e);

/* --- control.c: the control endpoint of this process ----------------------------------------------------------------
 */
/* Opens it as the settings say: for `dev` on this machine unless it is switched off, for others with a secret.
 * -EINVAL and err: the secret is too short. */
int serve_control_open(bool dev, struct buf *err);
/* Coroutine. Tells kv where this process's endpoint is, for ctl, and goes on telling it; nothing without a secret. */
struct service;
void serve_control_tell(struct service *s, const char *kind, const char *node);
void serve_control_untell(struct service *s); /* coroutine */

/* A serving command: opened and listening, it starts once its servers are there and stops on a signal. */
struct service {
    struct platform platform;
    struct http_listener *listener, *admin;
    struct buf public_url;
    bool migrate;  /* bring the schema up to date instead of checking it */
    int worker_id; /* of snowflakes; -1: leased */
    /* Coroutine: the platform is there; ends with ready_print. 0; otherwise the process ends, with 2 when err says why.
     */
    int (*begin)(struct buf *err);
    /* Coroutine: the listener has stopped. */
    void (*end)(void);
};
/* Runs the loop until a signal or a failed start; closes the platform. Returns the exit code. A stop that takes longer
 * than 10 s is cut short. */
int service_run(struct service *s);
