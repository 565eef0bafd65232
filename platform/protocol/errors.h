/* Errors of the HTTP API: one table gives status, code and message. */
#pragma once

enum api_error {
    API_OK = 0,
#define ERROR(name, status, code, message) API_ERROR_##name,
#include "platform/protocol/errors.def"
#undef ERROR
    API_ERROR_COUNT,
};

struct api_error_info {
    int status, code;
    const char *message;
};
const struct api_error_info *api_error_info(enum api_error e);
