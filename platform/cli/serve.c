/* What the serving commands share. Loop thread. */
#include "platform/cli/serve.h"

#include "platform/base/jw.h"
#include "platform/base/log.h"
#include "platform/io/co.h"
#include "platform/protocol/json_read.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/resource.h>

#define STOP_GRACE_MS    5000
#define STOP_MAX_MS      10000
#define SECRET_CHARS_MIN 32

const char *serve_path(enum setting s)
{
    const char *v = setting_str(s);
    return *v ? v : NULL;
}

void serve_public_url(struct buf *out, const char *setting, const char *scheme, const char *listen, int port,
                      const char *path)
{
    if (*setting) {
        buf_adds(out, setting);
        return;
    }
    const char *colon = strrchr(listen, ':');
    int host_chars = colon ? (int)(colon - listen) : 0;
    bool any = host_chars == 0 || strncmp(listen, "0.0.0.0", 7) == 0 || strncmp(listen, "[::]", 4) == 0;
    if (any)
        buf_addf(out, "%s://127.0.0.1:%d%s", scheme, port, path);
    else
        buf_addf(out, "%s://%.*s:%d%s", scheme, host_chars, listen, port, path);
}

int serve_full_stack_urls(struct platform_urls *ret, struct buf *err)
{
    static const struct {
        enum setting s;
        const char *name;
    } needed[] = {{SETTING_database_url, "database-url"},
                  {SETTING_redis_url, "redis-url"},
                  {SETTING_amqp_url, "amqp-url"},
                  {SETTING_secret, "secret"}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!serve_path(needed[i].s)) {
            buf_addf(err, "--%s is needed (`guildhall dev` needs none of the servers)", needed[i].name);
            return -EINVAL;
        }
    *ret = (struct platform_urls){
        .database = setting_str(SETTING_database_url),
        .database_connections = (int)setting_int(SETTING_database_connections),
        .redis = setting_str(SETTING_redis_url),
        .amqp = setting_str(SETTING_amqp_url),
        .bus_durable = setting_bool(SETTING_bus_durable),
        .objects_dir = serve_path(SETTING_objects_dir),
        .secret = str_c(setting_str(SETTING_secret)),
    };
    if (ret->secret.n < SECRET_CHARS_MIN) {
        buf_addf(err, "--secret is shorter than %d characters", SECRET_CHARS_MIN);
        return -EINVAL;
    }
    return 0;
}

enum http_reach serve_endpoint_reach(enum http_reach automatic)
{
    static const char *const names[] = {
        [HTTP_REACH_ANY] = "any", [HTTP_REACH_PUBLIC] = "public", [HTTP_REACH_LOOPBACK] = "loopback"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(setting_str(SETTING_endpoint_reach), names[i]) == 0)
            return (enum http_reach)i;
    return automatic;
}

int serve_admin(struct http_listener **ret, struct buf *err)
{
    const char *listen = serve_path(SETTING_admin_listen);
    return listen ? admin_listen(listen, ret, err) : 0;
}

void serve_tell_admin(struct buf *line, struct http_listener *admin)
{
    if (!admin)
        return;
    BUF_AUTO struct buf url = {0};
    serve_public_url(&url, "", "http", setting_str(SETTING_admin_listen), http_listener_port(admin), "");
    jw_kstr(line, "admin", buf_str(&url));
}

bool serve_not_yet(const struct platform *p, struct http_response *res)
{
    if (p->ready)
        return false;
    res->status = 503;
    http_response_header(res, "Retry-After", "1");
    buf_adds(&res->body, "{\"message\":\"503: Service Unavailable\",\"code\":0}");
    return true;
}

void serve_revocation(struct platform *p, const struct event *e)
{
    if (e->type != EVENT_CONTROL_TOKEN_REVOKED)
        return;
    json_t *o;
    if (json_read(e->data, &o, NULL) < 0)
        return;
    uint64_t user_id = 0;
    json_t *version = json_object_get(o, "version");
    if (str_to_u64(str_c(json_string_value(json_object_get(o, "user_id"))), &user_id) == 0 && json_is_integer(version))
        token_registry_revoke(p->tokens, user_id, (uint64_t)json_integer_value(version));
    json_decref(o);
}

/* --- a service's life --- */

static struct {
    struct loop_timer *cut;
    int code;
} life;

static void life_start(void *arg)
{
    struct service *s = arg;
    BUF_AUTO struct buf err = {0};
    int r = platform_start(&s->platform, s->migrate, s->worker_id);
    if (r == 0)
        r = s->begin(&err);
    if (r == 0)
        return;
    if (err.len)
        (void)usage_error(&err);
    life.code = r == -ECANCELED ? 0 : err.len ? 2 : 1;
    if (r != -ECANCELED)
        loop_stop();
}

static void life_cut(void *arg)
{
    (void)arg;
    LOG_WARN("stop cut short", "after_ms=%d", STOP_MAX_MS);
    loop_stop();
}

static void life_end(void *arg)
{
    struct service *s = arg;
    s->end();
    platform_release(&s->platform);
    loop_stop();
}

static void listener_stopped(void *arg)
{
    if (co_spawn(life_end, arg) < 0)
        loop_stop();
}

static void life_stop(void *arg)
{
    struct service *s = arg;
    LOG_INFO("stopping", "grace_ms=%d", STOP_GRACE_MS);
    platform_stop_waiting();
    loop_timer_start(life.cut, STOP_MAX_MS, 0);
    http_listener_stop(s->listener, STOP_GRACE_MS, listener_stopped, s);
}

/* A connection is a descriptor: all that the process may have. */
static void descriptors_raise(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

int service_run(struct service *s)
{
    descriptors_raise();
    life.cut = loop_timer_new(life_cut, NULL);
    loop_on_signal(life_stop, s);
    (void)co_spawn(life_start, s);
    loop_run();
    loop_timer_free(life.cut);
    platform_close(&s->platform);
    buf_done(&s->public_url);
    return life.code;
}
