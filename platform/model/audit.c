/* Audit log entries as JSON. Source: Discord API documentation, "Audit Log Entry Object". Pure. */
#include "platform/model/model.h"

#include "platform/base/jw.h"

void audit_entry_write(struct buf *b, const struct audit_entry *e, bool with_guild)
{
    jw_obj(b);
    jw_kid(b, "id", e->id);
    jw_kid(b, "user_id", e->user_id);
    jw_kid(b, "target_id", e->target_id);
    jw_ki64(b, "action_type", e->action);
    if (e->changes_json.n)
        jw_kraw(b, "changes", e->changes_json);
    if (e->options_json.n)
        jw_kraw(b, "options", e->options_json);
    if (e->reason.n)
        jw_kstr(b, "reason", e->reason);
    if (with_guild)
        jw_kid(b, "guild_id", e->guild_id);
    jw_obj_end(b);
}
