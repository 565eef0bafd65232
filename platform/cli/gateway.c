/* `guildhall gateway`: one gateway node of the full stack. */
#include "gateway/server/gateway.h"

#include "platform/base/jw.h"
#include "platform/cli/serve.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>

static struct service service;
static struct gateway *gateway;
static char node_id[64];

static void handle(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    if (!admin_handle(req, res))
        res->status = 404;
}

/* Until the gateway is there (its ports are awaited), clients are told to come later. */
static int upgrade(struct http_request *req, void *arg)
{
    (void)arg;
    return gateway ? gateway_upgrade(req, gateway) : 503;
}

static int listen_everywhere(struct buf *err)
{
    struct http_listener_options o = {
        .listen = setting_str(SETTING_listen),
        .tls_cert = serve_path(SETTING_tls_cert),
        .tls_key = serve_path(SETTING_tls_key),
        .handler = handle,
        .upgrade = upgrade,
    };
    int r = http_listener_start(&o, &service.listener, err);
    if (r < 0)
        return r;
    serve_public_url(&service.public_url, setting_str(SETTING_public_gateway_url), o.tls_cert ? "wss" : "ws",
                     setting_str(SETTING_listen), http_listener_port(service.listener), "/gateway");
    return serve_admin(&service.admin, err);
}

static void tell_ready(void)
{
    BUF_AUTO struct buf line = {0};
    jw_obj(&line);
    jw_kcstr(&line, "ready", "gateway");
    jw_kstr(&line, "gateway_url", buf_str(&service.public_url));
    jw_kcstr(&line, "node_id", node_id);
    jw_ki64(&line, "port", http_listener_port(service.listener)); /* the public URL may name a proxy's */
    serve_tell_admin(&line, service.admin);
    jw_obj_end(&line);
    ready_print(&line);
}

/* As an operator's signal would. */
static void drained(void)
{
    (void)raise(SIGTERM);
}

static int begin(struct buf *err)
{
    (void)err;
    struct gateway_options o = {.ports = &service.platform.ports,
                                .tokens = service.platform.tokens,
                                .node_id = node_id,
                                .public_url = service.public_url.data,
                                .heartbeat_interval_ms = (int)setting_int(SETTING_heartbeat_interval_ms),
                                .compression_contexts = setting_bool(SETTING_compression_contexts),
                                .session_log = true,
                                .on_drained = drained,
                                .limits = setting_bool(SETTING_limits),
                                .guilds_per_session = (unsigned)setting_int(SETTING_guilds_per_session),
                                .voice_endpoint = setting_str(SETTING_voice_endpoint),
                                .max_concurrency = (unsigned)setting_int(SETTING_identify_concurrency)};
    int r = gateway_new(&o, &gateway);
    if (r == 0) {
        serve_control_tell(&service, "gateway", node_id);
        tell_ready();
    }
    return r;
}

static void end(void)
{
    serve_control_untell(&service);
    if (gateway)
        gateway_stop(gateway);
    gateway = NULL;
}

int gateway_main(void)
{
    BUF_AUTO struct buf err = {0};
    struct platform_urls urls;
    service = (struct service){.worker_id = (int)setting_int(SETTING_worker_id), .begin = begin, .end = end};
    if (serve_full_stack_urls(&urls, &err) < 0 || serve_control_open(false, &err) < 0 ||
        platform_open(&service.platform, &urls, &err) < 0 || listen_everywhere(&err) < 0)
        return usage_error(&err);
    if (serve_path(SETTING_node_id))
        snprintf(node_id, sizeof node_id, "%s", setting_str(SETTING_node_id));
    else
        snprintf(node_id, sizeof node_id, "gw-%08x", randombytes_random());
    return service_run(&service);
}
