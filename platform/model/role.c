/* Roles as JSON. Source: Discord API documentation, "Permissions: Role Object". Pure. */
#include "platform/model/model.h"

#include "platform/base/jw.h"

void role_write(struct buf *b, const struct role *r)
{
    jw_obj(b);
    jw_kid(b, "id", r->id);
    jw_kstr(b, "name", r->name);
    jw_ki64(b, "color", r->color);
    jw_kobj(b, "colors");
    jw_ki64(b, "primary_color", r->color);
    jw_knull(b, "secondary_color");
    jw_knull(b, "tertiary_color");
    jw_obj_end(b);
    jw_kbool(b, "hoist", r->hoist);
    jw_kstr(b, "icon", r->icon);
    jw_kstr(b, "unicode_emoji", r->unicode_emoji);
    jw_ki64(b, "position", r->position);
    jw_key(b, "permissions");
    buf_addf(b, "\"%llu\"", (unsigned long long)r->permissions);
    jw_kbool(b, "managed", r->managed);
    jw_kbool(b, "mentionable", r->mentionable);
    jw_ki64(b, "flags", r->flags);
    if (r->bot_id) { /* never null: two client libraries crash on it */
        jw_kobj(b, "tags");
        jw_kid(b, "bot_id", r->bot_id);
        jw_obj_end(b);
    }
    jw_obj_end(b);
}
