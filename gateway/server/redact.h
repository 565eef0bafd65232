/* What a session without the MESSAGE_CONTENT intent gets of a message it did not write and is not mentioned in.
 * Source: Discord API documentation, "Gateway: Message Content Intent". Pure. */
#pragma once

#include "platform/base/buf.h"

/* Writes the message object with content "", attachments, components and embeds [] and without poll. The same is done
 * to message_snapshots, and to referenced_message unless keep_reference. 0, -EINVAL. */
int redact_message(struct str message, bool keep_reference, struct buf *out);

/* The referenced_message of a message object; STR_NONE when there is none (or null). */
struct str redact_reference(struct str message);
/* May this user read the content of this message: author or mentioned? */
bool redact_exempt(struct str message, uint64_t user_id);
