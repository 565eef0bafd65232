/* Presences as text: written by this file, so scanned without suspicion. Pure. */
#include "platform/model/presence.h"

#include "platform/base/jw.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/json_text.h"

#include <errno.h>

#define DEVICES 4

static const char *const statuses[] = {"offline", "idle", "online", "dnd"};
static const char *const devices[DEVICES] = {"desktop", "mobile", "web", "vr"};

int presence_status_find(struct str name, enum presence_status *ret)
{
    for (unsigned i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (str_eq(name, str_c(statuses[i]))) {
            *ret = (enum presence_status)i;
            return 0;
        }
    if (!str_eq(name, STR("invisible")))
        return -EINVAL;
    *ret = PRESENCE_OFFLINE;
    return 0;
}

void presence_value_write(struct buf *out, enum presence_status status, enum presence_device device,
                          struct str activities)
{
    jw_obj(out);
    jw_kcstr(out, "status", statuses[status]);
    jw_kobj(out, "client_status");
    jw_kcstr(out, devices[device], statuses[status]);
    jw_obj_end(out);
    jw_kraw(out, "activities", activities);
    jw_obj_end(out);
}

/* --- merging ---------------------------------------------------------------------------------------------------------
 */
struct merge {
    enum presence_status status, device[DEVICES];
    struct str activities[PRESENCE_ACTIVITIES_MAX];
    unsigned activity_count;
};

static enum presence_status status_of(struct str value)
{
    enum presence_status s = PRESENCE_OFFLINE;
    struct str name;

    if (json_str_plain(value, &name) == 0)
        (void)presence_status_find(name, &s);
    return s;
}

static int activity_take(struct str activity, void *arg)
{
    struct merge *m = arg;

    for (unsigned i = 0; i < m->activity_count; i++)
        if (str_eq(m->activities[i], activity))
            return 0;
    if (m->activity_count < PRESENCE_ACTIVITIES_MAX)
        m->activities[m->activity_count++] = activity;
    return 0;
}

static void value_take(struct merge *m, struct str value)
{
    struct str clients = json_member(value, STR("client_status"));
    enum presence_status status = status_of(json_member(value, STR("status")));

    if (status > m->status)
        m->status = status;
    for (unsigned i = 0; i < DEVICES; i++) {
        status = status_of(json_member(clients, str_c(devices[i])));
        if (status > m->device[i])
            m->device[i] = status;
    }
    (void)json_elements_scan(json_member(value, STR("activities")), activity_take, m);
}

void presence_merge(struct buf *out, const struct str *values, unsigned count)
{
    struct merge m = {0};

    for (unsigned i = 0; i < count; i++)
        if (i == 0 || !str_eq(values[i], values[i - 1])) /* thousands of sessions are alike */
            value_take(&m, values[i]);
    jw_obj(out);
    jw_kcstr(out, "status", statuses[m.status]);
    jw_kobj(out, "client_status");
    for (unsigned i = 0; i < DEVICES; i++)
        if (m.device[i])
            jw_kcstr(out, devices[i], statuses[m.device[i]]);
    jw_obj_end(out);
    jw_karr(out, "activities");
    for (unsigned i = 0; i < m.activity_count; i++)
        jw_raw(out, m.activities[i]);
    jw_arr_end(out);
    jw_obj_end(out);
}

static void rest_write(struct buf *out, uint64_t guild_id, struct str value)
{
    const struct str offline = STR("{\"status\":\"offline\",\"client_status\":{},\"activities\":[]}");

    if (guild_id)
        jw_kid(out, "guild_id", guild_id);
    json_members_copy(out, value.n ? value : offline, NULL, 0);
    jw_obj_end(out);
}

void presence_write(struct buf *out, uint64_t user_id, uint64_t guild_id, struct str value)
{
    jw_obj(out);
    jw_kobj(out, "user");
    jw_kid(out, "id", user_id);
    jw_obj_end(out);
    rest_write(out, guild_id, value);
}

void presence_write_user(struct buf *out, struct str user, uint64_t guild_id, struct str value)
{
    jw_obj(out);
    jw_kraw(out, "user", user);
    rest_write(out, guild_id, value);
}
