/* Bearer tokens: made, checked, revoked; the routes each scope opens. Coroutine. */
#include "platform/api/oauth2/oauth2.h"

#include "platform/api/handlers.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/ports/tokens.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>

#define BEARER_CHARS_MAX 1024
#define VARIANT          sodium_base64_VARIANT_URLSAFE_NO_PADDING

bool scope_next(struct str *scopes, struct str *ret_word)
{
    const char *blank = scopes->n ? memchr(scopes->p, ' ', scopes->n) : NULL;
    size_t n = blank ? (size_t)(blank - scopes->p) : scopes->n, skip = blank ? n + 1 : n;

    *ret_word = (struct str){scopes->p, n};
    *scopes = (struct str){scopes->p + skip, scopes->n - skip};
    return skip > 0;
}

bool scope_has(struct str scopes, struct str wanted)
{
    struct str word;

    while (scope_next(&scopes, &word))
        if (str_eq(word, wanted))
            return true;
    return false;
}

/* --- the token -------------------------------------------------------------------------------------------------------
 */
/* base64url("user.application.expires.version.scopes") "." base64url(MAC). The version is the user's, so that what
 * voids a person's tokens voids these. */
struct str bearer_issue(struct api_ctx *x, const struct bearer *b)
{
    struct str plain =
        arena_printf(x->arena, "%llu.%llu.%lld.%llu.%.*s", (unsigned long long)b->user_id,
                     (unsigned long long)b->application_id, (long long)(b->expires_ms / 1000),
                     (unsigned long long)token_version(x->options->tokens, b->user_id), STR_ARG(b->scopes));
    size_t max = sodium_base64_encoded_len(plain.n, VARIANT);
    char *head = arena_alloc(x->arena, max), tail[64];
    unsigned char mac[TOKEN_MAC_BYTES];

    sodium_bin2base64(head, max, (const unsigned char *)plain.p, plain.n, VARIANT);
    token_mac(x->options->tokens, "bearer", str_c(head), mac);
    sodium_bin2base64(tail, sizeof tail, mac, sizeof mac, VARIANT);
    return arena_printf(x->arena, "%s.%s", head, tail);
}

static bool number_take(struct str *s, uint64_t *ret)
{
    const char *dot = memchr(s->p, '.', s->n);
    size_t n = dot ? (size_t)(dot - s->p) : 0;

    if (!dot || str_to_u64((struct str){s->p, n}, ret) < 0)
        return false;
    *s = (struct str){dot + 1, s->n - n - 1};
    return true;
}

static int token_read(struct api_ctx *x, struct str token, struct bearer *ret)
{
    const char *dot = memchr(token.p, '.', token.n);
    unsigned char mac[TOKEN_MAC_BYTES], expected[TOKEN_MAC_BYTES];
    uint64_t expires_s, version;
    size_t n, plain_n;

    if (!dot || token.n > BEARER_CHARS_MAX)
        return -EACCES;
    struct str head = {token.p, (size_t)(dot - token.p)};
    if (sodium_base642bin(mac, sizeof mac, dot + 1, token.n - head.n - 1, NULL, &n, NULL, VARIANT) != 0 ||
        n != sizeof mac)
        return -EACCES;
    token_mac(x->options->tokens, "bearer", head, expected);
    char *plain = arena_alloc(x->arena, head.n + 1);
    if (sodium_memcmp(mac, expected, sizeof mac) != 0 ||
        sodium_base642bin((unsigned char *)plain, head.n, head.p, head.n, NULL, &plain_n, NULL, VARIANT) != 0)
        return -EACCES;
    struct str s = {plain, plain_n};
    if (!number_take(&s, &ret->user_id) || !number_take(&s, &ret->application_id) || !number_take(&s, &expires_s) ||
        !number_take(&s, &version))
        return -EACCES;
    ret->expires_ms = (int64_t)expires_s * 1000;
    ret->scopes = s;
    bool good = ret->expires_ms > clock_wall_ms() && version == token_version(x->options->tokens, ret->user_id);
    return good ? 0 : -EACCES;
}

static const char *revoked_key(struct str token, char key[80])
{
    unsigned char hash[16];
    char hex[2 * sizeof hash + 1];

    crypto_generichash(hash, sizeof hash, (const unsigned char *)token.p, token.n, NULL, 0);
    snprintf(key, 80, "bearer:revoked:%s", sodium_bin2hex(hex, sizeof hex, hash, sizeof hash));
    return key;
}

int bearer_verify(struct api_ctx *x, struct str token, struct bearer *ret)
{
    struct str revoked;
    char key[80];
    int r = token_read(x, token, ret);

    if (r < 0)
        return r;
    r = kv_get(x->ports->kv, x->arena, revoked_key(token, key), &revoked);
    return r == -ENOENT ? 0 : r == 0 ? -EACCES : r;
}

int bearer_revoke(struct api_ctx *x, struct str token, const struct bearer *b)
{
    char key[80];

    return kv_put(x->ports->kv, revoked_key(token, key), STR("1"), b->expires_ms - clock_wall_ms() + 1000);
}

/* --- what it opens ---------------------------------------------------------------------------------------------------
 */
static const struct {
    api_handler_fn handler;
    const char *scope; /* "": any */
} opened[] = {
    {user_me_get, "identify"},
    {user_guilds_list, "guilds"},
    {oauth2_me, ""},
    {application_commands_list, "applications.commands.update"},
    {application_command_create, "applications.commands.update"},
    {application_commands_overwrite, "applications.commands.update"},
    {application_command_get, "applications.commands.update"},
    {application_command_modify, "applications.commands.update"},
    {application_command_delete, "applications.commands.update"},
    {guild_commands_list, "applications.commands.update"},
    {guild_command_create, "applications.commands.update"},
    {guild_commands_overwrite, "applications.commands.update"},
    {guild_command_get, "applications.commands.update"},
    {guild_command_modify, "applications.commands.update"},
    {guild_command_delete, "applications.commands.update"},
    {guild_command_permissions_list, "applications.commands.update"},
    {guild_command_permissions_get, "applications.commands.update"},
    {guild_command_permissions_put, "applications.commands.permissions.update"},
};

static const char *scope_of(const struct route *route)
{
    for (size_t i = 0; i < sizeof opened / sizeof *opened; i++)
        if (opened[i].handler == route->handler)
            return opened[i].scope;
    return NULL;
}

/* Routes of an application are open to that application's tokens only. */
enum api_error bearer_enter(struct api_ctx *x, const struct route *route, struct str token)
{
    struct bearer b;
    const char *scope = scope_of(route);
    uint64_t application_id;
    int r = bearer_verify(x, token, &b);

    if (r < 0 && r != -EACCES)
        return api_port_error(r, API_ERROR_UNAUTHORIZED);
    if (r < 0 || !scope)
        return API_ERROR_UNAUTHORIZED;
    if (*scope && !scope_has(b.scopes, str_c(scope)))
        return API_ERROR_MISSING_OAUTH2_SCOPE;
    bool of_application = route->param_count && strncmp(route->param_names[0], "application.id", 14) == 0;
    if (of_application && (str_to_u64(x->texts[0], &application_id) < 0 || application_id != b.application_id))
        return API_ERROR_NOT_AUTHORIZED_FOR_APPLICATION;
    x->user_id = b.user_id;
    struct bearer *kept = ARENA_NEW(x->arena, struct bearer);
    *kept = b;
    x->bearer = kept;
    return API_OK;
}
