/* Guilds and members as JSON. Source: Discord API documentation, "Guild: Guild Object", "Guild: Guild Member Object".
 * Pure. */
#include "platform/model/model.h"

#include "platform/base/jw.h"

static void guild_write_channels(struct buf *b, const struct guild *g)
{
    jw_kid(b, "afk_channel_id", g->afk_channel_id);
    jw_ki64(b, "afk_timeout", g->afk_timeout);
    jw_kid(b, "system_channel_id", g->system_channel_id);
    jw_ki64(b, "system_channel_flags", g->system_channel_flags);
    jw_kid(b, "rules_channel_id", g->rules_channel_id);
    jw_kid(b, "public_updates_channel_id", g->public_updates_channel_id);
    jw_knull(b, "safety_alerts_channel_id");
}

static void guild_write_levels(struct buf *b, const struct guild *g)
{
    jw_ki64(b, "verification_level", g->verification_level);
    jw_ki64(b, "default_message_notifications", g->default_message_notifications);
    jw_ki64(b, "explicit_content_filter", g->explicit_content_filter);
    jw_ki64(b, "mfa_level", g->mfa_level);
    jw_ki64(b, "nsfw_level", g->nsfw_level);
    jw_ki64(b, "premium_tier", g->premium_tier);
    jw_ki64(b, "premium_subscription_count", g->premium_subscription_count);
    jw_kbool(b, "premium_progress_bar_enabled", g->premium_progress_bar_enabled);
    jw_knull(b, "max_presences");
    jw_ki64(b, "max_members", g->max_members ? g->max_members : 500000);
    jw_ki64(b, "max_video_channel_users", 25);
    jw_ki64(b, "max_stage_video_channel_users", 50);
}

void guild_write_fields(struct buf *b, const struct guild *g, const struct role *roles, unsigned role_count)
{
    jw_kid(b, "id", g->id);
    jw_kstr(b, "name", g->name);
    jw_kstr(b, "icon", g->icon);
    jw_kstr(b, "splash", g->splash);
    jw_kstr(b, "discovery_splash", g->discovery_splash);
    jw_kstr(b, "description", g->description);
    jw_kstr(b, "banner", g->banner);
    jw_kid(b, "owner_id", g->owner_id);
    jw_knull(b, "application_id");
    jw_kstr(b, "vanity_url_code", g->vanity_url_code);
    jw_kstr(b, "preferred_locale", g->preferred_locale.n ? g->preferred_locale : STR("en-US"));
    guild_write_channels(b, g);
    guild_write_levels(b, g);
    jw_kraw(b, "features", g->features_json.n ? g->features_json : STR("[]"));
    jw_karr(b, "roles");
    for (unsigned i = 0; i < role_count; i++)
        role_write(b, &roles[i]);
    jw_arr_end(b);
    jw_kraw(b, "emojis", STR("[]"));
    jw_kraw(b, "stickers", STR("[]"));
}

void guild_write(struct buf *b, const struct guild *g, const struct role *roles, unsigned role_count, bool with_counts)
{
    jw_obj(b);
    guild_write_fields(b, g, roles, role_count);
    if (with_counts) {
        jw_ki64(b, "approximate_member_count", g->member_count);
        jw_ki64(b, "approximate_presence_count", g->presence_count);
    }
    jw_obj_end(b);
}

void member_write_fields(struct buf *b, const struct member *m, bool with_user)
{
    if (with_user) {
        jw_key(b, "user");
        user_write(b, &m->user);
    }
    jw_kstr(b, "nick", m->nick);
    jw_kstr(b, "avatar", m->avatar);
    jw_knull(b, "banner");
    jw_karr(b, "roles");
    for (unsigned i = 0; i < m->role_count; i++)
        jw_id(b, m->roles[i]);
    jw_arr_end(b);
    jw_ktime_ms(b, "joined_at", m->joined_ms);
    jw_ktime_ms(b, "premium_since", m->premium_since_ms);
    jw_kbool(b, "deaf", m->deaf);
    jw_kbool(b, "mute", m->mute);
    jw_ki64(b, "flags", m->flags);
    jw_kbool(b, "pending", m->pending);
    jw_ktime_ms(b, "communication_disabled_until", m->communication_disabled_until_ms);
}

void member_write(struct buf *b, const struct member *m, bool with_user)
{
    jw_obj(b);
    member_write_fields(b, m, with_user);
    jw_obj_end(b);
}
