/* `guildhall api`: the HTTP API of the full stack. Any number run side by side. */
#include "platform/base/jw.h"
#include "platform/base/log.h"
#include "platform/base/settings.h"
#include "platform/cli/serve.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include "platform/protocol/event.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

static struct {
    struct platform platform;
    struct api *api;
    struct http_listener *listener, *admin;
    struct buf public_url;
    int code;
} self;

/* Any live node will do; which one is left to chance, so that clients spread. */
static int gateway_url_any(struct arena *a, struct str *ret, void *arg)
{
    (void)arg;
    struct kv_node *nodes;
    unsigned count;
    int r = kv_nodes_list(self.platform.ports.kv, a, &nodes, &count);
    if (r == 0 && !count)
        r = -EHOSTDOWN;
    if (r == 0)
        *ret = nodes[randombytes_uniform(count)].url;
    return r;
}

static void on_broadcast(const struct bus_delivery *d, void *arg)
{
    (void)arg;
    serve_revocation(&self.platform, d->event);
}

static void handle(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    if (!admin_handle(req, res))
        api_handle(req, res, self.api);
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
    int r = http_listener_start(&o, &self.listener, err);
    if (r < 0)
        return r;
    serve_public_url(&self.public_url, setting_str(SETTING_public_api_url), o.tls_cert ? "https" : "http",
                     setting_str(SETTING_listen), http_listener_port(self.listener), "/api");
    return serve_admin(&self.admin, err);
}

static void tell_ready(void)
{
    BUF_AUTO struct buf line = {0};
    jw_obj(&line);
    jw_kcstr(&line, "ready", "api");
    jw_kstr(&line, "api_url", buf_str(&self.public_url));
    serve_tell_admin(&line, self.admin);
    jw_obj_end(&line);
    ready_print(&line);
}

static void start(void *arg)
{
    (void)arg;
    int r = platform_start(&self.platform, false, (int)setting_int(SETTING_worker_id));
    if (r == 0) {
        outbox_start(&self.platform.ports);
        tell_ready();
    } else {
        self.code = r == -ECANCELED ? 0 : 1;
        loop_stop();
    }
}

static void stop_coroutine(void *arg)
{
    outbox_stop();
    platform_release(&self.platform);
    serve_stopped(arg);
}

static void stop(void *arg)
{
    (void)arg;
    platform_stop_waiting();
    serve_stop(self.listener, stop_coroutine);
    self.listener = NULL;
}

int api_main(void)
{
    BUF_AUTO struct buf err = {0};
    struct platform_urls urls;
    if (serve_full_stack_urls(&urls, &err) < 0 || platform_open(&self.platform, &urls, &err) < 0)
        return usage_error(&err);
    if (listen_everywhere(&err) < 0)
        return usage_error(&err);
    struct api_options o = {.ports = &self.platform.ports,
                            .tokens = self.platform.tokens,
                            .public_api_url = self.public_url.data,
                            .secret = urls.secret,
                            .limits = setting_bool(SETTING_limits),
                            .gateway_url = gateway_url_any};
    self.api = api_new(&o);
    bus_subscribe(self.platform.ports.bus, NULL, on_broadcast, NULL);
    loop_on_signal(stop, NULL);
    (void)co_spawn(start, NULL);
    loop_run();
    api_free(self.api);
    platform_close(&self.platform);
    buf_done(&self.public_url);
    return self.code;
}
