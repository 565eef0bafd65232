/* Direct messages: opening and listing. Coroutine. Source: Discord API documentation, "User: Create DM". */
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/api/users/users.h"
#include "platform/base/jw.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"

#include <errno.h>

void dm_write(struct buf *b, const struct channel *ch, uint64_t viewer)
{
    struct user others[10];
    struct channel seen = *ch;

    seen.recipients = others;
    seen.recipient_count = 0;
    for (unsigned i = 0; i < ch->recipient_count && seen.recipient_count < 10; i++)
        if (ch->recipients[i].id != viewer)
            others[seen.recipient_count++] = ch->recipients[i];
    channel_write(b, &seen);
}

enum api_error user_channels_list(struct api_ctx *x)
{
    struct channel *channels = NULL;
    unsigned count = 0;

    if (!x->is_bot) { /* bots keep no list of DMs */
        int r = store_user_dms(x->ports->db, x->arena, x->user_id, &channels, &count);
        if (r < 0)
            return api_port_error(r, API_ERROR_INTERNAL);
    }
    jw_arr(api_out(x));
    for (unsigned i = 0; i < count; i++)
        dm_write(api_out(x), &channels[i], x->user_id);
    jw_arr_end(api_out(x));
    return API_OK;
}

/* recipient_id, or as Discord's client sends it, recipients with one id. */
static enum api_error recipient_read(struct api_ctx *x, uint64_t *ret)
{
    uint64_t *ids = NULL;
    unsigned count = 0;

    if (form_has(x, "recipients") && form_ids(x, "recipients", FORM_OPTIONAL, 10, &ids, &count)) {
        if (count != 1)
            return API_ERROR_INVALID_RECIPIENTS;
        *ret = ids[0];
    } else {
        (void)form_id(x, "recipient_id", FORM_REQUIRED, ret);
    }
    if (form_result(x) != API_OK)
        return form_result(x);
    return *ret == x->user_id ? API_ERROR_INVALID_RECIPIENTS : API_OK;
}

/* Told to people only: bots learn of a DM with its first message. */
static void dm_tell(struct api_ctx *x, struct commit *c, const struct channel *ch)
{
    for (unsigned i = 0; i < ch->recipient_count; i++) {
        struct buf b = {0};
        if (ch->recipients[i].bot)
            continue;
        dm_write(&b, ch, ch->recipients[i].id);
        struct event *e = commit_event(c, EVENT_CHANNEL_CREATE, ch->recipients[i].id, true);
        e->channel_id = ch->id;
        e->user_id = x->user_id;
        e->data = payload_take(c->arena, &b);
    }
}

static enum api_error dm_make(struct api_ctx *x, uint64_t other, struct channel *ret)
{
    const uint64_t both[2] = {x->user_id, other};
    struct user *users;
    unsigned count;
    struct commit c;
    int r = store_users_get(x->ports->db, x->arena, both, 2, &users, &count);

    if (r < 0)
        return api_port_error(r, API_ERROR_INTERNAL);
    if (count != 2)
        return API_ERROR_INVALID_RECIPIENTS;
    if (users[0].bot && users[1].bot)
        return API_ERROR_CANNOT_MESSAGE_USER;
    *ret = (struct channel){.id = snowflake_next(), .type = CHANNEL_DM, .recipients = users, .recipient_count = 2};
    commit_init(&c, x->arena);
    store_dm_insert(&c, ret);
    dm_tell(x, &c, ret);
    r = commit_run(&c, x->ports);
    if (r == -EEXIST) /* the other one opened it meanwhile */
        r = store_dm_find(x->ports->db, x->arena, x->user_id, other, ret);
    return r < 0 ? api_port_error(r, API_ERROR_INVALID_RECIPIENTS) : API_OK;
}

enum api_error user_channel_create(struct api_ctx *x)
{
    struct channel ch;
    uint64_t other = 0;
    enum api_error e = recipient_read(x, &other);

    if (e != API_OK)
        return e;
    int r = store_dm_find(x->ports->db, x->arena, x->user_id, other, &ch);
    if (r == -ENOENT)
        e = dm_make(x, other, &ch);
    else if (r < 0)
        e = api_port_error(r, API_ERROR_INTERNAL);
    if (e == API_OK)
        dm_write(api_out(x), &ch, x->user_id);
    return e;
}
