/* Applications that are called instead of listening: interactions signed with Ed25519 and posted to their endpoint,
 * whose response is the first answer. One coroutine for each that is under way; nothing is sent twice.
 * Limits: LIMIT_ENDPOINT_BYTES, the first answer's time. Source: "Interactions: Preparing for Interactions". */
#include "platform/api/interactions/interactions.h"

#include "platform/api/api_private.h"
#include "platform/api/events.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/base/snowflake.h"
#include "platform/io/co.h"
#include "platform/io/http_client.h"
#include "platform/protocol/json_read.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>

METRIC_DEFINE(failed, METRIC_COUNTER, "guildhall_api_endpoint_failures_total",
              "Interactions whose application's endpoint gave no usable answer");

/* The key pair of an application follows from the deployment's secret, so there is no private key to store or lose. */
static void key_pair(const struct api_options *o, uint64_t application_id, unsigned char pk[crypto_sign_PUBLICKEYBYTES],
                     unsigned char sk[crypto_sign_SECRETKEYBYTES])
{
    static const char what[] = "guildhall interactions";
    unsigned char seed[crypto_sign_SEEDBYTES];
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, sizeof seed);
    crypto_generichash_update(&state, (const unsigned char *)what, sizeof what);
    crypto_generichash_update(&state, (const unsigned char *)o->secret.p, o->secret.n);
    crypto_generichash_update(&state, (const unsigned char *)&application_id, sizeof application_id);
    crypto_generichash_final(&state, seed, sizeof seed);
    crypto_sign_seed_keypair(pk, sk, seed);
    sodium_memzero(seed, sizeof seed);
}

struct str application_verify_key(struct api_ctx *x, uint64_t application_id)
{
    unsigned char pk[crypto_sign_PUBLICKEYBYTES], sk[crypto_sign_SECRETKEYBYTES];
    char hex[2 * sizeof pk + 1];

    key_pair(x->options, application_id, pk, sk);
    sodium_memzero(sk, sizeof sk);
    return arena_str(x->arena, str_c(sodium_bin2hex(hex, sizeof hex, pk, sizeof pk)));
}

/* good: signed as it should be; else with a signature that must be refused. */
static int post(struct api_ctx *x, uint64_t application_id, struct str url, struct str body, bool good,
                struct http_result *ret)
{
    unsigned char pk[crypto_sign_PUBLICKEYBYTES], sk[crypto_sign_SECRETKEYBYTES], sig[crypto_sign_BYTES];
    char hex[2 * sizeof sig + 1], signature[64 + sizeof hex], stamp[64];
    struct str now = arena_printf(x->arena, "%lld", (long long)(clock_wall_ms() / 1000));
    struct str signed_text = arena_printf(x->arena, "%.*s%.*s", STR_ARG(now), STR_ARG(body));

    key_pair(x->options, application_id, pk, sk);
    crypto_sign_detached(sig, NULL, (const unsigned char *)signed_text.p, signed_text.n, sk);
    sodium_memzero(sk, sizeof sk);
    if (!good)
        sig[0] ^= 1;
    snprintf(signature, sizeof signature, "X-Signature-Ed25519: %s", sodium_bin2hex(hex, sizeof hex, sig, sizeof sig));
    snprintf(stamp, sizeof stamp, "X-Signature-Timestamp: %.*s", STR_ARG(now));
    const char *headers[] = {"Content-Type: application/json", "User-Agent: Guildhall-Interactions/1.0", signature,
                             stamp, NULL};
    struct http_call_options o = {.method = "POST",
                                  .url = arena_strdup(x->arena, url),
                                  .headers = headers,
                                  .body = body,
                                  .timeout_ms = (int)interaction_first_ms(x->options),
                                  .body_max = LIMIT_ENDPOINT_BYTES};
    return http_call_await(x->api->endpoints, &o, ret);
}

/* --- the check when a URL is set -------------------------------------------------------------------------------------
 */
