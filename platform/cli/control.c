/* The control endpoint of a process: who may use it, and where ctl finds it: each process keeps a value
 * `control:<worker id>` in kv, which lapses with it. Loop thread. */
#include "platform/control/control.h"

#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/cli/serve.h"
#include "platform/io/co.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECRET_CHARS_MIN 16
#define TELL_MS          5000
#define TELL_TTL_MS      20000

static struct {
    struct service *service;
    const char *kind, *node;
    struct buf url;
    struct loop_timer *timer;
    int64_t since_ms;
} self;

static int run_node(struct control_call *c, void *arg)
{
    (void)arg;
    jw_kcstr(c->out, "kind", self.kind);
    jw_kcstr(c->out, "node", self.node);
    jw_ki64(c->out, "pid", getpid());
    jw_kcstr(c->out, "version", GUILDHALL_VERSION);
    jw_ki64(c->out, "age_ms", clock_mono_ms() - self.since_ms);
    return 0;
}

static const struct control_action actions[] = {
    {"GET", "/node", "", "this process: what it is and holds", run_node},
};

int serve_control_open(bool dev, struct buf *err)
{
    const char *secret = serve_path(SETTING_control_secret);

    if (secret && strlen(secret) < SECRET_CHARS_MIN) {
        buf_addf(err, "--control-secret is shorter than %d characters", SECRET_CHARS_MIN);
        return -EINVAL;
    }
    if (dev && !setting_bool(SETTING_control))
        return 0;
    self.kind = dev ? "dev" : "";
    self.node = self.kind;
    self.since_ms = clock_mono_ms();
    control_open(secret, dev);
    if (!control_is_open())
        return 0;
    control_add(actions, sizeof actions / sizeof *actions, &self);
    admin_extend(control_handle);
    return 0;
}

static void key_make(char out[32])
{
    snprintf(out, 32, "control:%u", platform_worker_id());
}

static void tell(void *arg)
{
    BUF_AUTO struct buf value = {0};
    char key[32];

    (void)arg;
    jw_obj(&value);
    jw_kcstr(&value, "kind", self.kind);
    jw_kcstr(&value, "node", self.node);
    jw_kstr(&value, "url", buf_str(&self.url));
    jw_obj_end(&value);
    key_make(key);
    (void)kv_put(self.service->platform.ports.kv, key, buf_str(&value), TELL_TTL_MS); /* away: told again soon */
}

static void on_timer(void *arg)
{
    (void)co_spawn(tell, arg);
}

static void url_make(const struct service *s)
{
    const char *given = setting_str(SETTING_control_url);

    if (s->admin)
        serve_public_url(&self.url, given, "http", setting_str(SETTING_admin_listen), http_listener_port(s->admin), "");
    else
        serve_public_url(&self.url, given, serve_path(SETTING_tls_cert) ? "https" : "http", setting_str(SETTING_listen),
                         http_listener_port(s->listener), "");
}

void serve_control_tell(struct service *s, const char *kind, const char *node)
{
    static char name[32];

    self.service = s;
    self.kind = kind;
    snprintf(name, sizeof name, "%s-%u", kind, platform_worker_id());
    self.node = *node ? node : name;
    if (!control_is_open() || kv_is_embedded(s->platform.ports.kv))
        return;
    url_make(s);
    tell(NULL);
    self.timer = loop_timer_new(on_timer, NULL);
    loop_timer_start(self.timer, TELL_MS, TELL_MS);
}

void serve_control_untell(struct service *s)
{
    char key[32];

    if (!self.timer)
        return;
    loop_timer_free(self.timer);
    self.timer = NULL;
    key_make(key);
    (void)kv_del(s->platform.ports.kv, key);
    buf_done(&self.url);
}
