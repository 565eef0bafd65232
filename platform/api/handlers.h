/* Every handler of the route table. */
#pragma once

#include "platform/api/api.h"

#define ROUTE(method, path, handler, auth, bucket_limit, bucket_window_ms) enum api_error handler(struct api_ctx *x);
#include "platform/api/routes.def"
#undef ROUTE
