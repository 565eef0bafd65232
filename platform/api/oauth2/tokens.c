/* Tokens for an application's owner, as bot developers get them for testing, and what they say. Other grants need a
 * page where a person agrees; there is none. Coroutine. Source: "OAuth2: Client Credentials Grant", RFC 6749, RFC 7009.
 */
#include "platform/ports/tokens.h"
#include "platform/api/applications/applications.h"
#include "platform/api/events.h"
#include "platform/api/handlers.h"
#include "platform/api/oauth2/oauth2.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/ports/store/store.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>

/* --- who asks --------------------------------------------------------------------------------------------------------
 */
static struct str field(struct api_ctx *x, const char *key)
{
    json_t *v = json_object_get(x->body, key);

    return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)} : STR_NONE;
}

/* Errors of these routes are OAuth2's. */
static enum api_error refuse(struct api_ctx *x, int http_status, const char *error, const char *description)
{
    x->res->status = http_status;
    jw_obj(api_out(x));
    jw_kcstr(api_out(x), "error", error);
    if (description)
        jw_kcstr(api_out(x), "error_description", description);
    jw_obj_end(api_out(x));
    return API_OK;
}

/* "Basic base64(id:secret)". */
static bool basic_read(struct api_ctx *x, struct str *ret_id, struct str *ret_secret)
{
    struct str header = http_request_header(x->req, "Authorization");
    char *plain = arena_alloc(x->arena, 257);
    size_t n;

    if (header.n < 7 || header.n > 300 || !str_eq_nocase((struct str){header.p, 6}, STR("Basic ")) ||
        sodium_base642bin((unsigned char *)plain, 256, header.p + 6, header.n - 6, " ", &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return false;
    char *colon = memchr(plain, ':', n);
    if (!colon)
        return false;
    *ret_id = (struct str){plain, (size_t)(colon - plain)};
    *ret_secret = (struct str){colon + 1, n - ret_id->n - 1};
    return true;
}

/* 0, -EACCES, the store's errors. */
static int client_read(struct api_ctx *x, struct application *ret)
{
    struct str id = field(x, "client_id"), secret = field(x, "client_secret");
    uint64_t application_id;

    (void)basic_read(x, &id, &secret);
    if (!id.n || str_to_u64(id, &application_id) < 0)
        return -EACCES;
    int r = store_application_get(x->ports->db, x->arena, application_id, ret);
    if (r < 0)
        return r == -ENOENT ? -EACCES : r;
    struct str expected =
        token_client_secret(x->options->tokens, x->arena, application_id, (uint64_t)ret->secret_version);
    return secret.n == expected.n && sodium_memcmp(secret.p, expected.p, secret.n) == 0 ? 0 : -EACCES;
}

/* False: the answer stands, or is *ret. */
static bool client_enter(struct api_ctx *x, struct application *app, enum api_error *ret)
{
    int r = client_read(x, app);

    *ret = API_OK;
    if (r == -EACCES)
        *ret = refuse(x, 401, "invalid_client", NULL);
    else if (r < 0)
        *ret = api_port_error(r, API_ERROR_UNAUTHORIZED);
    return r == 0;
}

/* --- tokens ----------------------------------------------------------------------------------------------------------
 */
/* Each a documented one; those that need a person's presence are given and open nothing. */
static bool scopes_known(struct str scopes)
{
    static const struct str known =
        STR("activities.read activities.write applications.builds.read applications.builds.upload "
            "applications.commands applications.commands.update applications.commands.permissions.update "
            "applications.entitlements applications.store.update connections dm_channels.read email gdm.join "
            "guilds guilds.join guilds.members.read identify identify.premium messages.read relationships.read "
            "role_connections.write rpc rpc.activities.write rpc.notifications.read rpc.voice.read rpc.voice.write "
            "voice webhook.incoming");
    struct str word;

    while (scope_next(&scopes, &word))
        if (!scope_has(known, word))
            return false;
    return true;
}

static enum api_error credentials_grant(struct api_ctx *x, const struct application *app)
{
    struct str scopes = field(x, "scope");
    struct buf *out = api_out(x);

    if (!scopes.n || scopes.n > 400 || !scopes_known(scopes))
        return refuse(x, 400, "invalid_scope", "The requested scope is invalid, unknown, or malformed.");
    const struct bearer b = {.user_id = app->owner_id,
                             .application_id = app->id,
                             .expires_ms = clock_wall_ms() + LIMIT_BEARER_MS,
                             .scopes = scopes};
    jw_obj(out);
    jw_kstr(out, "access_token", bearer_issue(x, &b));
    jw_kcstr(out, "token_type", "Bearer");
    jw_ki64(out, "expires_in", LIMIT_BEARER_MS / 1000);
    jw_kstr(out, "scope", scopes);
    jw_obj_end(out);
    return API_OK;
}

enum api_error oauth2_token(struct api_ctx *x)
{
    struct application app;
    enum api_error e;

    if (!x->body)
        return refuse(x, 400, "invalid_request", "The body must be application/x-www-form-urlencoded.");
    if (!client_enter(x, &app, &e))
        return e;
    if (!str_eq(field(x, "grant_type"), STR("client_credentials")))
        return refuse(x, 400, "unsupported_grant_type", "Only client_credentials is supported.");
    return credentials_grant(x, &app);
}

/* Unknown tokens are revoked as well as any. */
enum api_error oauth2_token_revoke(struct api_ctx *x)
{
    struct application app;
    struct bearer b;
    struct str token;
    enum api_error e;

    if (!x->body)
        return refuse(x, 400, "invalid_request", "The body must be application/x-www-form-urlencoded.");
    if (!client_enter(x, &app, &e))
        return e;
    token = field(x, "token");
    int r = token.n ? bearer_verify(x, token, &b) : -EACCES;
    if (r == 0 && b.application_id == app.id)
        r = bearer_revoke(x, token, &b);
    if (r < 0 && r != -EACCES)
        return api_port_error(r, API_ERROR_UNAVAILABLE);
    jw_obj(api_out(x));
    jw_obj_end(api_out(x));
    return API_OK;
}

/* --- what a token says -----------------------------------------------------------------------------------------------
 */
static void scopes_write(struct buf *out, struct str scopes)
{
    struct str word;

    jw_karr(out, "scopes");
    while (scope_next(&scopes, &word))
        if (word.n)
            jw_str(out, word);
    jw_arr_end(out);
}

enum api_error oauth2_me(struct api_ctx *x)
{
    struct application app;
    struct user u;
    struct buf *out = api_out(x);

    if (!x->bearer)
        return API_ERROR_UNAUTHORIZED;
    int r = store_application_get(x->ports->db, x->arena, x->bearer->application_id, &app);
    if (r == 0)
        r = store_user_get(x->ports->db, x->arena, x->user_id, &u);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNAUTHORIZED);
    jw_obj(out);
    jw_kobj(out, "application");
    application_write_public(x, out, &app);
    jw_obj_end(out);
    scopes_write(out, x->bearer->scopes);
    jw_ktime_ms(out, "expires", x->bearer->expires_ms);
    if (scope_has(x->bearer->scopes, STR("identify"))) {
        jw_key(out, "user");
        user_write(out, &u);
    }
    jw_obj_end(out);
    return API_OK;
}

/* The owner's client shows the new one once; the old one is void. */
enum api_error application_secret_reset(struct api_ctx *x)
{
    struct application app;
    struct commit c;
    enum api_error e = application_mine(x, x->ids[0], &app);

    if (e != API_OK)
        return e;
    app.secret_version++;
    commit_init(&c, x->arena);
    store_application_update(&c, &app);
    e = api_commit(x, &c, API_ERROR_UNKNOWN_APPLICATION);
    if (e != API_OK)
        return e;
    jw_obj(api_out(x));
    jw_kstr(api_out(x), "secret",
            token_client_secret(x->options->tokens, x->arena, app.id, (uint64_t)app.secret_version));
    jw_obj_end(api_out(x));
    return API_OK;
}
