/* The API's front: version, route, caller, limits, body, handler, answer. Coroutine of each request. */
#include "platform/api/api_private.h"

#include "platform/api/access_cache.h"
#include "platform/api/faults.h"
#include "platform/api/form.h"
#include "platform/api/images.h"
#include "platform/api/interactions/interactions.h"
#include "platform/api/messages/messages.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/base/snowflake.h"
#include "platform/io/admin.h"
#include "platform/io/http_client.h"

#include <errno.h>
#include <stdio.h>

METRIC_DEFINE_BY(answers, METRIC_COUNTER, "guildhall_api_requests_total", "route, code",
                 "API requests by route and class of answer");
METRIC_DEFINE_BY(seconds, METRIC_HISTOGRAM, "guildhall_api_request_seconds", "route",
                 "Time from a whole request to its answer");

struct api *api_new(const struct api_options *o)
{
    struct api *api = MEM_NEW(struct api);

    api->options = *o;
    api->router = router_new();
    api->limiter = limiter_new();
    api->faults = faults_new();
    api_control_start(api);
    api->access = access_cache_new();
    api->pending = pending_new(api);
    api->endpoints = http_client_new(&(struct http_client_options){.reach = o->endpoint_reach});
    return api;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    api_control_stop(api);
    faults_free(api->faults);
    router_free(api->router);
    limiter_free(api->limiter);
    access_cache_free(api->access);
    pending_free(api->pending);
    http_client_free(api->endpoints);
    mem_free(api);
}

enum api_error api_port_error(int err, enum api_error missing)
{
    switch (err) {
    case -ENOENT:
    case -ENODATA:
        return missing;
    case -EHOSTDOWN:
    case -EAGAIN:
        return API_ERROR_UNAVAILABLE;
    case -ENOSPC:
        LOG_ERROR("no space left", "error=%d", -err);
        return API_ERROR_RESOURCE_OVERLOADED;
    case -EINVAL: /* what the database cannot hold: a text with a NUL, a number out of its column's range */
        return API_ERROR_GENERAL_400;
    default:
        LOG_ERROR("port failed", "error=%d", -err);
        return API_ERROR_INTERNAL;
    }
}

enum api_error api_commit(struct api_ctx *x, struct commit *c, enum api_error missing)
{
    int r = commit_run(c, x->ports);

    return r < 0 ? api_port_error(r, missing) : API_OK;
}

static void error_answer(struct http_response *res, enum api_error e, const struct buf *form_errors)
{
    const struct api_error_info *info = api_error_info(e);
    struct buf *b = &res->body;

    buf_clear(b);
    res->status = info->status;
    jw_obj(b);
    jw_kcstr(b, "message", info->message);
    jw_ki64(b, "code", info->code);
    if (e == API_ERROR_INVALID_FORM_BODY && form_errors && form_errors->len) {
        json_t *tree = form_errors_tree(form_errors);
        char *text = json_dumps(tree, JSON_COMPACT);
        jw_kraw(b, "errors", str_c(text ? text : "{}"));
        free(text);
        json_decref(tree);
    }
    jw_obj_end(b);
}

/* Moves *path behind "/api", "/api/v9" or "/api/v10". NOT_FOUND: no such prefix. INVALID_API_VERSION. */
static enum api_error version_read(struct str *path, int *ret)
{
    uint64_t version = 10;

    if (!str_starts(*path, STR("/api/")))
        return API_ERROR_NOT_FOUND;
    *path = (struct str){path->p + 4, path->n - 4};
    const char *slash = memchr(path->p + 1, '/', path->n - 1);
    size_t n = (slash ? (size_t)(slash - path->p) : path->n) - 1;
    bool named = n > 1 && path->p[1] == 'v' && str_to_u64((struct str){path->p + 2, n - 1}, &version) == 0;
    if (named)
        *path = (struct str){path->p + n + 1, path->n - n - 1};
    if (version != 9 && version != 10)
        return API_ERROR_INVALID_API_VERSION;
    *ret = (int)version;
    return API_OK;
}

/* The parameters that must be snowflakes. */
static enum api_error params_read(struct api_ctx *x, const struct route *route)
{
    for (unsigned i = 0; i < route->param_count; i++) {
        if (!route->param_is_id[i] || snowflake_parse(x->texts[i], &x->ids[i]) == 0)
            continue;
        struct str name = {route->param_names[i], strcspn(route->param_names[i], "}") - 3};
        struct str path = arena_printf(x->arena, "%.*s_id", STR_ARG(name));
        form_error(x, path.p, "NUMBER_TYPE_COERCE", "Value is not snowflake.");
    }
    return form_result(x);
}

