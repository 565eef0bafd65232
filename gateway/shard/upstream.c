/* Two questions to the upstream's HTTP API. Coroutine. */
#include "gateway/shard/upstream.h"

#include "platform/base/clock.h"
#include "platform/io/http_client.h"
#include "platform/protocol/json_read.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#define TIMEOUT_MS   10000
#define ANSWER_BYTES (1u << 20)

/* 0 and the answer's JSON (a new reference). */
static int ask(struct upstream *u, const char *path, json_t **ret, struct buf *err)
{
    struct http_result r;
    char url[600], authorization[300];

    snprintf(url, sizeof(url), "%s/v10%s", u->base_url, path);
    snprintf(authorization, sizeof(authorization), "Authorization: Bot %s", u->token);
    const char *headers[] = {authorization, NULL};
    struct http_call_options o = {
        .method = "GET", .url = url, .headers = headers, .timeout_ms = TIMEOUT_MS, .body_max = ANSWER_BYTES};
    int error = 0;

    if (http_call_await(u->client, &o, &r) != 0) {
        buf_addf(err, "%s: no answer (%s)", url, strerror(-r.error));
        error = -EHOSTDOWN;
    } else if (r.status == 401) {
        buf_addf(err, "%s: 401, the token is refused", url);
        error = -EACCES;
    } else if (r.status != 200) {
        buf_addf(err, "%s: %d", url, r.status);
        error = -EHOSTDOWN;
    } else if (json_read(buf_str(&r.body), ret, NULL) != 0) {
        buf_addf(err, "%s: the answer is not JSON", url);
        error = -EHOSTDOWN;
    }
    http_result_done(&r);
    return error;
}

int upstream_ask_application(struct upstream *u, struct buf *err)
{
    json_t *answer = NULL;
    int error = ask(u, "/applications/@me", &answer, err);

    if (error)
        return error;
    const char *id = json_string_value(json_object_get(answer, "id"));
    if (!id || str_to_u64(str_c(id), &u->application) != 0) {
        buf_adds(err, "/applications/@me: no id in the answer");
        error = -EHOSTDOWN;
    }
    json_decref(answer);
    return error;
}

int upstream_ask_gateway(struct upstream *u, struct buf *err)
{
    json_t *answer = NULL;
    int error = ask(u, "/gateway/bot", &answer, err);

    if (error)
        return error;
    const char *url = json_string_value(json_object_get(answer, "url"));
    const json_t *limit = json_object_get(answer, "session_start_limit");
    json_int_t shards = json_integer_value(json_object_get(answer, "shards"));
    json_int_t concurrency = json_integer_value(json_object_get(limit, "max_concurrency"));
    if (url && strlen(url) < sizeof(u->gateway_url)) {
        snprintf(u->gateway_url, sizeof(u->gateway_url), "%s", url);
        u->shards = shards > 0 ? (unsigned)shards : 1;
        u->max_concurrency = concurrency > 0 ? (unsigned)concurrency : 1;
        u->starts_remaining = limit ? (int)json_integer_value(json_object_get(limit, "remaining")) : 1000;
        u->starts_total = limit ? (int)json_integer_value(json_object_get(limit, "total")) : 1000;
        u->starts_reset_after_ms = json_integer_value(json_object_get(limit, "reset_after"));
        u->asked_ms = clock_mono_ms();
    } else {
        buf_adds(err, "/gateway/bot: no url in the answer");
        error = -EHOSTDOWN;
    }
    json_decref(answer);
    return error;
}
