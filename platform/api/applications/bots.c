/* An application's bot: made once, its token reset at will. Coroutine. */
#include "platform/api/applications/applications.h"
#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/api/users/users.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/ports/store/store.h"
#include "platform/ports/tokens.h"

#include <errno.h>
#include <sodium.h>

/* Bots' names are not unique: their discriminator makes them so. */
#define DISCRIMINATOR_TRIES 8

static enum api_error token_answer(struct api_ctx *x, uint64_t user_id)
{
    jw_obj(api_out(x));
    jw_kstr(api_out(x), "token", token_issue(x->options->tokens, x->arena, user_id, clock_wall_ms()));
    jw_obj_end(api_out(x));
    return API_OK;
}

static int bot_insert(struct api_ctx *x, struct application *app)
{
    struct user bot = {.id = app->id,
                       .username = app->name,
                       .bot = true,
                       .verified = true,
                       .accent_color = -1,
                       .created_ms = clock_wall_ms()};
    int r = -EEXIST;

    app->bot_id = bot.id;
    for (int i = 0; r == -EEXIST && i < DISCRIMINATOR_TRIES; i++) {
        struct commit c;
        bot.discriminator = arena_printf(x->arena, "%04u", 1 + randombytes_uniform(9999));
        commit_init(&c, x->arena);
        store_user_insert(&c, &bot);
        store_application_update(&c, app);
        r = commit_run(&c, x->ports);
    }
    return r;
}

enum api_error application_bot_create(struct api_ctx *x)
{
    struct application app;
    enum api_error e = application_mine(x, x->ids[0], &app);

    if (e != API_OK)
        return e;
    if (app.bot_id) {
        form_error(x, "", "APPLICATION_BOT_EXISTS", "This application has a bot already.");
        return form_result(x);
    }
    int r = bot_insert(x, &app);
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_APPLICATION) : token_answer(x, app.bot_id);
}

enum api_error application_bot_reset(struct api_ctx *x)
{
    struct application app;
    struct commit c;
    enum api_error e = application_mine(x, x->ids[0], &app);

    if (e == API_OK && !app.bot_id)
        e = API_ERROR_UNKNOWN_USER;
    if (e != API_OK)
        return e;
    commit_init(&c, x->arena);
    store_token_version_bump(&c, app.bot_id);
    e = api_commit(x, &c, API_ERROR_UNKNOWN_USER);
    if (e != API_OK)
        return e;
    token_revoke_tell(x, app.bot_id, sql_id(&c.results[0], 0, 0));
    return token_answer(x, app.bot_id);
}
