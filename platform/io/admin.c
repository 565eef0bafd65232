/* Operator pages. Loop thread. */
#include "platform/io/admin.h"

#include "platform/base/check.h"
#include "platform/base/jw.h"
#include "platform/base/metrics.h"

#define CHECKS_MAX 16
#define PAGES_MAX  4

static struct {
    const char *name;
    bool (*ready)(void *arg);
    void *arg;
} checks[CHECKS_MAX];
static unsigned check_count;

static bool (*pages[PAGES_MAX])(struct http_request *req, struct http_response *res);
static unsigned page_count;

void admin_check(const char *name, bool (*ready)(void *arg), void *arg)
{
    CHECK(check_count < CHECKS_MAX);
    checks[check_count].name = name;
    checks[check_count].ready = ready;
    checks[check_count++].arg = arg;
}

void admin_extend(bool (*fn)(struct http_request *req, struct http_response *res))
{
    CHECK(page_count < PAGES_MAX);
    pages[page_count++] = fn;
}

static bool page_added(struct http_request *req, struct http_response *res)
{
    for (unsigned i = 0; i < page_count; i++)
        if (pages[i](req, res))
            return true;
    return false;
}

static void readyz(struct http_response *res)
{
    res->status = 200;
    jw_obj(&res->body);
    for (unsigned i = 0; i < check_count; i++) {
        bool ok = checks[i].ready(checks[i].arg);
        jw_kbool(&res->body, checks[i].name, ok);
        if (!ok)
            res->status = 503;
    }
    jw_obj_end(&res->body);
}

bool admin_handle(struct http_request *req, struct http_response *res)
{
    if (str_eq(req->path, STR("/healthz"))) {
        res->status = 200;
        buf_adds(&res->body, "{\"status\":\"ok\"}");
    } else if (str_eq(req->path, STR("/readyz"))) {
        readyz(res);
    } else if (str_eq(req->path, STR("/metrics"))) {
        res->status = 200;
        res->content_type = "text/plain; version=0.0.4";
        metrics_write(&res->body);
    } else {
        return page_added(req, res);
    }
    return true;
}

static void admin_only(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    if (!admin_handle(req, res)) {
        res->status = 404;
        buf_adds(&res->body, "{\"message\":\"404: Not Found\",\"code\":0}");
    }
}

int admin_listen(const char *listen, struct http_listener **ret, struct buf *err)
{
    struct http_listener_options o = {.listen = listen, .handler = admin_only};
    return http_listener_start(&o, ret, err);
}
