/* HTTP calls through the rest-proxy. A message sent while an event is handled carries a nonce made from the event and
 * the call's place in the handler, so that handling the event again sends nothing twice. Coroutine. */
#include "worker-sdk/src/sdk.h"

#include "platform/base/jw.h"
#include "platform/base/log.h"
#include "platform/protocol/json_read.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>

#define TIMEOUT_MS       60000
#define ANSWER_BYTES_MAX (16u << 20)

const struct gh_error *gh_last_error(const struct gh_context *c)
{
    return &c->error;
}

static int error_of_status(int status)
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
        return status < 300 ? 0 : status < 500 ? -EINVAL : -EIO;
    }
}

static void error_keep(struct gh_context *c, int status, const char *json)
{
    json_t *o = NULL;
    c->error = (struct gh_error){.status = status, .message = ""};
    if (json_read(str_c(json), &o, NULL) < 0)
        return;
    context_keep(c, o);
    const char *message = json_string_value(json_object_get(o, "message"));
    c->error.code = (int)json_integer_value(json_object_get(o, "code"));
    c->error.message = message ? message : "";
}

int gh_request(struct gh_context *c, const char *method, const char *path, const char *body,
               struct gh_response *response)
{
    BUF_AUTO struct buf url = {0};
    const char *headers[] = {c->bot->authorization, body ? "Content-Type: application/json" : NULL, NULL};
    struct http_result r;
    buf_addf(&url, "%s/v10%s", c->bot->proxy_url, path);
    struct http_call_options o = {.method = method,
                                  .url = url.data,
                                  .headers = headers,
                                  .body = str_c(body),
                                  .timeout_ms = TIMEOUT_MS,
                                  .body_max = ANSWER_BYTES_MAX};
    int error = http_call_await(c->bot->http, &o, &r);
    const char *json = error == 0 ? arena_strdup(&c->arena, buf_str(&r.body)) : "";
    int status = error == 0 ? r.status : 0;
    http_result_done(&r);
    if (error == 0)
        error = error_of_status(status);
    if (error)
        error_keep(c, status, json);
    if (response)
        *response = (struct gh_response){status, json};
    return error;
}

/* At most 25 characters. */
static void nonce_make(struct gh_context *c, char nonce[26])
{
    unsigned char hash[crypto_shorthash_BYTES];
    static const unsigned char key[crypto_shorthash_KEYBYTES] = {1};
    char text[192];
    int n = snprintf(text, sizeof text, "%s:%lld", c->item->event.session, (long long)c->item->event.seq);
    crypto_shorthash(hash, (const unsigned char *)text, (unsigned long long)n, key);
    sodium_bin2hex(nonce, 17, hash, sizeof hash);
    snprintf(nonce + 16, 10, "-%u", c->calls++ % 100000);
}

static int message_post(struct gh_context *c, uint64_t channel_id, json_t *message, const struct gh_message **sent)
{
    char nonce[26], path[64];
    struct gh_response response;
    json_t *answer;
    nonce_make(c, nonce);
    if (!json_object_get(message, "nonce")) {
        json_object_set_new(message, "nonce", json_string(nonce));
        json_object_set_new(message, "enforce_nonce", json_true());
    }
    char *body = json_dumps(message, JSON_COMPACT);
    json_decref(message);
    snprintf(path, sizeof path, "/channels/%llu/messages", (unsigned long long)channel_id);
    int r = body ? gh_request(c, "POST", path, body, &response) : -EINVAL;
    free(body);
    if (r == 0 && sent && json_read(str_c(response.json), &answer, NULL) == 0)
        *sent = ENTITY_READ(c, message, context_keep(c, answer));
    return r;
}

static json_t *content_object(const char *fmt, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0)
        return NULL;
    json_t *o = json_pack("{s:s}", "content", text);
    free(text);
    return o;
}

int gh_message_send(struct gh_context *c, uint64_t channel_id, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    json_t *o = content_object(fmt, args);
    va_end(args);
    return o ? message_post(c, channel_id, o, NULL) : -EINVAL;
}

int gh_message_reply(struct gh_context *c, const struct gh_message *to, const char *fmt, ...)
{
    char id[24];
    va_list args;
    va_start(args, fmt);
    json_t *o = content_object(fmt, args);
    va_end(args);
    if (!o)
        return -EINVAL;
    snprintf(id, sizeof id, "%llu", (unsigned long long)to->id);
    json_object_set_new(o, "message_reference", json_pack("{s:s,s:b}", "message_id", id, "fail_if_not_exists", 0));
    return message_post(c, to->channel_id, o, NULL);
}

int gh_message_send_json(struct gh_context *c, uint64_t channel_id, const char *json, const struct gh_message **sent)
{
    json_t *o;
    if (json_read(str_c(json), &o, NULL) < 0)
        return -EINVAL;
    if (json_is_object(o))
        return message_post(c, channel_id, o, sent);
    json_decref(o);
    return -EINVAL;
}

int gh_message_edit(struct gh_context *c, uint64_t channel_id, uint64_t message_id, const char *fmt, ...)
{
    char path[96];
    va_list args;
    va_start(args, fmt);
    json_t *o = content_object(fmt, args);
    va_end(args);
    char *body = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (!body)
        return -EINVAL;
    snprintf(path, sizeof path, "/channels/%llu/messages/%llu", (unsigned long long)channel_id,
             (unsigned long long)message_id);
    int r = gh_request(c, "PATCH", path, body, NULL);
    free(body);
    return r;
}

int gh_message_delete(struct gh_context *c, uint64_t channel_id, uint64_t message_id)
{
    char path[96];
    snprintf(path, sizeof path, "/channels/%llu/messages/%llu", (unsigned long long)channel_id,
             (unsigned long long)message_id);
    return gh_request(c, "DELETE", path, NULL, NULL);
}

static void percent_encode(struct buf *b, const char *s)
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

int gh_reaction_add(struct gh_context *c, uint64_t channel_id, uint64_t message_id, const char *emoji)
{
    BUF_AUTO struct buf path = {0};
    buf_addf(&path, "/channels/%llu/messages/%llu/reactions/", (unsigned long long)channel_id,
             (unsigned long long)message_id);
    percent_encode(&path, emoji);
    buf_adds(&path, "/@me");
    return gh_request(c, "PUT", path.data, NULL, NULL);
}

int gh_typing(struct gh_context *c, uint64_t channel_id)
{
    char path[64];
    snprintf(path, sizeof path, "/channels/%llu/typing", (unsigned long long)channel_id);
    return gh_request(c, "POST", path, NULL, NULL);
}
