/* What is known of an interaction, in kv for as long as its token is good: the record, the first answer (who puts it
 * first has answered), a modal on its way. Coroutine. Limits: LIMIT_INTERACTION_MS. */
#include "platform/api/interactions/interactions.h"

#include "platform/api/api_private.h"
#include "platform/api/events.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "platform/protocol/json_text.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>

#define SECRET_BYTES 48
#define KEY_MAX      64

static const char *record_key(char key[KEY_MAX], uint64_t id)
{
    snprintf(key, KEY_MAX, "ix:{%llu}", (unsigned long long)id);
    return key;
}

static const char *answer_key(char key[KEY_MAX], uint64_t id)
{
    snprintf(key, KEY_MAX, "ix:{%llu}:answer", (unsigned long long)id);
    return key;
}

static const char *modal_key(char key[KEY_MAX], uint64_t id)
{
    snprintf(key, KEY_MAX, "ix:{%llu}:modal", (unsigned long long)id);
    return key;
}

/* "interaction:<id>:<secret>" in base64, as the original's look. */
void interaction_token_make(struct api_ctx *x, struct interaction *ix)
{
    unsigned char secret[SECRET_BYTES];
    char hex[2 * SECRET_BYTES + 1], text[256];

    randombytes_buf(secret, sizeof secret);
    sodium_bin2hex(hex, sizeof hex, secret, sizeof secret);
    struct str plain = arena_printf(x->arena, "interaction:%llu:%s", (unsigned long long)ix->id, hex);
    sodium_bin2base64(text, sizeof text, (const unsigned char *)plain.p, plain.n,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    ix->token = arena_str(x->arena, str_c(text));
}

static int token_id(struct str token, uint64_t *ret)
{
    char plain[256];
    size_t n;

    if (token.n > 300 ||
        sodium_base642bin((unsigned char *)plain, sizeof plain - 1, token.p, token.n, NULL, &n, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        n < 13 || memcmp(plain, "interaction:", 12) != 0)
        return -EINVAL;
    plain[n] = 0;
    return snowflake_parse((struct str){plain + 12, strcspn(plain + 12, ":")}, ret);
}

static struct str record_write(struct api_ctx *x, const struct interaction *ix)
{
    struct buf b = {0};

    jw_obj(&b);
    jw_kstr(&b, "token", ix->token);
    jw_kid(&b, "id", ix->id);
    jw_kid(&b, "application", ix->application_id);
    jw_kid(&b, "bot", ix->bot_id);
    jw_kid(&b, "user_id", ix->user_id);
    jw_kid(&b, "guild", ix->guild_id);
    jw_kid(&b, "channel", ix->channel_id);
    jw_kid(&b, "source", ix->source_id);
    jw_kid(&b, "target", ix->target_id);
    jw_ki64(&b, "type", ix->type);
    jw_ki64(&b, "command_type", ix->command_type);
    jw_ki64(&b, "bot_here", ix->bot_here);
    jw_kraw(&b, "nonce", ix->nonce);
    jw_kstr(&b, "name", ix->name);
    jw_kraw(&b, "user", ix->user_json);
    jw_kraw(&b, "owners", ix->owners_json);
    jw_kraw(&b, "target_user", ix->target_json);
    jw_kraw(&b, "trigger", ix->trigger_json);
    jw_obj_end(&b);
    return payload_take(x->arena, &b);
}

int interaction_put(struct api_ctx *x, const struct interaction *ix)
{
    char key[KEY_MAX];

    return kv_put(x->ports->kv, record_key(key, ix->id), record_write(x, ix), LIMIT_INTERACTION_MS);
}

static struct str raw_of(struct str record, struct str key)
{
    struct str v = json_member(record, key);

    return str_eq(v, STR("null")) ? STR_NONE : v;
}

static struct str text_of(struct api_ctx *x, json_t *o, const char *key)
{
    json_t *v = json_object_get(o, key);

    return json_is_string(v) ? arena_str(x->arena, (struct str){json_string_value(v), json_string_length(v)})
                             : STR_NONE;
}

static int number_of(struct str record, struct str key)
{
    uint64_t n = 0;

    (void)json_u64(json_member(record, key), &n);
    return (int)n;
}

static int record_read(struct api_ctx *x, struct str record, struct interaction *ret)
{
    json_t *o = json_loadb(record.p, record.n, 0, NULL);

    if (!o)
        return -EIO;
    *ret = (struct interaction){.id = json_member_id(record, STR("id")),
                                .application_id = json_member_id(record, STR("application")),
                                .bot_id = json_member_id(record, STR("bot")),
                                .user_id = json_member_id(record, STR("user_id")),
                                .guild_id = json_member_id(record, STR("guild")),
                                .channel_id = json_member_id(record, STR("channel")),
                                .source_id = json_member_id(record, STR("source")),
                                .target_id = json_member_id(record, STR("target")),
                                .type = number_of(record, STR("type")),
                                .command_type = number_of(record, STR("command_type")),
                                .bot_here = number_of(record, STR("bot_here")) != 0,
                                .token = text_of(x, o, "token"),
                                .name = text_of(x, o, "name"),
                                .nonce = raw_of(record, STR("nonce")),
                                .user_json = raw_of(record, STR("user")),
                                .owners_json = raw_of(record, STR("owners")),
                                .target_json = raw_of(record, STR("target_user")),
                                .trigger_json = raw_of(record, STR("trigger"))};
    json_decref(o);
    return 0;
}

static int record_get(struct api_ctx *x, uint64_t id, struct interaction *ret)
{
    char key[KEY_MAX];
    struct str record;
    int r = kv_get(x->ports->kv, x->arena, record_key(key, id), &record);

    return r < 0 ? r : record_read(x, record, ret);
}

/* Tokens cannot be guessed, but asking costs: so much for each address, and not more. */
static enum api_error stranger(struct api_ctx *x, enum api_error e, bool *ret_refused)
{
    char key[128];

    snprintf(key, sizeof key, "stranger:%.*s", STR_ARG(caller_address(x)));
    *ret_refused = !api_limit(x, key, LIMIT_WEBHOOK_STRANGERS, 1000, API_OK);
    return *ret_refused ? API_OK : e;
}

enum api_error interaction_find(struct api_ctx *x, struct str token, uint64_t application_id, struct interaction *ret,
                                bool *ret_refused)
{
    uint64_t id;

    *ret_refused = false;
    if (token_id(token, &id) < 0)
        return stranger(x, API_ERROR_UNKNOWN_WEBHOOK, ret_refused);
    int r = record_get(x, id, ret);
    if (r == -ENOENT)
        return stranger(x, API_ERROR_INVALID_WEBHOOK_TOKEN, ret_refused);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_WEBHOOK);
    if (ret->token.n != token.n || sodium_memcmp(ret->token.p, token.p, token.n) != 0)
        return stranger(x, API_ERROR_INVALID_WEBHOOK_TOKEN, ret_refused);
    if (application_id && ret->application_id != application_id)
        return API_ERROR_UNKNOWN_WEBHOOK;
    return API_OK;
}

/* --- the first answer ------------------------------------------------------------------------------------------------
 */
static int64_t left_ms(const struct interaction *ix)
{
    int64_t left = snowflake_ms(ix->id) + LIMIT_INTERACTION_MS - clock_wall_ms();

    return left > 1000 ? left : 1000;
}

int interaction_answer_claim(struct api_ctx *x, const struct interaction *ix, const struct interaction_answer *a)
{
    char key[KEY_MAX];
    struct str value = arena_printf(x->arena, "{\"type\":%d,\"message\":\"%llu\",\"ephemeral\":%d}", a->type,
                                    (unsigned long long)a->message_id, a->ephemeral);
    struct str before;

    return kv_put_new(x->ports->kv, x->arena, answer_key(key, ix->id), value, left_ms(ix), &before);
}

void interaction_answer_withdraw(struct api_ctx *x, const struct interaction *ix)
{
    char key[KEY_MAX];

    (void)kv_del(x->ports->kv, answer_key(key, ix->id));
}

int interaction_answer_get(struct api_ctx *x, const struct interaction *ix, struct interaction_answer *ret)
{
    char key[KEY_MAX];
    struct str value;
    int r = kv_get(x->ports->kv, x->arena, answer_key(key, ix->id), &value);

    if (r < 0)
        return r;
    *ret = (struct interaction_answer){.type = number_of(value, STR("type")),
                                       .message_id = json_member_id(value, STR("message")),
                                       .ephemeral = number_of(value, STR("ephemeral")) != 0};
    return 0;
}

/* --- modals ----------------------------------------------------------------------------------------------------------
 */
int interaction_modal_put(struct api_ctx *x, const struct interaction *ix, struct str modal_json)
{
    char key[KEY_MAX];

    return kv_put(x->ports->kv, modal_key(key, ix->id), modal_json, LIMIT_INTERACTION_MS);
}

int interaction_modal_get(struct api_ctx *x, uint64_t interaction_id, struct interaction *ret_opener,
                          json_t **ret_modal)
{
    char key[KEY_MAX];
    struct str text;
    int r = record_get(x, interaction_id, ret_opener);

    if (r == 0)
        r = kv_get(x->ports->kv, x->arena, modal_key(key, interaction_id), &text);
    if (r < 0)
        return r;
    *ret_modal = json_loadb(text.p, text.n, 0, NULL);
    return *ret_modal ? 0 : -EIO;
}

void interaction_modal_drop(struct api_ctx *x, uint64_t interaction_id)
{
    char key[KEY_MAX];

    (void)kv_del(x->ports->kv, modal_key(key, interaction_id));
}
