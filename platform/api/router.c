/* The route table compiled into a trie. Loop thread. */
#include "platform/api/router.h"

#include "platform/api/handlers.h"
#include "platform/base/check.h"
#include "platform/base/mem.h"

#include <stdio.h>

#define SEGMENTS_MAX 16

struct node {
    struct str literal; /* of the edge that leads here; STR_NONE: a parameter */
    struct node *children, *next;
    struct route *routes[HTTP_METHOD_OTHER + 1];
};

struct router {
    struct node root;
    struct route *routes;
    unsigned route_count;
};

static const struct route table[] = {
#define ROUTE(method_, path_, handler_, auth_, limit_, window_)                                                        \
    {.method = HTTP_METHOD_##method_,                                                                                  \
     .method_name = #method_,                                                                                          \
     .path = path_,                                                                                                    \
     .handler = handler_,                                                                                              \
     .auth = ROUTE_##auth_,                                                                                            \
     .bucket_limit = limit_,                                                                                           \
     .bucket_window_ms = window_},
#include "platform/api/routes.def"
#undef ROUTE
};

/* The next segment of *path, which begins with a slash; false at its end. */
static bool segment_next(struct str *path, struct str *ret)
{
    if (path->n == 0 || path->p[0] != '/')
        return false;
    const char *begin = path->p + 1, *end = path->p + path->n;
    const char *slash = memchr(begin, '/', (size_t)(end - begin));
    const char *stop = slash ? slash : end;
    *ret = (struct str){begin, (size_t)(stop - begin)};
    *path = (struct str){stop, (size_t)(end - stop)};
    return true;
}

static struct node *child_of(struct node *parent, struct str literal)
{
    for (struct node *n = parent->children; n; n = n->next)
        if ((n->literal.p == NULL) == (literal.p == NULL) && str_eq(n->literal, literal))
            return n;
    struct node *n = MEM_NEW(struct node);
    n->literal = literal;
    n->next = parent->children;
    parent->children = n;
    return n;
}

void bucket_name(const char *first, const char *second, char out[17])
{
    uint64_t h = UINT64_C(14695981039346656037);
    const char *parts[] = {first, second};

    for (int i = 0; i < 2; i++)
        for (const char *p = parts[i]; *p; p++)
            h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    snprintf(out, 17, "%016llx", (unsigned long long)h);
}

static bool name_is(struct str name, const char *what)
{
    return str_eq(name, str_c(what));
}

static void param_add(struct route *r, struct str name)
{
    CHECK(r->param_count < API_PARAMS_MAX);
    unsigned i = r->param_count++;
    r->param_names[i] = name.p;
    r->param_is_id[i] = name.n > 3 && memcmp(name.p + name.n - 3, ".id", 3) == 0;
    if (r->major < 0 && (name_is(name, "channel.id") || name_is(name, "guild.id") || name_is(name, "webhook.id")))
        r->major = (int)i;
}

static void route_add(struct router *router, struct route *r)
{
    struct node *n = &router->root;
    struct str path = str_c(r->path), s;

    r->major = -1;
    r->by_token = str_starts(path, STR("/interactions/{")) || str_starts(path, STR("/webhooks/{"));
    while (segment_next(&path, &s)) {
        bool is_param = s.n > 2 && s.p[0] == '{';
        if (is_param)
            param_add(r, (struct str){s.p + 1, s.n - 2});
        n = child_of(n, is_param ? STR_NONE : s);
    }
    CHECK_MSG(!n->routes[r->method], "two routes for %s %s", r->method_name, r->path);
    n->routes[r->method] = r;
    bucket_name(r->method_name, r->path, r->bucket);
}

struct router *router_new(void)
{
    struct router *r = MEM_NEW(struct router);

    r->route_count = sizeof table / sizeof *table;
    r->routes = mem_zalloc(sizeof table);
    memcpy(r->routes, table, sizeof table);
    for (unsigned i = 0; i < r->route_count; i++)
        route_add(r, &r->routes[i]);
    return r;
}

static void node_free(struct node *n)
{
    while (n) {
        struct node *next = n->next;
        node_free(n->children);
        mem_free(n);
        n = next;
    }
}

void router_free(struct router *r)
{
    if (!r)
        return;
    node_free(r->root.children);
    mem_free(r->routes);
    mem_free(r);
}

struct search {
    enum http_method method;
    struct str segments[SEGMENTS_MAX];
    unsigned count;
    struct str params[API_PARAMS_MAX];
    bool path_known;
};

/* Literals first, then the parameter; the depth is at most SEGMENTS_MAX. */
static struct route *search(struct search *s, const struct node *n, unsigned i, unsigned param)
{
    if (i == s->count) {
        for (unsigned m = 0; m <= HTTP_METHOD_OTHER; m++)
            s->path_known |= n->routes[m] != NULL;
        return n->routes[s->method];
    }
    const struct node *wild = NULL;
    for (const struct node *c = n->children; c; c = c->next) {
        if (!c->literal.p)
            wild = c;
        else if (str_eq(c->literal, s->segments[i])) {
            struct route *r = search(s, c, i + 1, param);
            if (r)
                return r;
        }
    }
    if (!wild || param == API_PARAMS_MAX || s->segments[i].n == 0)
        return NULL;
    struct route *r = search(s, wild, i + 1, param + 1);
    if (r)
        s->params[param] = s->segments[i];
    return r;
}

enum api_error router_match(const struct router *r, enum http_method method, struct str path, struct arena *a,
                            struct route_match *ret)
{
    struct search s = {.method = method == HTTP_METHOD_HEAD ? HTTP_METHOD_GET : method};

    while (path.n) {
        if (s.count == SEGMENTS_MAX || !segment_next(&path, &s.segments[s.count]))
            return API_ERROR_NOT_FOUND;
        struct str segment = http_percent_decode(a, s.segments[s.count], false);
        if (!segment.p || utf8_count(segment) < 0 || memchr(segment.p, 0, segment.n))
            return API_ERROR_NOT_FOUND;
        s.segments[s.count++] = segment;
    }
    struct route *found = s.count ? search(&s, &r->root, 0, 0) : NULL;
    if (!found)
        return s.path_known ? API_ERROR_METHOD_NOT_ALLOWED : API_ERROR_NOT_FOUND;
    *ret = (struct route_match){.route = found};
    memcpy(ret->texts, s.params, sizeof s.params);
    return API_OK;
}
