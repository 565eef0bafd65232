/* The API's errors as data: one row a line of errors.def. Any thread. */
#include "platform/protocol/errors.h"

#include "platform/base/check.h"

static const struct api_error_info infos[API_ERROR_COUNT] = {
    [API_OK] = {200, 0, ""},
#define ERROR(name, status, code, message) [API_ERROR_##name] = {status, code, message},
#include "platform/protocol/errors.def"
#undef ERROR
};

const struct api_error_info *api_error_info(enum api_error e)
{
    CHECK((unsigned)e < API_ERROR_COUNT);
    return &infos[e];
}
