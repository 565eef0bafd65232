/* The application object, shared by the routes that answer with it. */
#pragma once

#include "platform/api/api.h"

/* The whole object with owner and bot. API_OK, or the port's error. */
enum api_error application_answer(struct api_ctx *x, const struct application *app);
/* The object of the application, for its owner or its own bot: UNKNOWN_APPLICATION otherwise. */
enum api_error application_mine(struct api_ctx *x, uint64_t id, struct application *ret);
/* The members that anybody may see, without the braces. */
void application_write_public(struct api_ctx *x, struct buf *b, const struct application *app);
