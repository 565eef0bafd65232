/* `guildhall api`: the HTTP API of the full stack. Any number run side by side. */
#include "platform/base/jw.h"
#include "platform/cli/serve.h"
#include "platform/protocol/event.h"

#include <errno.h>
#include <sodium.h>

static struct service service;
static struct api *api;

/* Any live node will do; which one is left to chance, so that clients spread. */
static int gateway_url_any(struct arena *a, struct str *ret, void *arg)
{
    (void)arg;
    struct kv_node *nodes;
    unsigned count;
    int r = kv_nodes_list(service.platform.ports.kv, a, &nodes, &count);
    if (r == 0 && !count)
        r = -EHOSTDOWN;
    if (r == 0)
        *ret = nodes[randombytes_uniform(count)].url;
    return r;
}

static void on_broadcast(const struct bus_delivery *d, void *arg)
{
    (void)arg;
    serve_revocation(&service.platform, d->event);
}

static void handle(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    if (!admin_handle(req, res) && !serve_not_yet(&service.platform, res))
        api_handle(req, res, api);
}

static int listen_everywhere(struct buf *err)
{
    struct http_listener_options o = {
        .listen = setting_str(SETTING_listen),
        .tls_cert = serve_path(SETTING_tls_cert),
        .tls_key = serve_path(SETTING_tls_key),
        .handler = handle,
        .via = "1.1 guildhall",
    };
    int r = http_listener_start(&o, &service.listener, err);
    if (r < 0)
        return r;
    serve_public_url(&service.public_url, setting_str(SETTING_public_api_url), o.tls_cert ? "https" : "http",
                     setting_str(SETTING_listen), http_listener_port(service.listener), "/api");
    return serve_admin(&service.admin, err);
}

static int begin(struct buf *err)
{
    (void)err;
    BUF_AUTO struct buf line = {0};
    outbox_start(&service.platform.ports);
    serve_control_tell(&service, "api", setting_str(SETTING_node_id));
    jw_obj(&line);
    jw_kcstr(&line, "ready", "api");
    jw_kstr(&line, "api_url", buf_str(&service.public_url));
    serve_tell_admin(&line, service.admin);
    jw_obj_end(&line);
    ready_print(&line);
    return 0;
}

static void end(void)
{
    serve_control_untell(&service);
    outbox_stop();
}

int api_main(void)
{
    BUF_AUTO struct buf err = {0};
    struct platform_urls urls;
    service = (struct service){.worker_id = (int)setting_int(SETTING_worker_id), .begin = begin, .end = end};
    if (serve_full_stack_urls(&urls, &err) < 0 || serve_control_open(false, &err) < 0 ||
        platform_open(&service.platform, &urls, &err) < 0 || listen_everywhere(&err) < 0)
        return usage_error(&err);
    struct api_options o = {.ports = &service.platform.ports,
                            .tokens = service.platform.tokens,
                            .public_api_url = service.public_url.data,
                            .secret = urls.secret,
                            .limits = setting_bool(SETTING_limits),
                            .interaction_first_ms = setting_int(SETTING_interaction_deadline_ms),
                            .endpoint_reach = serve_endpoint_reach(HTTP_REACH_PUBLIC),
                            .max_concurrency = (unsigned)setting_int(SETTING_identify_concurrency),
                            .gateway_url = gateway_url_any};
    api = api_new(&o);
    bus_subscribe(service.platform.ports.bus, NULL, on_broadcast, NULL);
    int code = service_run(&service);
    api_free(api);
    return code;
}
