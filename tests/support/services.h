/* What tests/support/with-services started beside this test program. Test thread. */
#pragma once

#include "tests/support/cm.h"
#include <stdio.h>
#include <stdlib.h>

/* verb: start, restart or kill (SIGKILL); waits until it is done. */
static inline void services_do(const char *verb, const char *name)
{
    char command[128];

    snprintf(command, sizeof(command), "\"$SERVICES\" %s \"$SERVICES_DIR\" %s >&2", verb, name);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): a test's own words
}

/* REDIS_URL, AMQP_URL, SERVICES_DIR */
static inline const char *services_env(const char *name)
{
    const char *value = getenv(name);

    assert_non_null(value);
    return value;
}
