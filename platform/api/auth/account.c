/* Registration and login, with the bodies that Discord's own client sends. Coroutine. */
#include "platform/api/auth/account.h"

#include "platform/api/api_private.h"
#include "platform/api/auth/password.h"
#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"
#include "platform/ports/tokens.h"

#include <errno.h>
#include <stdio.h>

static struct str lower(struct arena *a, struct str s)
{
    char *out = arena_strdup(a, s);

    for (char *p = out; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return (struct str){out, s.n};
}

bool account_username(struct api_ctx *x, const char *key, struct str given, struct str *ret)
{
    struct str s = lower(x->arena, given);

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (c == '.' && (i == 0 || s.p[i - 1] != '.')))
            continue;
        form_error(x, key, "USERNAME_INVALID_CHARACTERS",
                   "Please only use numbers, letters, underscores _ , or single periods.");
        return false;
    }
    if (str_eq(s, STR("everyone")) || str_eq(s, STR("here"))) {
        form_error(x, key, "USERNAME_INVALID_CONTAINS", "Username cannot be \"everyone\" or \"here\"");
        return false;
    }
    *ret = s;
    return true;
}

bool account_email(struct api_ctx *x, const char *key, struct str given, struct str *ret)
{
    struct str s = lower(x->arena, given);
    const char *at = s.n ? memchr(s.p, '@', s.n) : NULL, *end = s.p + s.n;
    const char *dot = at ? memrchr(at, '.', (size_t)(end - at)) : NULL;
    bool ok = at && at > s.p && dot && dot > at + 1 && dot + 1 < end && !memchr(at + 1, '@', (size_t)(end - at - 1));

    for (size_t i = 0; ok && i < s.n; i++)
        ok = (unsigned char)s.p[i] > ' ' && s.p[i] != 0x7F;
    if (!ok) {
        form_error(x, key, "EMAIL_TYPE_INVALID_EMAIL", "Not a well formed email address.");
        return false;
    }
    *ret = s;
    return true;
}

static bool registration_read(struct api_ctx *x, struct user *u, struct str *ret_password)
{
    struct str email = STR_NONE;

    if (form_str(x, "username", FORM_REQUIRED, 2, 32, &u->username))
        (void)account_username(x, "username", u->username, &u->username);
    if (form_str(x, "email", FORM_NULLABLE, 0, 254, &email) && email.n)
        (void)account_email(x, "email", email, &u->email);
    (void)form_str(x, "global_name", FORM_NULLABLE, 0, 32, &u->global_name);
    (void)form_str(x, "password", FORM_REQUIRED, PASSWORD_CHARS_MIN, PASSWORD_CHARS_MAX, ret_password);
    if (u->global_name.n == 0)
        u->global_name = STR_NONE;
    return form_result(x) == API_OK;
}

/* Which of the two is taken; -EEXIST of the commit does not say. */
static enum api_error taken_answer(struct api_ctx *x, const struct user *u)
{
    struct user other;
    int r = u->email.n ? store_user_get_by_email(x->ports->db, x->arena, u->email, &other) : -ENOENT;

    if (r < 0 && r != -ENOENT)
        return api_port_error(r, API_ERROR_INTERNAL);
    if (r == 0)
        form_error(x, "email", "EMAIL_ALREADY_REGISTERED", "Email is already registered.");
    else
        form_error(x, "username", "USERNAME_ALREADY_TAKEN",
                   "Username is unavailable. Try adding numbers, letters, underscores _ , or periods.");
    return form_result(x);
}

static bool username_free(struct api_ctx *x, const struct user *u)
{
    struct user other;

    return store_user_get_by_username(x->ports->db, x->arena, u->username, &other) != 0 || other.bot;
}

static bool email_free(struct api_ctx *x, const struct user *u)
{
    struct user other;

    return !u->email.n || store_user_get_by_email(x->ports->db, x->arena, u->email, &other) != 0;
}

enum api_error auth_register(struct api_ctx *x)
{
    struct user u = {.discriminator = STR("0"), .accent_color = -1, .created_ms = clock_wall_ms()};
    struct str password = STR_NONE, address = caller_address(x);
    struct commit c;
    char key[96];

    if (!registration_read(x, &u, &password))
        return API_ERROR_INVALID_FORM_BODY;
    if (!email_free(x, &u) || !username_free(x, &u))
        return taken_answer(x, &u);
    snprintf(key, sizeof key, "register:%.*s", STR_ARG(address));
    if (!api_limit(x, key, LIMIT_REGISTRATIONS, 3600000, API_OK))
        return API_OK;
    int r = password_hash(x->arena, password, &u.password_hash);
    if (r < 0)
        return r == -EAGAIN ? API_ERROR_RESOURCE_OVERLOADED : api_port_error(r, API_ERROR_INTERNAL);
    u.id = snowflake_next();
    commit_init(&c, x->arena);
    store_user_insert(&c, &u);
    r = commit_run(&c, x->ports);
    if (r == -EEXIST)
        return taken_answer(x, &u);
    if (r < 0)
        return api_port_error(r, API_ERROR_INTERNAL);
    x->res->status = 201;
    jw_obj(api_out(x));
    jw_kid(api_out(x), "user_id", u.id);
    jw_kstr(api_out(x), "token", token_issue(x->options->tokens, x->arena, u.id, clock_wall_ms()));
    jw_obj_end(api_out(x));
    return API_OK;
}

static enum api_error login_refused(struct api_ctx *x)
{
    form_error(x, "login", "INVALID_LOGIN", "Login or password is invalid.");
    form_error(x, "password", "INVALID_LOGIN", "Login or password is invalid.");
    return form_result(x);
}

/* By email or by name. 0, -ENOENT, sql errors. */
static int login_find(struct api_ctx *x, struct str login, struct user *ret)
{
    struct str s = lower(x->arena, login);
    int r = memchr(s.p, '@', s.n) ? store_user_get_by_email(x->ports->db, x->arena, s, ret)
                                  : store_user_get_by_username(x->ports->db, x->arena, s, ret);

    return r == 0 && ret->bot ? -ENOENT : r;
}

enum api_error auth_login(struct api_ctx *x)
{
    const char *key = form_has(x, "login") || !form_has(x, "email") ? "login" : "email";
    struct str login = STR_NONE, password = STR_NONE;
    struct user u = {0};
    struct buf *out = api_out(x);

    (void)form_str(x, key, FORM_REQUIRED, 1, 254, &login);
    (void)form_str(x, "password", FORM_REQUIRED, 1, PASSWORD_CHARS_MAX, &password);
    if (form_result(x) != API_OK)
        return form_result(x);
    int found = login_find(x, login, &u);
    if (found < 0 && found != -ENOENT)
        return api_port_error(found, API_ERROR_INTERNAL);
    int r = password_verify(password, found == 0 ? u.password_hash : STR_NONE);
    if (r == -EAGAIN)
        return API_ERROR_RESOURCE_OVERLOADED;
    if (r < 0)
        return login_refused(x);
    jw_obj(out);
    jw_kid(out, "user_id", u.id);
    jw_kstr(out, "token", token_issue(x->options->tokens, x->arena, u.id, clock_wall_ms()));
    jw_kobj(out, "user_settings");
    jw_kstr(out, "locale", u.locale);
    jw_kcstr(out, "theme", "dark");
    jw_obj_end(out);
    jw_obj_end(out);
    return API_OK;
}