static void route_count(struct route *route, int status, uint64_t began_ns)
{
    int class = status >= 100 && status < 600 ? status / 100 : 5;

    if (!route->answers[class]) {
        char labels[192];
        snprintf(labels, sizeof labels, "route=\"%s %s\",code=\"%dxx\"", route->method_name, route->path, class);
        route->answers[class] = metric_with(&answers, labels);
    }
    if (!route->seconds) {
        char labels[192];
        snprintf(labels, sizeof labels, "route=\"%s %s\"", route->method_name, route->path);
        route->seconds = metric_with(&seconds, labels);
    }
    metric_add(route->answers[class], 1);
    metric_observe_us(route->seconds, (int64_t)((clock_mono_ns() - began_ns) / 1000));
}

/* Everything from the caller on. Leaves the answer in x->res. */
static enum api_error route_run(struct api_ctx *x, const struct route *route)
{
    enum api_error e = authenticate(x, route);

    /* Also requests without a good token are counted: by address. */
    if (!limit_route(x, route))
        return API_OK;
    if (e == API_OK)
        e = params_read(x, route);
    if (e == API_OK)
        e = body_read(x, route);
    if (e == API_OK)
        e = route->handler(x);
    api_guild_unlock(x);
    return e;
}

static void finish(struct api_ctx *x, enum api_error e)
{
    struct http_response *res = x->res;

    if (e == API_OK && buf_failed(&res->body))
        e = API_ERROR_INTERNAL;
    if (e != API_OK) {
        error_answer(res, e, &x->form_errors);
        return;
    }
    if (res->status == 0)
        res->status = res->body.len || res->file_fd >= 0 ? 200 : 204;
}

/* Paths and versions that do not exist share one bucket of their caller's address. */
static struct route unmatched = {.method_name = "ANY",
                                 .path = "unknown",
                                 .bucket = "unknown",
                                 .bucket_limit = 100,
                                 .bucket_window_ms = 10000,
                                 .major = -1};

static enum api_error answer_make(struct api_ctx *x, enum api_error e, const struct route *route)
{
    if (e == API_OK)
        return route_run(x, route);
    return limit_route(x, route) ? e : API_OK;
}

/* e: what the version or the path was refused with. */
static void serve(struct api *api, struct http_request *req, struct http_response *res, struct str path, int version,
                  enum api_error e)
{
    uint64_t began_ns = clock_mono_ns();
    struct route_match match = {.route = &unmatched};
    struct api_ctx x = {.api = api,
                        .options = &api->options,
                        .ports = api->options.ports,
                        .req = req,
                        .res = res,
                        .arena = &req->arena,
                        .version = version,
                        .form_errors = BUF_INIT(64u << 10)};

    if (e == API_OK)
        e = router_match(api->router, req->method, path, x.arena, &match);
    memcpy(x.texts, match.texts, sizeof x.texts);
    struct fault fault;
    faults_take(api->faults, &x, path, &fault);
    if (!fault_before(&fault, &x, match.route)) {
        e = answer_make(&x, e, match.route);
        finish(&x, e);
        fault_after(&fault, &x, match.route);
    }
    json_decref(x.body);
    buf_done(&x.form_errors);
    route_count(match.route, res->status, began_ns);
    LOG_DEBUG("request", "method=%s path=\"%.*s\" status=%d user=%llu us=%lld", match.route->method_name,
              STR_ARG(req->path), res->status, (unsigned long long)x.user_id,
              (long long)((clock_mono_ns() - began_ns) / 1000));
}

void api_handle(struct http_request *req, struct http_response *res, void *arg)
{
    struct api *api = arg;
    struct str path = req->path;
    int version = 10;

    if (admin_handle(req, res))
        return;
    if (!cors_preflight(req, res)) {
        if (str_starts(path, STR("/attachments/"))) {
            attachment_serve(req, res, &api->options);
        } else if (!image_serve(req, res, &api->options)) {
            enum api_error e = version_read(&path, &version);
            serve(api, req, res, path, version, e);
        }
    }
    cors_headers(req, res); /* last: a 429 begins its headers anew */
}
