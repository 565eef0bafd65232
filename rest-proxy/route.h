/* From a request line to what a rate limit is counted by: the route's template and its major parameter. Known by rule,
 * not by list, so that a route which Discord adds tomorrow works. Pure; any thread.
 * Source: Discord API documentation, "Rate Limits". */
#pragma once

#include "platform/base/arena.h"
#include "platform/base/str.h"

struct route {
    struct str template; /* "POST /channels/{major}/messages": no ids, no tokens, no query, no version */
    struct str major;    /* channel, guild, webhook id (or "id/token"); empty: none */
    bool global_exempt;  /* interaction endpoints do not count against the token's global limit */
    bool idempotent;     /* may be sent again although it may have arrived (GET, HEAD, OPTIONS) */
};

/* path: below /api, with or without /vN, without the query. wall_ms: the age of a message is part of its DELETE's
 * route (over 14 days is another bucket upstream). Strings are in the arena. */
void route_parse(struct str method, struct str path, int64_t wall_ms, struct arena *a, struct route *ret);

/* What operators see the route's numbers under; one of ROUTE_GROUPS words. */
enum route_group {
    ROUTE_INTERACTIONS,
    ROUTE_MESSAGES,
    ROUTE_REACTIONS,
    ROUTE_CHANNELS,
    ROUTE_MEMBERS,
    ROUTE_GUILDS,
    ROUTE_WEBHOOKS,
    ROUTE_APPLICATIONS,
    ROUTE_USERS,
    ROUTE_GATEWAY,
    ROUTE_OTHER,
    ROUTE_GROUPS
};
enum route_group route_group(const struct route *r);
const char *route_group_name(enum route_group g);
