/* Where a broken invariant ends: one line on standard error, then abort. Any thread; takes no locks. */
#include "platform/base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

_Noreturn void check_fail(const char *file, int line, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    dprintf(STDERR_FILENO, "%s:%d: check failed: %s\n", file, line, text);
    abort();
}
