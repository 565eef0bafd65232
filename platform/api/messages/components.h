/* Message components and those of modals: checked, and numbered where they have no id of their own.
 * Source: Discord API documentation, "Component Reference". */
#pragma once

#include "platform/api/api.h"

enum component_type {
    COMPONENT_ROW = 1,
    COMPONENT_BUTTON = 2,
    COMPONENT_STRING_SELECT = 3,
    COMPONENT_TEXT_INPUT = 4,
    COMPONENT_USER_SELECT = 5,
    COMPONENT_ROLE_SELECT = 6,
    COMPONENT_MENTIONABLE_SELECT = 7,
    COMPONENT_CHANNEL_SELECT = 8,
    COMPONENT_SECTION = 9,
    COMPONENT_TEXT = 10,
    COMPONENT_THUMBNAIL = 11,
    COMPONENT_GALLERY = 12,
    COMPONENT_FILE = 13,
    COMPONENT_SEPARATOR = 14,
    COMPONENT_CONTAINER = 17,
    COMPONENT_LABEL = 18,
    COMPONENT_FILE_UPLOAD = 19,
    COMPONENT_RADIO_GROUP = 21,
    COMPONENT_CHECKBOX_GROUP = 22,
    COMPONENT_CHECKBOX = 23,
};

enum components_kind {
    COMPONENTS_LEGACY, /* rows of buttons and selects beside content and embeds */
    COMPONENTS_V2,     /* IS_COMPONENTS_V2: the message is its components */
    COMPONENTS_MODAL,
};

/* x->body.components in the form they are kept; STR_NONE when there are none. Errors go to the form. attachments: what
 * the message has already, in its stored form; components may show these and the request's files. */
struct str components_read(struct api_ctx *x, enum components_kind kind, struct str attachments);
/* What their text displays say, one a line. */
struct str components_text(struct arena *a, struct str components);
/* A list of "image", "video", "audio" and extensions (".pdf"), at most 10; false: it is wrong, and the form says so. */
bool file_types_check(struct api_ctx *x, const char *key);