static bool is_pong(const struct http_result *r)
{
    json_t *o = NULL;
    bool is_json = str_starts(http_result_header(r, "content-type"), STR("application/json"));
    bool pong = r->status == 200 && is_json && json_read(buf_str(&r->body), &o, NULL) == 0 &&
                json_integer_value(json_object_get(o, "type")) == CALLBACK_PONG;

    json_decref(o);
    return pong;
}

bool endpoint_check(struct api_ctx *x, uint64_t application_id, struct str url)
{
    struct http_result r;
    struct buf b = {0};

    if (!str_starts(url, STR("https://")) && !str_starts(url, STR("http://")))
        return false;
    jw_obj(&b);
    jw_kid(&b, "id", snowflake_next());
    jw_kid(&b, "application_id", application_id);
    jw_ki64(&b, "type", INTERACTION_PING);
    jw_ki64(&b, "version", 1);
    jw_kcstr(&b, "token", "ping");
    jw_obj_end(&b);
    struct str body = payload_take(x->arena, &b);
    bool good = post(x, application_id, url, body, true, &r) == 0 && is_pong(&r);
    http_result_done(&r);
    if (!good)
        return false;
    /* who does not look at signatures would believe anybody */
    good = post(x, application_id, url, body, false, &r) == 0 && r.status == 401;
    http_result_done(&r);
    return good;
}

/* --- delivery --------------------------------------------------------------------------------------------------------
 */
struct delivery {
    struct api *api;
    struct arena arena;
    struct interaction ix;
    struct str url, payload;
};

void interaction_fail(struct api_ctx *x, const struct interaction *ix)
{
    if (interaction_answer_claim(x, ix, &(struct interaction_answer){0}) == 0)
        interaction_tell_user(x, ix, EVENT_INTERACTION_FAILURE, interaction_head(x, ix));
}

/* 202 without a body: the application answers over HTTP itself. */
static void response_take(struct api_ctx *x, const struct interaction *ix, struct http_result *r)
{
    enum api_error e = API_ERROR_GENERAL_400;

    if (r->status == 202)
        return;
    if (r->status == 200 && json_read(buf_str(&r->body), &x->body, NULL) == 0 && json_is_object(x->body))
        e = interaction_answer(x, ix, false);
    if (e != API_OK && e != API_ERROR_ALREADY_ACKNOWLEDGED) {
        metric_add(&failed, 1);
        LOG_DEBUG("endpoint's answer not usable", "application=%llu status=%d error=%d",
                  (unsigned long long)ix->application_id, r->status, (int)e);
        interaction_fail(x, ix);
    }
    json_decref(x->body);
}

static void deliver(void *arg)
{
    struct delivery *d = arg;
    struct http_request req = {0};
    struct http_response res = {0};
    struct http_result r;
    struct api_ctx x = {.api = d->api,
                        .options = &d->api->options,
                        .ports = d->api->options.ports,
                        .req = &req,
                        .res = &res,
                        .arena = &d->arena,
                        .form_errors = BUF_INIT(64u << 10)};
    int error = post(&x, d->ix.application_id, d->url, d->payload, true, &r);

    if (error == 0) {
        response_take(&x, &d->ix, &r);
    } else if (error != -ECANCELED) { /* that: the process stops */
        metric_add(&failed, 1);
        interaction_fail(&x, &d->ix);
    }
    http_result_done(&r);
    buf_done(&res.body);
    buf_done(&res.head);
    buf_done(&x.form_errors);
    arena_done(&d->arena);
    mem_free(d);
}

void interaction_post(struct api_ctx *x, const struct interaction *ix, struct str url, struct str payload)
{
    struct delivery *d = MEM_NEW(struct delivery);

    d->api = x->api;
    d->ix = *ix;
    struct str *const texts[] = {&d->ix.token,       &d->ix.nonce,       &d->ix.name,        &d->ix.user_json,
                                 &d->ix.owners_json, &d->ix.target_json, &d->ix.trigger_json};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = arena_str(&d->arena, *texts[i]);
    d->url = arena_str(&d->arena, url);
    d->payload = arena_str(&d->arena, payload);
    if (co_spawn(deliver, d) < 0) {
        interaction_fail(x, ix);
        arena_done(&d->arena);
        mem_free(d);
    }
}
