/* Op 31 and op 43: what a session asks of guilds it is in. There are no sounds and no voice channel statuses yet, so
 * the answers are empty; that they come is what clients wait for. Loop thread. Source: Discord API documentation,
 * "Gateway Events: Request Soundboard Sounds", "Request Channel Info". */
#include "gateway/server/server.h"

#include "gateway/server/requests.h"
#include "platform/base/jw.h"

static bool is_in(const struct session *s, uint64_t guild_id)
{
    const struct topic *t = map_get(&s->g->topics, guild_id);

    return t && !t->is_user && topic_sub_find(t, s);
}

static void empty_send(struct session *s, enum event_type type, uint64_t guild_id, const char *list)
{
    BUF_AUTO struct buf data = {0};

    jw_obj(&data);
    jw_kid(&data, "guild_id", guild_id);
    jw_karr(&data, list);
    jw_arr_end(&data);
    jw_obj_end(&data);
    session_dispatch_own(s, type, &data);
}

int sounds_begin(struct conn *c, const struct json_t *d)
{
    struct guilds_request r;
    int close = sounds_request_read(d, &r);

    /* a dispatch may end the session: its connection is asked each time */
    for (unsigned i = 0; !close && i < r.guild_count && c->session; i++)
        if (is_in(c->session, r.guild_ids[i]))
            empty_send(c->session, EVENT_SOUNDBOARD_SOUNDS, r.guild_ids[i], "soundboard_sounds");
    return close;
}

int channel_info_begin(struct conn *c, const struct json_t *d)
{
    uint64_t guild_id;
    int close = channel_info_request_read(d, &guild_id);

    if (!close && is_in(c->session, guild_id))
        empty_send(c->session, EVENT_CHANNEL_INFO, guild_id, "channels");
    return close;
}
