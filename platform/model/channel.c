/* Channels as JSON: which members a type has. Source: Discord API documentation, "Channel: Channel Object". Pure. */
#include "platform/model/model.h"

#include "platform/base/jw.h"

bool channel_is_text(enum channel_type t)
{
    return t != CHANNEL_GUILD_CATEGORY && t != CHANNEL_GUILD_FORUM && t != CHANNEL_GUILD_MEDIA;
}

bool channel_is_voice(enum channel_type t)
{
    return t == CHANNEL_GUILD_VOICE || t == CHANNEL_GUILD_STAGE_VOICE;
}

void overwrite_write(struct buf *b, const struct overwrite *o)
{
    jw_obj(b);
    jw_kid(b, "id", o->id);
    jw_ki64(b, "type", o->type);
    jw_key(b, "allow");
    buf_addf(b, "\"%llu\"", (unsigned long long)o->allow);
    jw_key(b, "deny");
    buf_addf(b, "\"%llu\"", (unsigned long long)o->deny);
    jw_obj_end(b);
}

static void channel_write_text(struct buf *b, const struct channel *c)
{
    jw_kid(b, "last_message_id", c->last_message_id);
    if (c->last_pin_ms)
        jw_ktime_ms(b, "last_pin_timestamp", c->last_pin_ms);
}

static void channel_write_guild(struct buf *b, const struct channel *c)
{
    jw_kid(b, "guild_id", c->guild_id);
    jw_kstr(b, "name", c->name);
    jw_ki64(b, "position", c->position);
    jw_kid(b, "parent_id", c->parent_id);
    jw_kbool(b, "nsfw", c->nsfw);
    jw_karr(b, "permission_overwrites");
    for (unsigned i = 0; i < c->overwrite_count; i++)
        overwrite_write(b, &c->overwrites[i]);
    jw_arr_end(b);
    if (c->type == CHANNEL_GUILD_CATEGORY)
        return;
    jw_kstr(b, "topic", c->topic);
    jw_ki64(b, "rate_limit_per_user", c->rate_limit_per_user);
    channel_write_text(b, c);
    if (channel_is_voice(c->type)) {
        jw_ki64(b, "bitrate", c->bitrate);
        jw_ki64(b, "user_limit", c->user_limit);
        jw_kstr(b, "rtc_region", c->rtc_region);
    } else if (c->default_auto_archive_duration) {
        jw_ki64(b, "default_auto_archive_duration", c->default_auto_archive_duration);
    }
}

static void channel_write_dm(struct buf *b, const struct channel *c)
{
    channel_write_text(b, c);
    jw_karr(b, "recipients");
    for (unsigned i = 0; i < c->recipient_count; i++)
        user_write(b, &c->recipients[i]);
    jw_arr_end(b);
    if (c->type == CHANNEL_GROUP_DM) {
        jw_kstr(b, "name", c->name);
        jw_kid(b, "owner_id", c->owner_id);
    }
}

void channel_write(struct buf *b, const struct channel *c)
{
    jw_obj(b);
    jw_kid(b, "id", c->id);
    jw_ki64(b, "type", c->type);
    if (c->guild_id)
        channel_write_guild(b, c);
    else
        channel_write_dm(b, c);
    jw_ki64(b, "flags", c->flags);
    jw_obj_end(b);
}
