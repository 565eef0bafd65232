/* Avatars, icons and banners: image data in a body, kept in `objects`, served by hash. Coroutine.
 * Source: Discord API documentation, "Reference: Image Data", "Image Formatting". */
#pragma once

#include "platform/api/api.h"

/* Reads the member `key` (a data URI or null) and keeps the image as "<kind>/<owner>/<hash>.<type>". True when the
 * member was there: *ret is the hash, or STR_NONE for null. Errors go to the form, those of `objects` to *ret_error. */
bool image_read(struct api_ctx *x, const char *key, const char *kind, uint64_t owner_id, struct str *ret,
                enum api_error *ret_error);

/* GET /<kind>/<owner>/<hash>.<type>: false when the path is none of an image. */
bool image_serve(struct http_request *req, struct http_response *res, const struct api_options *o);
