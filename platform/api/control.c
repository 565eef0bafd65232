/* The API's actions of the control endpoint: rate-limit buckets and their clock, limits on and off, faults. Loop
 * thread, coroutine of each request. */
#include "platform/api/api_private.h"

#include "platform/api/faults.h"
#include "platform/base/jw.h"
#include "platform/control/control.h"

#include <errno.h>
#include <stdio.h>

#define LIST_DEFAULT   200
#define LIST_MAX       100000
#define ADVANCE_MS_MAX (INT64_C(31) * 86400000)

/* --- buckets ---------------------------------------------------------------------------------------------------------
 */
/* Which: keys that contain the text; a user's contain its id, a route's its X-RateLimit-Bucket. */
static int part_read(const struct control_call *c, struct str *ret)
{
    uint64_t user = 0;
    int r = control_arg_u64(c, "user", 1, INT64_MAX, &user);

    if (r == 0)
        r = control_arg_str(c, "key", ret);
    if (r == 0 && user && ret->p) {
        buf_adds(c->err, "user or key, not both");
        return -EINVAL;
    }
    if (user)
        *ret = arena_printf(c->arena, "%llu", (unsigned long long)user);
    return r;
}

/* "rl:{who}" is who's global bucket, "rl:{who}:hash:major" that of a route. */
static const char *kind_of(struct str key)
{
    static const struct {
        struct str prefix;
        const char *kind;
    } kinds[] = {{STR("turn:"), "identify"},
                 {STR("starts:"), "session starts"},
                 {STR("chunks:"), "member chunks"},
                 {STR("register:"), "registrations"},
                 {STR("slow:"), "slowmode"}};

    if (str_starts(key, STR("rl:")))
        return key.p[key.n - 1] == '}' ? "global" : "route";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (str_starts(key, kinds[i].prefix))
            return kinds[i].kind;
    return "other";
}

static int run_buckets(struct control_call *c, void *arg)
{
    static const char *const known[] = {"user", "key", "limit", NULL};
    const struct api *api = arg;
    struct str part = STR_NONE;
    uint64_t limit = LIST_DEFAULT;
    struct kv_bucket_open *found;
    unsigned count;
    int r = control_args_only(c, known);

    if (r == 0)
        r = part_read(c, &part);
    if (r == 0)
        r = control_arg_u64(c, "limit", 1, LIST_MAX, &limit);
    if (r == 0)
        r = kv_buckets_list(api->options.ports->kv, c->arena, part, (unsigned)limit, &found, &count);
    if (r < 0)
        return r;
    jw_karr(c->out, "buckets");
    for (unsigned i = 0; i < count; i++) {
        jw_obj(c->out);
        jw_kstr(c->out, "key", found[i].key);
        jw_kcstr(c->out, "kind", kind_of(found[i].key));
        jw_ki64(c->out, "used", found[i].used);
        jw_ki64(c->out, "reset_after_ms", found[i].reset_after_ms);
        jw_obj_end(c->out);
    }
    jw_arr_end(c->out);
    return 0;
}

/* Without ms: they reset now. */
static int run_advance(struct control_call *c, void *arg)
{
    static const char *const known[] = {"user", "key", "all", "ms", NULL};
    struct api *api = arg;
    struct str part = STR_NONE;
    uint64_t ms = ADVANCE_MS_MAX;
    bool all = false;
    unsigned count = 0;
    int r = control_args_only(c, known);

    if (r == 0)
        r = part_read(c, &part);
    if (r == 0)
        r = control_arg_bool(c, "all", &all);
    if (r == 0)
        r = control_arg_u64(c, "ms", 1, ADVANCE_MS_MAX, &ms);
    if (r == 0 && !part.n && !all) {
        buf_adds(c->err, "say which buckets: user, key or all");
        return -EINVAL;
    }
    if (r == 0)
        r = kv_buckets_advance(api->options.ports->kv, part, (int64_t)ms, &count);
    if (r < 0)
        return r;
    limiter_forget(api->limiter);
    jw_ku64(c->out, "buckets", count);
    return 0;
}

/* --- limits ----------------------------------------------------------------------------------------------------------
 */
static int limits_write(struct control_call *c, const struct api *api)
{
    jw_kobj(c->out, "api");
    jw_kbool(c->out, "limits", api->options.limits);
    jw_obj_end(c->out);
    return 0;
}

static int run_limits(struct control_call *c, void *arg)
{
    static const char *const known[] = {"on", NULL};
    struct api *api = arg;
    int r = control_args_only(c, known);

    if (r == 0)
        r = control_arg_bool(c, "on", &api->options.limits);
    return r < 0 ? r : limits_write(c, api);
}

static int run_reset(struct control_call *c, void *arg)
{
    struct api *api = arg;

    faults_forget(api->faults);
    api->options.limits = api->limits_set;
    return limits_write(c, api);
}

static const struct control_action actions[] = {
    {"GET", "/buckets", "[user=ID | key=TEXT] [limit=200]", "open rate-limit buckets", run_buckets},
    {"POST", "/buckets/advance", "user=ID | key=TEXT | all [ms=N]", "let them reset so much earlier; without ms: now",
     run_advance},
    {"GET", "/limits", "", "whether limits are on", run_limits},
    {"POST", "/limits", "on=BOOL", "switch rate and registration limits", run_limits},
    {"POST", "/reset", "", "forget every rule; limits as they were set at the start", run_reset},
};

void api_control_start(struct api *api)
{
    api->limits_set = api->options.limits;
    control_add(actions, sizeof actions / sizeof *actions, api);
    faults_control(api);
}

void api_control_stop(struct api *api)
{
    control_remove(api);
}
