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

static bool repeatable(const char *method, const struct gh_call *call)
{
    return call->repeatable || strcmp(method, "GET") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "DELETE") == 0;
}

enum rest_verdict rest_judge(const struct http_result *r, bool may_repeat)
{
    struct str proxy = http_result_header(r, "x-guildhall-proxy");
    if (r->error == -ECANCELED || r->error == -EMSGSIZE)
        return REST_DONE;
    if (r->error)
        return !r->maybe_sent || may_repeat ? REST_AGAIN : REST_DONE;
    if (str_eq(proxy, STR("not_sent")) || str_eq(proxy, STR("overload")) || str_eq(proxy, STR("stopping")))
        return REST_AGAIN;
    return str_eq(proxy, STR("maybe_executed")) && may_repeat ? REST_AGAIN : REST_DONE;
}

static int call_once(struct gh_context *c, const struct http_call_options *o, bool may_repeat, struct http_result *r)
{
    int64_t pause_ms = FIRST_PAUSE_MS;
    for (int i = 0;; i++, pause_ms *= 2) {
        (void)http_call_await(c->bot->http, o, r);
        if (i + 1 == TRIES || rest_judge(r, may_repeat) == REST_DONE)
            return r->error;
        metric_add(&repeats, 1);
        http_result_done(r);
        co_sleep(pause_ms);
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
    int error = call_once(c, &o, repeatable(method, call), &r);
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
