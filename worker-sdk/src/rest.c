/* One HTTP call through the rest-proxy: head, body or form, what is tried again, what an error says. Coroutine. */
#include "worker-sdk/src/rest.h"

#include "platform/base/log.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/protocol/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS       60000
#define ANSWER_BYTES_MAX (16u << 20)
#define TRIES            5
#define FIRST_PAUSE_MS   100
#define GENERATIONS_MAX  16

METRIC_DEFINE(calls, METRIC_COUNTER, "guildhall_worker_calls_total", "HTTP calls answered");
METRIC_DEFINE(failures, METRIC_COUNTER, "guildhall_worker_call_failures_total", "HTTP calls that ended with an error");
METRIC_DEFINE(repeats, METRIC_COUNTER, "guildhall_worker_call_retries_total", "HTTP calls made again");

const struct gh_error *gh_last_error(const struct gh_context *c)
{
    return &c->error;
}

const char *gh_code_meaning(int code)
{
    switch (code) {
#define GH_CODE(name, number, meaning)                                                                                 \
    case number:                                                                                                       \
        return meaning;
#include <guildhall/codes.def>
    default:
        return "";
    }
}

int rest_error_of_status(int status)
{
    switch (status) {
    case 401:
    case 403:
        return -EACCES;
    case 404:
        return -ENOENT;
    case 429:
        return -EAGAIN;
    default:
        return status >= 200 && status < 300 ? 0 : status < 500 ? -EINVAL : -EIO;
    }
}

static void error_keep(struct gh_context *c, int status, const struct gh_json *o)
{
    c->error = (struct gh_error){.status = status,
                                 .code = (int)gh_json_number(gh_json_get(o, "code")),
                                 .message = gh_json_text(gh_json_get(o, "message")),
                                 .errors = gh_json_get(o, "errors"),
                                 .retry_after_ms = (int64_t)(gh_json_real(gh_json_get(o, "retry_after")) * 1000)};
}

/* --- what is sent --- */

void rest_percent_encode(struct buf *b, const char *s)
{
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;
        bool plain =
            (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || strchr("-_.~:", ch);
        if (plain)
            buf_addc(b, (char)ch);
        else
            buf_addf(b, "%%%02X", ch);
    }
}

const char *gh_query(struct gh_context *c, const char *query, const char *name, const char *value)
{
    BUF_AUTO struct buf b = {0};
    if (query && *query)
        buf_addf(&b, "%s&", query);
    rest_percent_encode(&b, name);
    buf_addc(&b, '=');
    rest_percent_encode(&b, value);
    return arena_strdup(&c->arena, buf_str(&b));
}

#define HEADERS_MAX 8

struct head {
    const char *lines[HEADERS_MAX];
    int count;
};

static void head_add(struct head *h, const char *line)
{
    h->lines[h->count++] = line;
}

static void head_make(struct gh_context *c, const struct gh_call *call, const char *content_type, struct head *h)
{
    static const char *const priorities[] = {
        [GH_PRIORITY_HIGH] = "X-Guildhall-Priority: high", [GH_PRIORITY_LOW] = "X-Guildhall-Priority: low"};
    head_add(h, c->bot->authorization);
    if (content_type)
        head_add(h, content_type);
    if (call->priority)
        head_add(h, priorities[call->priority]);
    if (call->deadline_ms > 0)
        head_add(h, gh_printf(c, "X-Guildhall-Deadline-Ms: %lld", (long long)call->deadline_ms));
    if (call->reason) {
        BUF_AUTO struct buf line = {0};
        buf_adds(&line, "X-Audit-Log-Reason: ");
        rest_percent_encode(&line, call->reason);
        head_add(h, arena_strdup(&c->arena, buf_str(&line)));
    }
}

/* --- tried again --- */

/* Discord takes one first answer of an interaction. */
static bool is_callback(const char *path)
{
    static const char tail[] = "/callback", head[] = "/interactions/";
    size_t n = strlen(path);
    return strncmp(path, head, sizeof head - 1) == 0 && n > sizeof tail &&
           strcmp(path + n - (sizeof tail - 1), tail) == 0;
}

static bool harmless(const char *method, const char *path, const struct gh_call *call)
{
    return call->repeatable || strcmp(method, "GET") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "DELETE") == 0 || is_callback(path);
}

