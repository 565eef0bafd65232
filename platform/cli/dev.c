/* `guildhall dev`: the whole platform in one process on embedded parts: SQLite, in-process kv and bus, files. API and
 * gateway share one port. */
#include "gateway/server/gateway.h"

#include "platform/base/jw.h"
#include "platform/cli/serve.h"
#include "platform/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_BYTES 32

static struct service service;

static struct {
    struct api *api;
    struct gateway *gateway;
    struct buf gateway_url;
    char listen[32], secret[SECRET_BYTES * 2 + 1], database[4096], objects[4096];
    char tls_cert[2048], tls_key[2048], control_url[64];
} self;

static void handle(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    if (!admin_handle(req, res) && !serve_not_yet(&service.platform, res))
        api_handle(req, res, self.api);
}

static int upgrade(struct http_request *req, void *arg)
{
    (void)arg;
    return self.gateway ? gateway_upgrade(req, self.gateway) : 503;
}

static int gateway_url_own(struct arena *a, struct str *ret, void *arg)
{
    (void)arg;
    *ret = arena_str(a, buf_str(&self.gateway_url));
    return 0;
}

/* --tls CERT KEY: two words, joined by a newline. */
static int tls_read(struct buf *err)
{
    const char *both = setting_str(SETTING_tls), *end = strchr(both, '\n');
    if (!*both)
        return 0;
    if (!end) {
        buf_adds(err, "--tls takes two words: certificate and key");
        return -EINVAL;
    }
    snprintf(self.tls_cert, sizeof self.tls_cert, "%.*s", (int)(end - both), both);
    snprintf(self.tls_key, sizeof self.tls_key, "%s", end + 1);
    return 0;
}

/* Kept beside the data, so that tokens stay good over a restart. */
static int secret_keep(const char *dir, struct buf *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/secret", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, self.secret, sizeof self.secret - 1);
        close(fd);
        if (n == (ssize_t)sizeof self.secret - 1)
            return 0;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, self.secret, sizeof self.secret - 1) != (ssize_t)sizeof self.secret - 1 || fsync(fd) < 0) {
        buf_addf(err, "cannot write %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -EINVAL;
    }
    close(fd);
    return 0;
}

static int data_open(struct platform_urls *urls, struct buf *err)
{
    const char *dir = serve_path(SETTING_data);
    unsigned char key[SECRET_BYTES];
    if (dir && setting_bool(SETTING_memory)) {
        buf_adds(err, "--data and --memory exclude each other");
        return -EINVAL;
    }
    if (serve_path(SETTING_secret) && strlen(setting_str(SETTING_secret)) < 32) {
        buf_adds(err, "--secret is shorter than 32 characters");
        return -EINVAL;
    }
    randombytes_buf(key, sizeof key);
    sodium_bin2hex(self.secret, sizeof self.secret, key, sizeof key);
    *urls = (struct platform_urls){.database = "sqlite::memory:", .database_connections = 1};
    if (dir) {
        if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
            buf_addf(err, "cannot make %s: %s", dir, strerror(errno));
            return -EINVAL;
        }
        int r = secret_keep(dir, err);
        if (r < 0)
            return r;
        snprintf(self.database, sizeof self.database, "sqlite:%s/guildhall.db", dir);
        snprintf(self.objects, sizeof self.objects, "%s/objects", dir);
        urls->database = self.database;
        urls->objects_dir = self.objects;
    }
    urls->secret = serve_path(SETTING_secret) ? str_c(setting_str(SETTING_secret)) : str_c(self.secret);
    return platform_open(&service.platform, urls, err);
}

static int listen_everywhere(struct buf *err)
{
    bool tls = self.tls_cert[0] != '\0';
    snprintf(self.listen, sizeof self.listen, "127.0.0.1:%d", (int)setting_int(SETTING_port));
    struct http_listener_options o = {.listen = self.listen,
                                      .tls_cert = tls ? self.tls_cert : NULL,
                                      .tls_key = tls ? self.tls_key : NULL,
                                      .handler = handle,
                                      .upgrade = upgrade,
                                      .via = "1.1 guildhall"};
    int r = http_listener_start(&o, &service.listener, err);
    if (r < 0)
        return r;
    int port = http_listener_port(service.listener);
    serve_public_url(&service.public_url, setting_str(SETTING_public_api_url), tls ? "https" : "http", self.listen,
                     port, "/api");
    snprintf(self.control_url, sizeof self.control_url, "%s://127.0.0.1:%d" CONTROL_PREFIX, tls ? "https" : "http",
             port);
    serve_public_url(&self.gateway_url, setting_str(SETTING_public_gateway_url), tls ? "wss" : "ws", self.listen, port,
                     "/gateway");
    return 0;
}

static void tell_ready(struct str seeded)
{
    BUF_AUTO struct buf line = {0};
    jw_obj(&line);
    jw_kcstr(&line, "ready", "dev");
    jw_kstr(&line, "api_url", buf_str(&service.public_url));
    jw_kstr(&line, "gateway_url", buf_str(&self.gateway_url));
    if (control_is_open())
        jw_kcstr(&line, "control_url", self.control_url);
    jw_ki64(&line, "pid", getpid());
    if (seeded.n)
        buf_addf(&line, ",%.*s", STR_ARG(seeded));
    jw_obj_end(&line);
    ready_print(&line);
}

static int begin(struct buf *err)
{
    BUF_AUTO struct buf seeded = {0};
    struct gateway_options o = {.ports = &service.platform.ports,
                                .tokens = service.platform.tokens,
                                .node_id = "dev",
                                .public_url = self.gateway_url.data,
                                .heartbeat_interval_ms = (int)setting_int(SETTING_heartbeat_interval_ms),
                                .compression_contexts = setting_bool(SETTING_compression_contexts),
                                .limits = setting_bool(SETTING_limits),
                                .voice_endpoint = setting_str(SETTING_voice_endpoint),
                                .max_concurrency = (unsigned)setting_int(SETTING_identify_concurrency)};
    int r = 0;
    if (serve_path(SETTING_seed))
        r = seed_run(&service.platform, setting_str(SETTING_seed), &seeded, err);
    if (r == 0)
        r = gateway_new(&o, &self.gateway);
    if (r < 0)
        return r;
    outbox_start(&service.platform.ports);
    tell_ready(buf_str(&seeded));
    return 0;
}

static void end(void)
{
    if (self.gateway)
        gateway_stop(self.gateway);
    self.gateway = NULL;
    outbox_stop();
}

int dev_main(void)
{
    BUF_AUTO struct buf err = {0};
    struct platform_urls urls;
    service = (struct service){.migrate = true, .worker_id = 0, .begin = begin, .end = end};
    if (serve_control_open(true, &err) < 0 || tls_read(&err) < 0 || data_open(&urls, &err) < 0 ||
        listen_everywhere(&err) < 0)
        return usage_error(&err);
    struct api_options o = {.ports = &service.platform.ports,
                            .tokens = service.platform.tokens,
                            .public_api_url = service.public_url.data,
                            .secret = urls.secret,
                            .limits = setting_bool(SETTING_limits),
                            .interaction_first_ms = setting_int(SETTING_interaction_deadline_ms),
                            .endpoint_reach = serve_endpoint_reach(HTTP_REACH_LOOPBACK),
                            .max_concurrency = (unsigned)setting_int(SETTING_identify_concurrency),
                            .gateway_url = gateway_url_own};
    self.api = api_new(&o);
    int code = service_run(&service);
    api_free(self.api);
    buf_done(&self.gateway_url);
    return code;
}
