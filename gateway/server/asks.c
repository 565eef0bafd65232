/* Op 31 and op 43: what a session asks of guilds it is in. There are no sounds yet, so that answer is empty; that it
 * comes is what clients wait for. Loop thread. Source: Discord API documentation, "Gateway Events: Request Soundboard
 * Sounds", "Request Channel Info". */
#include "gateway/server/server.h"

#include "gateway/server/requests.h"
#include "platform/base/jw.h"

static bool is_in(const struct session *s, uint64_t guild_id)
{
    const struct topic *t = map_get(&s->g->topics, guild_id);

    return t && !t->is_user && topic_sub_find(t, s);
}

static void no_sounds_send(struct session *s, uint64_t guild_id)
{
    BUF_AUTO struct buf data = {0};

    jw_obj(&data);
    jw_kid(&data, "guild_id", guild_id);
    jw_karr(&data, "soundboard_sounds");
    jw_arr_end(&data);
    jw_obj_end(&data);
    session_dispatch_own(s, EVENT_SOUNDBOARD_SOUNDS, &data);
}

int sounds_begin(struct conn *c, const struct json_t *d)
{
    struct guilds_request r;
    int close = sounds_request_read(d, &r);

    /* a dispatch may end the session: its connection is asked each time */
    for (unsigned i = 0; !close && i < r.guild_count && c->session; i++)
        if (is_in(c->session, r.guild_ids[i]))
            no_sounds_send(c->session, r.guild_ids[i]);
    return close;
}

/* Of the channels the member sees, those of which there is something to say. */
static void channels_write(const struct sub *sub, const struct channel_info_request *r, struct buf *out)
{
    const struct guild_state *g = sub->topic->guild;

    jw_karr(out, "channels");
    for (unsigned i = 0; i < g->channel_cap; i++) {
        const struct channel *c = &g->channels[i].channel;
        if (!c->id || !channel_is_voice(c->type))
            continue;
        int64_t start_s = voice_start_s(sub->topic, c->id);
        struct str status = voice_status_of(sub->topic, c->id);
        if ((!start_s && !status.n) || !guild_state_visible(g, sub->member, i))
            continue;
        jw_obj(out);
        jw_kid(out, "id", c->id);
        if (r->status)
            jw_kraw(out, "status", status.n ? status : STR("null"));
        if (r->voice_start_time && start_s)
            jw_ki64(out, "voice_start_time", start_s);
        else if (r->voice_start_time)
            jw_knull(out, "voice_start_time");
        jw_obj_end(out);
    }
    jw_arr_end(out);
}

int channel_info_begin(struct conn *c, const struct json_t *d)
{
    struct channel_info_request r;
    int close = channel_info_request_read(d, &r);
    BUF_AUTO struct buf data = {0};

    if (close || !is_in(c->session, r.guild_id))
        return close;
    jw_obj(&data);
    jw_kid(&data, "guild_id", r.guild_id);
    channels_write(topic_sub_find(map_get(&c->g->topics, r.guild_id), c->session), &r, &data);
    jw_obj_end(&data);
    session_dispatch_own(c->session, EVENT_CHANNEL_INFO, &data);
    return 0;
}
