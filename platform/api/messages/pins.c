/* Pins: both forms of their routes. Coroutine. Source: "Message: Pin Message", "Get Channel Pins". */
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/audit.h"
#include "platform/api/handlers.h"
#include "platform/api/messages/messages.h"

#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"

#include <errno.h>

/* PIN_MESSAGES, or MANAGE_MESSAGES as it was before that bit was split off. */
static enum api_error pin_access(struct api_ctx *x, struct api_access *access)
{
    enum api_error e = api_access_channel(x, x->ids[0], 0, access);
    if (e == API_OK && !access->is_dm &&
        !(access->permissions & (PERMISSION_PIN_MESSAGES | PERMISSION_MANAGE_MESSAGES)))
        e = API_ERROR_MISSING_PERMISSIONS;
    return e;
}

static void pins_update_event(struct api_ctx *x, struct commit *c, const struct channel *ch, int64_t last_pin_ms)
{
    struct buf b = BUF_INIT(256);
    message_event_head(&b, ch);
    jw_ktime_ms(&b, "last_pin_timestamp", last_pin_ms);
    jw_obj_end(&b);
    message_event(c, EVENT_CHANNEL_PINS_UPDATE, ch, x->user_id, message_payload(x->arena, &b), NULL, 0);
}

static int event_of_message(struct api_ctx *x, struct commit *c, const struct api_access *access, enum event_type type,
                            struct message *m)
{
    struct message_page page;
    int r = message_page_load(x, m, 1, x->user_id, &page);
    if (r < 0)
        return r;
    struct buf b = {0};
    page.told_again = type == EVENT_MESSAGE_UPDATE;
    message_write_event(x, &b, &page, 0, NULL);
    message_event(c, type, access->channel, m->author_id, message_payload(x->arena, &b), m->mentions, m->mention_count);
    message_page_done(&page);
    return 0;
}

/* The channel is told by a system message that points to the pinned one. */
static int pinned_notice(struct api_ctx *x, struct commit *c, const struct api_access *access, uint64_t message_id)
{
    struct message *m = ARENA_NEW(x->arena, struct message);
    struct buf b = BUF_INIT(256);
    message_event_head(&b, access->channel);
    jw_ku64(&b, "type", 0);
    jw_kid(&b, "message_id", message_id);
    jw_obj_end(&b);
    *m = (struct message){.id = snowflake_next(),
                          .channel_id = access->channel->id,
                          .guild_id = access->channel->guild_id,
                          .author_id = x->user_id,
                          .type = MESSAGE_CHANNEL_PINNED_MESSAGE,
                          .reference_json = message_payload(x->arena, &b),
                          .reference_id = message_id};
    store_message_insert(c, m);
    return event_of_message(x, c, access, EVENT_MESSAGE_CREATE, m);
}

/* Reads the message to pin or unpin. API_OK with ret_done: it is so already. */
static enum api_error pin_begin(struct api_ctx *x, bool pinned, struct api_access *access, struct message *m,
                                bool *ret_done)
{
    enum api_error e = pin_access(x, access);
    if (e != API_OK)
        return e;
    int r = store_message_get(x->ports->db, x->arena, x->ids[0], x->ids[1], m);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    *ret_done = m->pinned == pinned;
    m->pinned = pinned;
    return API_OK;
}

static enum api_error pins_read(struct api_ctx *x, int64_t before_ms, unsigned limit, struct message **ret,
                                int64_t **ret_pinned_ms, unsigned *ret_count)
{
    int r = store_pins_list(x->ports->db, x->arena, x->ids[0], before_ms, limit, ret, ret_pinned_ms, ret_count);
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_CHANNEL) : API_OK;
}

static void pin_audit(struct api_ctx *x, struct commit *c, const struct message *m, int action)
{
    struct buf b = {0};

    if (!m->guild_id)
        return;
    jw_obj(&b);
    jw_kid(&b, "channel_id", m->channel_id);
    jw_kid(&b, "message_id", m->id);
    jw_obj_end(&b);
    audit_add(x, c, m->guild_id, action, m->author_id, STR_NONE, payload_take(x->arena, &b));
}

enum api_error message_pin(struct api_ctx *x)
{
    struct api_access access;
    struct message m, *pins;
    int64_t *pinned_ms;
    unsigned count;
    bool done;
    enum api_error e = pin_begin(x, true, &access, &m, &done);
    if (e != API_OK || done)
        return e;
    e = pins_read(x, INT64_MAX, LIMIT_PINS, &pins, &pinned_ms, &count);
    if (e != API_OK)
        return e;
    if (count >= LIMIT_PINS)
        return API_ERROR_MAX_PINS;

