/* `guildhall gateway`: one gateway node of the full stack. */
#include "gateway/server/gateway.h"

#include "platform/base/jw.h"
#include "platform/base/log.h"
#include "platform/cli/serve.h"
#include "platform/io/co.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>

static struct {
    struct platform platform;
    struct gateway *gateway;
    struct http_listener *listener, *admin;
    struct buf public_url;
    char node_id[64];
    int code;
} self;

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
    return self.gateway ? gateway_upgrade(req, self.gateway) : 503;
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
    int r = http_listener_start(&o, &self.listener, err);
    if (r < 0)
        return r;
    serve_public_url(&self.public_url, setting_str(SETTING_public_gateway_url), o.tls_cert ? "wss" : "ws",
                     setting_str(SETTING_listen), http_listener_port(self.listener), "/gateway");
    return serve_admin(&self.admin, err);
}

static void tell_ready(void)
{
    BUF_AUTO struct buf line = {0};
    jw_obj(&line);
    jw_kcstr(&line, "ready", "gateway");
    jw_kstr(&line, "gateway_url", buf_str(&self.public_url));
    jw_kcstr(&line, "node_id", self.node_id);
    serve_tell_admin(&line, self.admin);
    jw_obj_end(&line);
    ready_print(&line);
}

static void start(void *arg)
{
    (void)arg;
    int r = platform_start(&self.platform, false, (int)setting_int(SETTING_worker_id));
    struct gateway_options o = {.ports = &self.platform.ports,
                                .tokens = self.platform.tokens,
                                .node_id = self.node_id,
                                .public_url = self.public_url.data,
                                .heartbeat_interval_ms = (int)setting_int(SETTING_heartbeat_interval_ms),
                                .limits = setting_bool(SETTING_limits)};
    if (r == 0)
        r = gateway_new(&o, &self.gateway);
    if (r == 0) {
        tell_ready();
        return;
    }
    self.code = r == -ECANCELED ? 0 : 1;
    loop_stop();
}

static void last_step(void *arg)
{
    if (self.gateway)
        gateway_stop(self.gateway);
    self.gateway = NULL;
    platform_release(&self.platform);
    serve_stopped(arg);
}

static void stop(void *arg)
{
    (void)arg;
    platform_stop_waiting();
    serve_stop(self.listener, last_step);
    self.listener = NULL;
}

int gateway_main(void)
{
    BUF_AUTO struct buf err = {0};
    struct platform_urls urls;
    if (serve_full_stack_urls(&urls, &err) < 0 || platform_open(&self.platform, &urls, &err) < 0)
        return usage_error(&err);
    if (listen_everywhere(&err) < 0)
        return usage_error(&err);
    if (serve_path(SETTING_node_id))
        snprintf(self.node_id, sizeof self.node_id, "%s", setting_str(SETTING_node_id));
    else
        snprintf(self.node_id, sizeof self.node_id, "gw-%08x", randombytes_random());
    loop_on_signal(stop, NULL);
    (void)co_spawn(start, NULL);
    loop_run();
    platform_close(&self.platform);
    buf_done(&self.public_url);
    return self.code;
}
