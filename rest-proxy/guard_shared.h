/* The invalid requests of ten minutes, counted by all proxies that send from one address. What is left of the limit is
 * divided among them, because they hear of each other late. Loop thread. */
#pragma once

#include "platform/io/redis.h"
#include <stdint.h>

struct guard_shared;
/* redis: the caller's, freed before it. own_time: the scripts go by now_ms, too. */
struct guard_shared *guard_shared_new(struct redis *redis, const char *egress, int64_t (*now_ms)(void), bool own_time);
void guard_shared_free(struct guard_shared *g);

/* This process got one more; guard_shared_tell is to follow. */
void guard_shared_add(struct guard_shared *g);
/* Tells the others and hears from them; nothing while the last time is not answered yet. */
void guard_shared_tell(struct guard_shared *g);
/* 0: one more request may be sent. LIMIT_PROXY_POLL_MS: what is in flight may turn out valid. Else until it may be. */
int64_t guard_shared_wait_ms(struct guard_shared *g, int max, int proxies, int in_flight);
int guard_shared_sum(struct guard_shared *g);
