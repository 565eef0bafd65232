/* What a command tells whoever started it: one JSON line when ready, or one line of error. */
#include "platform/cli/cli.h"

#include <stdio.h>

void ready_print(struct buf *json)
{
    printf("%.*s\n", STR_ARG(buf_str(json)));
    fflush(stdout);
}

int usage_error(const struct buf *err)
{
    fprintf(stderr, "guildhall: %.*s\n", STR_ARG(buf_str(err)));
    return 2;
}