    struct commit c;
    int64_t now = clock_wall_ms();
    commit_init(&c, x->arena);
    store_pin_set(&c, m.channel_id, m.id, true, now);
    pins_update_event(x, &c, access.channel, now);
    pin_audit(x, &c, &m, AUDIT_MESSAGE_PIN);
    int r = event_of_message(x, &c, &access, EVENT_MESSAGE_UPDATE, &m);
    if (r == 0)
        r = pinned_notice(x, &c, &access, m.id);
    if (r == 0)
        r = commit_run(&c, x->ports);
    return r < 0 && r != -ENODATA ? api_port_error(r, API_ERROR_UNKNOWN_MESSAGE) : API_OK;
}

enum api_error message_unpin(struct api_ctx *x)
{
    struct api_access access;
    struct message m, *pins;
    int64_t *pinned_ms;
    unsigned count;
    bool done;
    enum api_error e = pin_begin(x, false, &access, &m, &done);
    if (e != API_OK || done)
        return e;
    e = pins_read(x, INT64_MAX, 2, &pins, &pinned_ms, &count);
    if (e != API_OK)
        return e;
    int64_t latest = 0;
    for (unsigned i = 0; i < count && !latest; i++)
        latest = pins[i].id != m.id ? pinned_ms[i] : 0;

    struct commit c;
    commit_init(&c, x->arena);
    store_pin_set(&c, m.channel_id, m.id, false, 0);
    pins_update_event(x, &c, access.channel, latest);
    pin_audit(x, &c, &m, AUDIT_MESSAGE_UNPIN);
    int r = event_of_message(x, &c, &access, EVENT_MESSAGE_UPDATE, &m);
    if (r == 0)
        r = commit_run(&c, x->ports);
    return r < 0 && r != -ENODATA ? api_port_error(r, API_ERROR_UNKNOWN_MESSAGE) : API_OK;
}

/* Without READ_MESSAGE_HISTORY the list is empty, as the documentation says. */
static enum api_error pins_page_load(struct api_ctx *x, int64_t before_ms, unsigned limit, struct message_page *ret,
                                     int64_t **ret_pinned_ms)
{
    struct api_access access;
    struct message *pins = NULL;
    unsigned count = 0;
    enum api_error e = api_access_channel(x, x->ids[0], 0, &access);
    if (e == API_OK && (access.permissions & PERMISSION_READ_MESSAGE_HISTORY))
        e = pins_read(x, before_ms, limit, &pins, ret_pinned_ms, &count);
    if (e != API_OK)
        return e;
    int r = message_page_load(x, pins, count, x->user_id, ret);
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_CHANNEL) : API_OK;
}

enum api_error message_pins_list(struct api_ctx *x)
{
    struct message_page page;
    int64_t *pinned_ms;
    enum api_error e = pins_page_load(x, INT64_MAX, LIMIT_PINS, &page, &pinned_ms);
    if (e != API_OK)
        return e;
    message_page_write(x, api_out(x), &page);
    message_page_done(&page);
    return API_OK;
}

enum api_error message_pins_page(struct api_ctx *x)
{
    struct message_page page;
    int64_t *pinned_ms, limit = LIMIT_PINS, before_ms = INT64_MAX;
    (void)query_i64(x, "limit", 1, LIMIT_PINS, &limit);
    struct str before = http_request_query(x->req, "before");
    if (before.p && clock_parse_iso(before, &before_ms) < 0)
        form_error(x, "before", "DATE_TIME_TYPE_PARSE", "Could not parse before. Should be ISO8601.");
    enum api_error e = form_result(x);
    if (e == API_OK)
        e = pins_page_load(x, before_ms, (unsigned)limit + 1, &page, &pinned_ms);
    if (e != API_OK)
        return e;
    struct buf *b = api_out(x);
    jw_obj(b);
    jw_karr(b, "items");
    for (unsigned i = 0; i < page.count && i < (unsigned)limit; i++) {
        jw_obj(b);
        jw_ktime_ms(b, "pinned_at", pinned_ms[i]);
        jw_key(b, "message");
        message_write(x, b, &page, i);
        jw_obj_end(b);
    }
    jw_arr_end(b);
    jw_kbool(b, "has_more", page.count > (unsigned)limit);
    jw_obj_end(b);
    message_page_done(&page);
    return API_OK;
}
