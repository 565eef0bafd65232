/* A rest-proxy that notes what it is asked and says what the test wants; and a context to call it from. Header only. */
#pragma once

#include "tests/support/on_loop.h"

#include "worker-sdk/src/interactions.h"
#include "worker-sdk/src/rest.h"

#include "platform/base/mem.h"
#include "platform/io/http_server.h"

#include <sodium.h>
#include <stdio.h>

#define FAKE_CALLS_MAX 16

struct fake_answer {
    int status;
    const char *body, *proxy_code; /* may be NULL */
};

static struct {
    struct http_listener *listener;
    int calls;
    struct {
        char method[8], target[512], headers[2048], body[8192];
    } call[FAKE_CALLS_MAX];
    struct fake_answer answers[FAKE_CALLS_MAX]; /* in turn; where status is 0: 204 */
    int stopped;
} fake;

static struct gh_bot bot;
static struct gh_context c;
static struct item item;
static char proxy_url[64];

static void fake_handle(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    assert_true(fake.calls < FAKE_CALLS_MAX);
    int n = fake.calls++;
    const struct fake_answer *a = &fake.answers[n];
    snprintf(fake.call[n].method, sizeof fake.call[n].method, "%s", http_method_name(req->method));
    snprintf(fake.call[n].target, sizeof fake.call[n].target, "%.*s", STR_ARG(req->target));
    snprintf(fake.call[n].body, sizeof fake.call[n].body, "%.*s", STR_ARG(req->body));
    size_t at = 0;
    for (unsigned i = 0; i < req->header_count; i++)
        at += (size_t)snprintf(fake.call[n].headers + at, sizeof fake.call[n].headers - at, "%.*s: %.*s\n",
                               STR_ARG(req->headers[i].name), STR_ARG(req->headers[i].value));
    res->status = a->status ? a->status : 204;
    if (a->proxy_code)
        http_response_header(res, "X-Guildhall-Proxy", "%s", a->proxy_code);
    if (a->body)
        buf_adds(&res->body, a->body);
}

static void fake_open(void)
{
    BUF_AUTO struct buf err = {0};
    struct http_listener_options o = {.listen = "127.0.0.1:0", .handler = fake_handle};
    memset(&fake, 0, sizeof fake);
    assert_true(sodium_init() >= 0);
    assert_int_equal(http_listener_start(&o, &fake.listener, &err), 0);
    snprintf(proxy_url, sizeof proxy_url, "http://127.0.0.1:%d/api", http_listener_port(fake.listener));
    item = (struct item){.event = {.type = "INTERACTION_CREATE", .session = "s1", .seq = 7, .json = "{}"}};
    bot = (struct gh_bot){.proxy_url = proxy_url,
                          .authorization = mem_strdup("Authorization: Bot secret"),
                          .application_id = 99,
                          .http = http_client_new(&(struct http_client_options){0}),
                          .router = router_new()};
    c = (struct gh_context){.bot = &bot, .item = &item};
}

static void fake_stopped(void *arg)
{
    ++*(int *)arg;
}

static void fake_close(void)
{
    context_done(&c);
    http_client_free(bot.http);
    router_free(bot.router);
    mem_free(bot.authorization);
    http_listener_stop(fake.listener, 1000, fake_stopped, &fake.stopped);
    UNTIL(fake.stopped);
    co_sleep(20);
}

/* The handler is called again for the same event. */
static inline void fake_attempt(unsigned attempt)
{
    context_done(&c);
    c = (struct gh_context){.bot = &bot, .item = &item, .attempt = attempt};
}

static inline void assert_json(const char *actual, const char *wanted)
{
    json_t *a = json_loads(actual, JSON_DECODE_ANY, NULL), *w = json_loads(wanted, JSON_DECODE_ANY, NULL);
    assert_non_null(w);
    if (!a || !json_equal(a, w))
        fail_msg("%s\nis not\n%s", actual, wanted);
    json_decref(a);
    json_decref(w);
}
