/* `guildhall rest-proxy`: from settings to a running proxy and back. Loop thread. */
#include "rest-proxy/proxy.h"

#include "platform/base/log.h"
#include "platform/base/settings.h"
#include "platform/io/admin.h"
#include "platform/io/loop.h"
#include <stdio.h>

#define STOP_GRACE_MS 15000

static struct proxy *proxy;
static struct http_listener *admin;
static bool stopping;

static void on_stopped(void *arg)
{
    (void)arg;
    loop_stop();
}

static void on_signal(void *arg)
{
    (void)arg;
    if (stopping)
        return;
    stopping = true;
    LOG_INFO("stopping", "grace_ms=%d", STOP_GRACE_MS);
    proxy_stop(proxy, STOP_GRACE_MS, on_stopped, NULL);
}

/* SIGHUP: what is read again is what --help says so of, from the file. */
static void on_hangup(void *arg)
{
    struct buf BUF_AUTO err = BUF_INIT(1024);

    (void)arg;
    if (stopping)
        return;
    if (settings_reload(&err) != 0) {
        LOG_ERROR("settings refused", "why=\"%.*s\"", STR_ARG(buf_str(&err)));
        return;
    }
    proxy_configure(proxy, (int)setting_int(SETTING_global_limit), (int)setting_int(SETTING_invalid_limit));
    LOG_INFO("settings read again", "global_limit=%lld invalid_limit=%lld",
             (long long)setting_int(SETTING_global_limit), (long long)setting_int(SETTING_invalid_limit));
}

static bool is_running(void *arg)
{
    (void)arg;
    return !stopping;
}

static void print_ready(void)
{
    printf("{\"ready\":\"rest-proxy\",\"proxy_url\":\"http://127.0.0.1:%d/api\"", proxy_port(proxy));
    if (admin)
        printf(",\"admin\":\"http://127.0.0.1:%d\"", http_listener_port(admin));
    printf("}\n");
    fflush(stdout);
}

int proxy_main(void)
{
    struct buf BUF_AUTO err = BUF_INIT(1024);
    const char *admin_listen_on = setting_str(SETTING_admin_listen), *ca = setting_str(SETTING_upstream_ca);
    const char *redis_url = setting_str(SETTING_redis_url);
    struct proxy_options o = {
        .listen = setting_str(SETTING_listen),
        .upstream = setting_str(SETTING_upstream),
        .upstream_ca = *ca ? ca : NULL,
        .redis_url = *redis_url ? redis_url : NULL,
        .egress = setting_str(SETTING_egress),
        .global_per_second = (int)setting_int(SETTING_global_limit),
        .invalid_max = (int)setting_int(SETTING_invalid_limit),
    };

    admin_check("running", is_running, NULL);
    if (proxy_start(&o, &proxy, &err) != 0 || (*admin_listen_on && admin_listen(admin_listen_on, &admin, &err) != 0)) {
        fprintf(stderr, "guildhall rest-proxy: %s\n", err.data ? err.data : "cannot listen");
        return 2;
    }
    LOG_INFO("ready", "upstream=%s port=%d", o.upstream, proxy_port(proxy));
    print_ready();
    loop_on_signal(on_signal, NULL);
    loop_on_hangup(on_hangup, NULL);
    loop_run();
    return 0;
}
