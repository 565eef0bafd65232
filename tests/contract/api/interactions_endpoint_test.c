/* Applications that are called instead of listening. */
#include "tests/contract/api/interactions_fixture.h"

#include <sodium.h>
#include <stdio.h>

static struct {
    unsigned char key[32];
    const char *answer; /* to a command; NULL: 202 and nothing */
    int status, seen, calls;
    bool blind;       /* believes any signature */
    bool as_text;     /* names no JSON type */
    const char *next; /* redirects there */
    char body[8192];
} endpoint;

static bool signature_good(struct http_request *req)
{
    unsigned char sig[64];
    struct str hex = http_request_header(req, "X-Signature-Ed25519");
    struct str stamp = http_request_header(req, "X-Signature-Timestamp");
    struct str text = arena_printf(&req->arena, "%.*s%.*s", STR_ARG(stamp), STR_ARG(req->body));

    return hex.n == 128 && sodium_hex2bin(sig, sizeof sig, hex.p, hex.n, NULL, NULL, NULL) == 0 &&
           crypto_sign_verify_detached(sig, (const unsigned char *)text.p, text.n, endpoint.key) == 0;
}

static void on_call(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    endpoint.calls++;
    if (endpoint.as_text)
        res->content_type = "text/plain";
    if (!endpoint.blind && !signature_good(req)) {
        res->status = 401;
        return;
    }
    json_t *o = json_loadb(req->body.p, req->body.n, 0, NULL);
    bool is_ping = json_integer_value(json_object_get(o, "type")) == 1;
    json_decref(o);
    res->status = is_ping ? 200 : endpoint.status;
    if (endpoint.next) {
        res->status = 307;
        http_response_header(res, "Location", endpoint.next);
    }
    if (is_ping || endpoint.answer)
        buf_adds(&res->body, is_ping ? "{\"type\":1}" : endpoint.answer);
    if (!is_ping) {
        snprintf(endpoint.body, sizeof endpoint.body, "%.*s", STR_ARG(req->body));
        endpoint.seen++;
    }
}

static void on_stopped(void *arg)
{
    *(bool *)arg = true;
}

static int endpoint_set(int port)
{
    char json[128];

    snprintf(json, sizeof json, "{\"interactions_endpoint_url\":\"http://127.0.0.1:%d/\"}", port);
    return call(bot.token, "PATCH", json, "/applications/@me");
}

/* The endpoint has been called once more. */
static json_t *called(int before)
{
    for (int i = 0; i < 6000 && endpoint.seen == before; i++)
        co_sleep(10);
    expect_int(endpoint.seen, before + 1);
    return json_loads(endpoint.body, 0, NULL);
}

static struct http_listener *endpoint_open(void)
{
    struct http_listener_options o = {.listen = "127.0.0.1:0", .handler = on_call};
    struct http_listener *listener = NULL;
    struct buf err = BUF_INIT(256);

    events_clear();
    memset(&endpoint, 0, sizeof endpoint);
    expect_int(http_listener_start(&o, &listener, &err), 0);
    expect_int(call(bot.token, "GET", NULL, "/applications/@me"), 200);
    const char *hex = text_at("verify_key");
    expect_int(sodium_hex2bin(endpoint.key, 32, hex, strlen(hex), NULL, NULL, NULL), 0);
    buf_done(&err);
    return listener;
}

static void endpoint_close(struct http_listener *listener)
{
    bool stopped = false;

    http_listener_stop(listener, 1000, on_stopped, &stopped);
    while (!stopped)
        co_sleep(1);
}

static void is_not_taken(int port)
{
    expect_int(endpoint_set(port), 400);
    expect_text(str_c(text_at("errors.interactions_endpoint_url._errors.0.code")),
                "APPLICATION_INTERACTIONS_ENDPOINT_URL_INVALID");
}

/* One that looks at no signature, or names no type, or sends elsewhere, or is not there. */
static void minds_who_it_calls(int port)
{
    endpoint.blind = true;
    is_not_taken(port);
    endpoint.blind = false;
    endpoint.as_text = true;
    is_not_taken(port);
    endpoint.as_text = false;
    endpoint.next = "/elsewhere";
    int calls = endpoint.calls;
    is_not_taken(port);
    expect_int(endpoint.calls, calls + 1);
    endpoint.next = NULL;
    is_not_taken(1);
    expect_int(endpoint_set(port), 200);
}

static void takes_its_answer(void)
{
    endpoint.status = 200;
    endpoint.answer = "{\"type\":4,\"data\":{\"content\":\"from afar\"}}";
    events_clear();
    expect_int(use_command(&bob, ping, ""), 204);
    json_t *e = called(0);
    expect_text(str_c(text_in(e, "data.name")), "ping");
    json_decref(e);
    for (int i = 0; i < 6000 && !event_at(EVENT_MESSAGE_CREATE, 0); i++)
        co_sleep(10);
    expect_text(str_c(text_in(event_at(EVENT_MESSAGE_CREATE, 0), "content")), "from afar");
    expect_true(!event_at(EVENT_INTERACTION_CREATE, 1)); /* bob's client; not the gateway's bot */
}

/* 202: it answers over HTTP. */
static void waits_for_its_call(void)
{
    endpoint.status = 202;
    endpoint.answer = NULL;
    expect_int(use_command(&bob, ping, ""), 204);
    json_t *e = called(1);
    snprintf(token, sizeof token, "%s", text_in(e, "token"));
    (void)snowflake_parse(str_c(text_in(e, "id")), &interaction);
    json_decref(e);
    expect_int(respond("{\"type\":4,\"data\":{\"content\":\"pong\"}}", ""), 204);
}

/* The person hears that it failed; nothing is asked twice. */
static void fails(int status_code, const char *next)
{
    int calls = endpoint.calls;

    endpoint.status = status_code;
    endpoint.next = next;
    events_clear();
    expect_int(use_command(&bob, ping, ""), 204);
    for (int i = 0; i < 6000 && !event_at(EVENT_INTERACTION_FAILURE, 0); i++)
        co_sleep(10);
    expect_text(str_c(text_in(event_at(EVENT_INTERACTION_FAILURE, 0), "nonce")), "77");
    expect_int(endpoint.calls, calls + 1);
    endpoint.next = NULL;
}

static void calls_an_endpoint(void)
{
    struct http_listener *listener = endpoint_open();

    minds_who_it_calls(http_listener_port(listener));
    takes_its_answer();
    waits_for_its_call();
    fails(500, NULL);
    fails(200, "/elsewhere");
    expect_int(call(bot.token, "PATCH", "{\"interactions_endpoint_url\":null}", "/applications/@me"), 200);
    expect_true(json_is_null(node_at("interactions_endpoint_url")));
    endpoint_close(listener);
}

/* A deployment does not call into its own network for whoever has a bot. */
static void stays_outside(void)
{
    struct http_listener *listener = endpoint_open();

    is_not_taken(http_listener_port(listener));
    expect_int(endpoint.calls, 0);
    endpoint_close(listener);
}

void endpoints(void)
{
    start(false);
    calls_an_endpoint();
    api_stop();
    endpoint_reach = HTTP_REACH_PUBLIC;
    start(false);
    endpoint_reach = HTTP_REACH_LOOPBACK;
    stays_outside();
    api_stop();
}
