/* What tests/support/with-services started beside this test program. */
#pragma once

#include "platform/io/co.h"
#include "tests/support/cm.h"
#include <stdio.h>
#include <stdlib.h>

/* verb: start, restart or kill (SIGKILL); waits until it is done, and the loop with it. */
static inline void services_do(const char *verb, const char *name)
{
    char command[128];

    snprintf(command, sizeof(command), "\"$SERVICES\" %s \"$SERVICES_DIR\" %s >&2", verb, name);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): a test's own words
}

struct services_order {
    const char *verb, *name;
};

static inline void services_order_run(void *arg)
{
    const struct services_order *order = arg;

    services_do(order->verb, order->name);
}

/* Coroutine: the same, and the loop goes on meanwhile. */
static inline void services_await(const char *verb, const char *name)
{
    struct services_order order = {verb, name};

    co_work(services_order_run, &order);
}

static inline void services_redis_empty_run(void *arg)
{
    (void)arg;
    services_do("kill", "redis");
    assert_int_equal(system("rm -rf \"$SERVICES_DIR/redis/data\""), 0); // NOLINT(cert-env33-c): a test's own words
    services_do("start", "redis");
}

/* Coroutine: Redis is killed and comes back without its data. */
static inline void services_redis_empty(void)
{
    co_work(services_redis_empty_run, NULL);
}

/* REDIS_URL, AMQP_URL, SERVICES_DIR */
static inline const char *services_env(const char *name)
{
    const char *value = getenv(name);

    assert_non_null(value);
    return value;
}
