/* Users: one's own and others'. Coroutine. Source: Discord API documentation, "User". */
#include "platform/api/users/users.h"
#include "platform/api/auth/account.h"
#include "platform/api/auth/password.h"
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/api/images.h"
#include "platform/api/oauth2/oauth2.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/ports/store/store.h"
#include "platform/ports/tokens.h"

#include <errno.h>

/* GUILD_MEMBER_UPDATE goes to this many guilds when a user changes; a bot in more is seen there with its next one. */
#define MEMBER_UPDATES_MAX 200

enum api_error user_me_get(struct api_ctx *x)
{
    struct user u;
    int r = store_user_get(x->ports->db, x->arena, x->user_id, &u);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_USER);
    if (x->bearer && !scope_has(x->bearer->scopes, STR("email")))
        user_write(api_out(x), &u);
    else
        user_write_private(api_out(x), &u);
    return API_OK;
}

enum api_error user_get(struct api_ctx *x)
{
    struct user u;
    int r = store_user_get(x->ports->db, x->arena, x->ids[0], &u);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_USER);
    user_write(api_out(x), &u);
    return API_OK;
}

/* What a person may only change with the present password. */
static enum api_error credentials_read(struct api_ctx *x, struct user *u, struct str *ret_new_password)
{
    struct str email = STR_NONE, password = STR_NONE;

    if (x->is_bot)
        return API_OK;
    bool mail = form_str(x, "email", FORM_OPTIONAL, 3, 254, &email) && account_email(x, "email", email, &email);
    bool fresh = form_str(x, "new_password", FORM_OPTIONAL, PASSWORD_CHARS_MIN, PASSWORD_CHARS_MAX, ret_new_password);
    if (form_result(x) != API_OK || (!mail && !fresh))
        return form_result(x);
    (void)form_str(x, "password", FORM_REQUIRED, 1, PASSWORD_CHARS_MAX, &password);
    if (form_result(x) != API_OK)
        return form_result(x);
    int r = password_verify(password, u->password_hash);
    if (r == -EAGAIN)
        return API_ERROR_RESOURCE_OVERLOADED;
    if (r < 0) {
        form_error(x, "password", "PASSWORD_DOES_NOT_MATCH", "Password does not match.");
        return form_result(x);
    }
    if (mail)
        u->email = email;
    return API_OK;
}

static enum api_error profile_read(struct api_ctx *x, struct user *u)
{
    enum api_error e = API_OK;
    struct str name = STR_NONE;
    int64_t color;

    if (form_str(x, "username", FORM_OPTIONAL, 2, 32, &name)) {
        if (x->is_bot)
            u->username = name;
        else
            (void)account_username(x, "username", name, &u->username);
    }
    if (!x->is_bot && form_str(x, "global_name", FORM_NULLABLE, 0, 32, &u->global_name) && u->global_name.n == 0)
        u->global_name = STR_NONE;
    (void)form_str(x, "locale", FORM_OPTIONAL, 2, 16, &u->locale);
    if (form_has(x, "accent_color"))
        u->accent_color =
            form_i64(x, "accent_color", FORM_NULLABLE, 0, 0xFFFFFF, &color) && !form_is_null(x, "accent_color") ? color
                                                                                                                : -1;
    if (form_result(x) == API_OK)
        (void)image_read(x, "avatar", "avatars", u->id, &u->avatar, &e);
    if (e == API_OK && form_result(x) == API_OK)
        (void)image_read(x, "banner", "banners", u->id, &u->banner, &e);
    return e == API_OK ? form_result(x) : e;
}

static bool looks_the_same(const struct user *a, const struct user *b)
{
    BUF_AUTO struct buf before = {0}, after = {0};

    user_write(&before, a);
    user_write(&after, b);
    return str_eq(buf_str(&before), buf_str(&after));
}

/* USER_UPDATE to the user's own sessions, GUILD_MEMBER_UPDATE to its guilds. 0 or sql errors. */
static int user_update_tell(struct api_ctx *x, struct commit *c, const struct user *before, const struct user *u)
{
    struct buf b = {0};
    bool same = looks_the_same(before, u);
    struct event *e = commit_event(c, EVENT_USER_UPDATE, u->id, true);
    struct member *members;
    unsigned count;

    user_write_private(&b, u);
    e->user_id = u->id;
    e->data = payload_take(c->arena, &b);
    int r = store_user_members(x->ports->db, x->arena, u->id, MEMBER_UPDATES_MAX, &members, &count);
    for (unsigned i = 0; r == 0 && i < count; i++) {
        members[i].user = *u;
        struct event *update = events_member(c, EVENT_GUILD_MEMBER_UPDATE, &members[i]);
        update->mentions = &x->user_id;
        update->mention_count = !same;
    }
    return r;
}

/* A new password ends every session and token but the one in the answer. */
static enum api_error password_change(struct api_ctx *x, struct user *u, struct str fresh, struct commit *c)
{
    int r = password_hash(x->arena, fresh, &u->password_hash);

    if (r < 0)
        return r == -EAGAIN ? API_ERROR_RESOURCE_OVERLOADED : api_port_error(r, API_ERROR_INTERNAL);
    store_token_version_bump(c, u->id);
    return API_OK;
}

static enum api_error user_answer(struct api_ctx *x, const struct user *u, struct str token)
{
    struct buf *out = api_out(x);

    user_write_private(out, u);
    if (token.n && !buf_failed(out)) {
        out->len--; /* the closing brace: the token is one more member */
        jw_kstr(out, "token", token);
        jw_obj_end(out);
    }
    return API_OK;
}

enum api_error user_me_modify(struct api_ctx *x)
{
    struct user u;
    struct str fresh = STR_NONE, token = STR_NONE;
    struct commit c;
    int r = store_user_get(x->ports->db, x->arena, x->user_id, &u);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_USER);
    const struct user before = u;
    enum api_error e = profile_read(x, &u);
    if (e == API_OK)
        e = credentials_read(x, &u, &fresh);
    if (e != API_OK)
        return e;
    commit_init(&c, x->arena);
    if (fresh.n && (e = password_change(x, &u, fresh, &c)) != API_OK)
        return e;
    store_user_rename(&c, &u);
    r = user_update_tell(x, &c, &before, &u);
    if (r == 0)
        r = commit_run(&c, x->ports);
    if (r == -EEXIST) {
        form_error(x, form_has(x, "username") ? "username" : "email", "USERNAME_ALREADY_TAKEN",
                   "Username or email is unavailable.");
        return form_result(x);
    }
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_USER);
    if (fresh.n) {
        token_revoke_tell(x, u.id, sql_id(&c.results[0], 0, 0));
        token = token_issue(x->options->tokens, x->arena, u.id, clock_wall_ms());
    }
    return user_answer(x, &u, token);
}

void token_revoke_tell(struct api_ctx *x, uint64_t user_id, uint64_t version)
{
    struct commit c;
    struct buf b = {0};

    token_registry_revoke(x->options->tokens, user_id, version);
    commit_init(&c, x->arena);
    struct event *e = commit_event(&c, EVENT_CONTROL_TOKEN_REVOKED, user_id, true);
    jw_obj(&b);
    jw_kid(&b, "user_id", user_id);
    jw_ku64(&b, "version", version);
    jw_obj_end(&b);
    e->user_id = user_id;
    e->data = payload_take(x->arena, &b);
    /* Who misses it reads the versions within a minute. */
    (void)bus_broadcast(x->ports->bus, e);
}