enum rest_verdict rest_judge(const struct http_result *r, struct rest_terms t)
{
    struct str proxy = http_result_header(r, "x-guildhall-proxy");
    if (r->error == -ECANCELED || r->error == -EMSGSIZE)
        return REST_DONE;
    if (r->error)
        return !r->maybe_sent || t.harmless || t.keyed ? REST_AGAIN : REST_DONE;
    if (str_eq(proxy, STR("not_sent")) || str_eq(proxy, STR("overload")) || str_eq(proxy, STR("stopping")))
        return REST_AGAIN;
    if (str_eq(proxy, STR("no_store")))
        return t.harmless ? REST_BARE : REST_AGAIN;
    if (str_eq(proxy, STR("maybe_executed")) && t.harmless)
        return t.keyed ? REST_ANEW : REST_AGAIN;
    return str_eq(proxy, STR("repeated")) && t.fresh && r->status >= 400 ? REST_SKIP : REST_DONE;
}

/* False: that was the last one. What is skipped is no try of this call. */
static bool next_try(struct gh_context *c, enum rest_verdict v, struct rest_key *key, struct rest_terms *t,
                     unsigned *tries)
{
    bool next_key = v == REST_ANEW || v == REST_SKIP;
    if (v == REST_DONE || (next_key && (key->given || key->generation == GENERATIONS_MAX)))
        return false;
    key->generation += next_key;
    t->fresh = next_key;
    t->keyed = t->keyed && v != REST_BARE;
    if (v == REST_SKIP)
        return true;
    if (++*tries == TRIES)
        return false;
    c->call_repeated = true;
    metric_add(&repeats, 1);
    co_sleep(FIRST_PAUSE_MS << (*tries - 1));
    return true;
}

static int call_repeat(struct gh_context *c, const struct http_call_options *o, struct head *h, struct rest_key *key,
                       bool is_harmless, struct http_result *r)
{
    struct rest_terms t = {.harmless = is_harmless, .keyed = rest_key_is(key), .fresh = true};
    unsigned tries = 0;
    c->call_repeated = false;
    for (;;) {
        h->lines[h->count] = t.keyed ? rest_key_line(c, key) : NULL;
        (void)http_call_await(c->bot->http, o, r);
        if (!next_try(c, rest_judge(r, t), key, &t, &tries))
            return r->error;
        http_result_done(r);
    }
}

/* --- the call --- */

int rest_call(struct gh_context *c, const char *method, const char *path, const struct rest_body *body,
              const struct gh_call *call, struct gh_response *response)
{
    static const struct gh_call plain;
    BUF_AUTO struct buf url = {0};
    struct head h = {0};
    struct http_result r;
    struct rest_key key;
    call = call ? call : &plain;
    head_make(c, call, body->content_type, &h);
    buf_addf(&url, "%s/v10%s", c->bot->proxy_url, path);
    if (call->query && *call->query)
        buf_addf(&url, "%c%s", strchr(path, '?') ? '&' : '?', call->query);
    struct http_call_options o = {.method = method,
                                  .url = url.data,
                                  .headers = h.lines,
                                  .body = body->bytes,
                                  .timeout_ms = TIMEOUT_MS,
                                  .body_max = ANSWER_BYTES_MAX};
    rest_key_make(c, method, path, body->bytes, call, &key);
    int error = call_repeat(c, &o, &h, &key, harmless(method, path, call), &r);
    struct gh_response answer = {.status = error ? 0 : r.status, .body = ""};
    json_t *json = NULL;
    if (error == 0) {
        answer.body = arena_strdup(&c->arena, buf_str(&r.body));
        if (r.body.len && json_read(buf_str(&r.body), &json, NULL) == 0)
            answer.json = (struct gh_json *)context_keep(c, json);
        error = rest_error_of_status(r.status);
    }
    http_result_done(&r);
    metric_add(&calls, answer.status != 0);
    if (error) {
        metric_add(&failures, 1);
        error_keep(c, answer.status, answer.json);
    }
    if (response)
        *response = answer;
    return error;
}

int gh_request(struct gh_context *c, const char *method, const char *path, const char *body,
               struct gh_response *response)
{
    struct rest_body b = {.bytes = str_c(body), .content_type = body ? REST_JSON : NULL};
    return rest_call(c, method, path, &b, NULL, response);
}

int gh_request_with(struct gh_context *c, const char *method, const char *path, const struct gh_json *body,
                    const struct gh_call *call, struct gh_response *response)
{
    struct rest_body b;
    BUF_AUTO struct buf bytes = {0};
    rest_body_make(c, (json_t *)(uintptr_t)body, call, REST_PAYLOAD, &bytes, &b);
    return rest_call(c, method, path, &b, call, response);
}
