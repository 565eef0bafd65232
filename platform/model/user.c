/* Users as JSON. Source: Discord API documentation, "User: User Object". Pure. */
#include "platform/model/model.h"

#include "platform/base/jw.h"

static void user_write_fields(struct buf *b, const struct user *u)
{
    jw_kid(b, "id", u->id);
    jw_kstr(b, "username", u->username);
    jw_kstr(b, "discriminator", u->discriminator.n ? u->discriminator : STR("0"));
    jw_kstr(b, "global_name", u->global_name);
    jw_kstr(b, "avatar", u->avatar);
    if (u->bot)
        jw_kbool(b, "bot", true);
    if (u->system)
        jw_kbool(b, "system", true);
    if (u->banner.p)
        jw_kstr(b, "banner", u->banner);
    if (u->accent_color >= 0)
        jw_ki64(b, "accent_color", u->accent_color);
    jw_ki64(b, "public_flags", u->public_flags);
}

void user_write(struct buf *b, const struct user *u)
{
    jw_obj(b);
    user_write_fields(b, u);
    jw_obj_end(b);
}

void user_write_private(struct buf *b, const struct user *u)
{
    jw_obj(b);
    user_write_fields(b, u);
    jw_kbool(b, "mfa_enabled", u->mfa_enabled);
    jw_kstr(b, "locale", u->locale.n ? u->locale : STR("en-US"));
    jw_kbool(b, "verified", u->verified);
    jw_kstr(b, "email", u->email);
    jw_ki64(b, "flags", u->flags | u->public_flags);
    jw_ki64(b, "premium_type", 0);
    jw_obj_end(b);
}
