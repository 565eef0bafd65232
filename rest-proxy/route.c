/* Route templates: a path segment is kept when it looks like a word of the API, else it is a parameter. Loop thread;
 * at most SEGMENTS_MAX segments are told apart, the rest is one parameter. */
#include "rest-proxy/route.h"

#include "platform/base/buf.h"
#include "platform/base/snowflake.h"

#define SEGMENTS_MAX 12
#define SEGMENT_MAX  40 /* bytes of a literal segment */
#define ID_DIGITS    15 /* so many digits and more are an id */
#define OLD_MESSAGE  (INT64_C(14) * 24 * 3600 * 1000)

struct segments {
    struct str at[SEGMENTS_MAX];
    unsigned count;
};

static void segments_split(struct str path, struct segments *ret)
{
    size_t i = 0;

    ret->count = 0;
    while (i < path.n) {
        while (i < path.n && path.p[i] == '/')
            i++;
        size_t start = i;
        while (i < path.n && (path.p[i] != '/' || ret->count == SEGMENTS_MAX - 1))
            i++;
        if (i > start)
            ret->at[ret->count++] = (struct str){path.p + start, i - start};
    }
}

static bool segment_is(const struct segments *s, unsigned i, const char *word)
{
    return i < s->count && str_eq(s->at[i], str_c(word));
}

static bool is_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

/* v9, v10: not part of the route. */
static bool is_version(struct str s)
{
    return s.n >= 2 && s.n <= 3 && s.p[0] == 'v' && is_digits((struct str){s.p + 1, s.n - 1});
}

/* A word of the API: lower case, digits, and @ _ - as in @me or bulk-delete. Tokens and codes have capitals, or stand
 * where only parameters stand (segment_is_parameter). */
static bool is_word(struct str s)
{
    size_t digits = 0;

    if (s.n > SEGMENT_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c >= '0' && c <= '9')
            digits++;
        else if (!(c >= 'a' && c <= 'z') && c != '@' && c != '_' && c != '-')
            return false;
    }
    return digits < ID_DIGITS && !is_digits(s);
}

static bool segment_is_parameter(const struct segments *s, unsigned i)
{
    if (i > 0 && (segment_is(s, i - 1, "reactions") || segment_is(s, i - 1, "invites")))
        return true;
    if (i > 0 && segment_is(s, i - 1, "templates"))
        return true;
    if (i == 2 && (segment_is(s, 0, "interactions") || segment_is(s, 0, "webhooks")))
        return is_digits(s->at[1]);
    return !is_word(s->at[i]);
}

/* How many leading segments name the major parameter's resource, with its ids: 0, 2, or 3 for webhooks with a token. */
static unsigned major_segments(const struct segments *s)
{
    bool has = segment_is(s, 0, "channels") || segment_is(s, 0, "guilds") || segment_is(s, 0, "webhooks");

    if (!has || s->count < 2 || !is_digits(s->at[1]))
        return 0;
    return segment_is(s, 0, "webhooks") && s->count > 2 ? 3 : 2;
}

/* Interaction tokens are base64 of "interaction:...". */
static bool is_interaction(const struct segments *s)
{
    if (segment_is(s, 0, "interactions"))
        return s->count >= 4 && segment_is(s, 3, "callback");
    return segment_is(s, 0, "webhooks") && s->count >= 3 && str_starts(s->at[2], STR("aW50ZXJhY3Rpb246"));
}

static bool is_old_message_delete(struct str method, const struct segments *s, int64_t wall_ms)
{
    uint64_t id;

    return str_eq(method, STR("DELETE")) && s->count == 4 && segment_is(s, 0, "channels") &&
           segment_is(s, 2, "messages") && snowflake_parse(s->at[3], &id) == 0 &&
           wall_ms - snowflake_ms(id) > OLD_MESSAGE;
}

void route_parse(struct str method, struct str path, int64_t wall_ms, struct arena *a, struct route *ret)
{
    struct buf BUF_AUTO template = BUF_INIT(4096);
    struct segments s;

    segments_split(path, &s);
    if (s.count > 0 && is_version(s.at[0])) {
        s.count--;
        memmove(&s.at[0], &s.at[1], s.count * sizeof(s.at[0]));
    }
    unsigned major = major_segments(&s);
    ret->major = STR("");
    if (major == 2)
        ret->major = arena_str(a, s.at[1]);
    else if (major == 3)
        ret->major = arena_printf(a, "%.*s/%.*s", STR_ARG(s.at[1]), STR_ARG(s.at[2]));

    buf_add_str(&template, method);
    buf_addc(&template, ' ');
    for (unsigned i = 0; i < s.count; i++) {
        buf_addc(&template, '/');
        if (i > 0 && i < major)
            buf_adds(&template, i == 1 ? "{major}" : "{token}");
        else if (segment_is_parameter(&s, i))
            buf_adds(&template, "{x}");
        else
            buf_add_str(&template, s.at[i]);
    }
    if (is_old_message_delete(method, &s, wall_ms))
        buf_adds(&template, " old");
    ret->template = arena_str(a, buf_str(&template));
    ret->global_exempt = is_interaction(&s);
    ret->idempotent = str_eq(method, STR("GET")) || str_eq(method, STR("HEAD")) || str_eq(method, STR("OPTIONS"));
}

/* The first that matches counts. */
static const struct {
    enum route_group group;
    const char *name;
    const char *starts;
    const char *contains; /* NULL: anything */
} groups[ROUTE_GROUPS] = {
    {ROUTE_INTERACTIONS, "interactions", "/interactions", NULL},
    {ROUTE_REACTIONS, "reactions", "/channels/", "/reactions"},
    {ROUTE_MESSAGES, "messages", "/channels/", "/messages"},
    {ROUTE_CHANNELS, "channels", "/channels", NULL},
    {ROUTE_MEMBERS, "members", "/guilds/", "/members"},
    {ROUTE_GUILDS, "guilds", "/guilds", NULL},
    {ROUTE_WEBHOOKS, "webhooks", "/webhooks", NULL},
    {ROUTE_APPLICATIONS, "applications", "/applications", NULL},
    {ROUTE_USERS, "users", "/users", NULL},
    {ROUTE_GATEWAY, "gateway", "/gateway", NULL},
    {ROUTE_OTHER, "other", "", NULL},
};

enum route_group route_group(const struct route *r)
{
    const char *slash = memchr(r->template.p, '/', r->template.n);
    struct str path = slash ? (struct str){slash, (size_t)(r->template.p + r->template.n - slash)} : STR("");
    unsigned i = 0;

    if (r->global_exempt)
        return ROUTE_INTERACTIONS;
    while (!str_starts(path, str_c(groups[i].starts)) ||
           (groups[i].contains && !memmem(path.p, path.n, groups[i].contains, strlen(groups[i].contains))))
        i++;
    return groups[i].group;
}

const char *route_group_name(enum route_group g)
{
    for (unsigned i = 0; i < ROUTE_GROUPS; i++)
        if (groups[i].group == g)
            return groups[i].name;
    return "other";
}
