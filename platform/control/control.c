/* The control endpoint's door: authorization, arguments, dispatch. Loop thread; at most ACTION_SETS_MAX tables. */
#include "platform/control/control.h"

#include "platform/base/check.h"
#include "platform/base/jw.h"
#include "platform/base/log.h"
#include "platform/protocol/json_read.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>

#define ACTION_SETS_MAX 32

static struct {
    const struct control_action *actions;
    unsigned count;
    void *arg;
} sets[ACTION_SETS_MAX];
static unsigned set_count;

static struct {
    const char *secret; /* NULL: none */
    bool loopback;
} door;

void control_add(const struct control_action *actions, unsigned count, void *arg)
{
    CHECK(set_count < ACTION_SETS_MAX);
    sets[set_count].actions = actions;
    sets[set_count].count = count;
    sets[set_count++].arg = arg;
}

void control_remove(const void *arg)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < set_count; i++)
        if (sets[i].arg != arg)
            sets[kept++] = sets[i];
    set_count = kept;
}

void control_open(const char *secret, bool loopback)
{
    door.secret = secret && *secret ? secret : NULL;
    door.loopback = loopback;
}

bool control_is_open(void)
{
    return door.secret || door.loopback;
}

/* --- who may call --- */

static bool secret_given(const struct http_request *req)
{
    struct str header = http_request_header(req, "Authorization"), bearer = STR("Bearer ");
    size_t n = door.secret ? strlen(door.secret) : 0;

    return n && header.n == bearer.n + n && str_eq_nocase((struct str){header.p, bearer.n}, bearer) &&
           sodium_memcmp(header.p + bearer.n, door.secret, n) == 0;
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 || strncmp(address, "::ffff:127.", 11) == 0;
}

/* A page in a developer's browser reaches loopback too: it sends Origin, or a name that was bound to 127.0.0.1. */
static bool from_browser(const struct http_request *req)
{
    struct str host = http_request_header(req, "Host");

    return http_request_header(req, "Origin").p ||
           !(str_starts(host, STR("127.")) || str_starts(host, STR("localhost")) || str_starts(host, STR("[::1]")));
}

/* 0, or the status it is refused with. */
static int refused(const struct http_request *req)
{
    if (door.secret)
        return secret_given(req) ? 0 : 401;
    return is_loopback(req->peer) && !from_browser(req) ? 0 : 403;
}

/* --- arguments --- */

static const json_t *arg_get(const struct control_call *c, const char *key)
{
    const json_t *v = json_object_get(c->args, key);

    return json_is_null(v) ? NULL : v;
}

bool control_arg_has(const struct control_call *c, const char *key)
{
    return arg_get(c, key) != NULL;
}

int control_arg_u64(const struct control_call *c, const char *key, uint64_t min, uint64_t max, uint64_t *ret)
{
    const json_t *v = arg_get(c, key);
    uint64_t n = 0;

    if (!v)
        return 0;
    bool ok = json_is_integer(v) ? json_integer_value(v) >= 0 : json_is_string(v);
    if (json_is_string(v))
        ok = str_to_u64((struct str){json_string_value(v), json_string_length(v)}, &n) == 0;
    else if (ok)
        n = (uint64_t)json_integer_value(v);
    if (!ok || n < min || n > max) {
        buf_addf(c->err, "%s must be a whole number from %llu to %llu", key, (unsigned long long)min,
                 (unsigned long long)max);
        return -EINVAL;
    }
    *ret = n;
    return 0;
}

int control_arg_bool(const struct control_call *c, const char *key, bool *ret)
{
    static const char *const words[] = {"off", "on", "false", "true", "no", "yes", "0", "1"};
    const json_t *v = arg_get(c, key);

    if (!v)
        return 0;
    if (json_is_boolean(v)) {
        *ret = json_is_true(v);
        return 0;
    }
    for (size_t i = 0; json_is_string(v) && i < sizeof words / sizeof *words; i++)
        if (str_eq_nocase(str_c(json_string_value(v)), str_c(words[i]))) {
            *ret = i % 2 == 1;
            return 0;
        }
    buf_addf(c->err, "%s must be true or false", key);
    return -EINVAL;
}

int control_arg_str(const struct control_call *c, const char *key, struct str *ret)
{
    const json_t *v = arg_get(c, key);

    if (!v)
        return 0;
    if (json_is_string(v)) {
        *ret = (struct str){json_string_value(v), json_string_length(v)};
    } else if (json_is_integer(v)) {
        *ret = arena_printf(c->arena, "%lld", (long long)json_integer_value(v));
    } else {
        buf_addf(c->err, "%s must be a text", key);
        return -EINVAL;
    }
    return 0;
}

static bool is_one_of(const char *key, const char *const *known)
{
    for (; *known; known++)
        if (strcmp(*known, key) == 0)
            return true;
    return false;
}

int control_args_only(const struct control_call *c, const char *const *known)
{
    const char *key;
    json_t *v, *args = (json_t *)(uintptr_t)c->args;

    json_object_foreach(args, key, v)
    {
        if (is_one_of(key, known))
            continue;
        buf_addf(c->err, "no argument is called `%.64s`; there are:", key);
        for (unsigned i = 0; known[i]; i++)
            buf_addf(c->err, "%s %s", i ? "," : "", known[i]);
        return -EINVAL;
    }
    return 0;
}

/* The query's parameters as an object of strings. */
static json_t *query_read(struct http_request *req)
{
    json_t *args = json_object();
    struct str rest = req->query;

    while (rest.n) {
        const char *amp = memchr(rest.p, '&', rest.n);
        struct str pair = {rest.p, amp ? (size_t)(amp - rest.p) : rest.n};
        rest = amp ? (struct str){amp + 1, rest.n - pair.n - 1} : STR("");
        const char *eq = memchr(pair.p, '=', pair.n);
        struct str name = {pair.p, eq ? (size_t)(eq - pair.p) : pair.n};
        struct str value =
            eq ? http_percent_decode(&req->arena, (struct str){eq + 1, pair.n - name.n - 1}, true) : STR("true");
        if (name.n && value.p)
            json_object_set_new(args, arena_strdup(&req->arena, name), json_stringn(value.p, value.n));
    }
    return args;
}

static json_t *args_read(struct http_request *req, struct buf *err)
{
    json_t *args = NULL;

    if (req->method == HTTP_METHOD_GET || !req->body.n)
        return query_read(req);
    if (json_read(req->body, &args, err) < 0 || json_is_object(args))
        return args;
    buf_adds(err, "the body must be a JSON object");
    json_decref(args);
    return NULL;
}

/* --- answering --- */

static void answer_error(struct http_response *res, int status, const char *message)
{
    buf_clear(&res->body);
    res->status = status;
    jw_obj(&res->body);
    jw_kcstr(&res->body, "message", message);
    jw_obj_end(&res->body);
}

static int status_of(int r)
{
    return r == 0            ? 200
           : r == -EINVAL    ? 400
           : r == -ENOENT    ? 404
           : r == -EBUSY     ? 409
           : r == -EHOSTDOWN ? 503
           : r == -ETIMEDOUT ? 504
                             : 500;
}

static void list_actions(struct buf *out)
{
    jw_karr(out, "actions");
    for (unsigned i = 0; i < set_count; i++)
        for (unsigned k = 0; k < sets[i].count; k++) {
            const struct control_action *a = &sets[i].actions[k];
            jw_obj(out);
            jw_kcstr(out, "method", a->method);
            jw_kcstr(out, "path", a->path);
            jw_kcstr(out, "args", a->args);
            jw_kcstr(out, "help", a->help);
            jw_obj_end(out);
        }
    jw_arr_end(out);
}

/* Which actions run is settled first: one of them may add or remove tables (a drain does). */
struct found {
    control_fn run[ACTION_SETS_MAX];
    void *arg[ACTION_SETS_MAX];
    unsigned count;
    bool path; /* it is there with another method */
};

static void find(struct found *f, const char *method, struct str path)
{
    for (unsigned i = 0; i < set_count; i++)
        for (unsigned k = 0; k < sets[i].count; k++) {
            const struct control_action *a = &sets[i].actions[k];
            if (!str_eq(path, str_c(a->path)))
                continue;
            f->path = true;
            if (strcmp(a->method, method) != 0 || f->count == ACTION_SETS_MAX)
                continue;
            f->run[f->count] = a->run;
            f->arg[f->count++] = sets[i].arg;
        }
}

static void call(struct http_request *req, struct http_response *res, const struct found *f, struct str path)
{
    BUF_AUTO struct buf err = {0};
    json_t *args = args_read(req, &err);
    struct control_call c = {.arena = &req->arena, .args = args, .out = &res->body, .err = &err};
    int r = args ? 0 : -EINVAL;

    jw_obj(c.out);
    for (unsigned i = 0; r == 0 && i < f->count; i++)
        r = f->run[i](&c, f->arg[i]);
    jw_obj_end(c.out);
    json_decref(args);
    if (req->method != HTTP_METHOD_GET)
        LOG_INFO("control", "path=%.*s from=%s error=%d", STR_ARG(path), req->peer, -r);
    if (r < 0)
        answer_error(res, status_of(r), err.len ? err.data : strerrordesc_np(-r));
    else
        res->status = 200;
}

bool control_handle(struct http_request *req, struct http_response *res)
{
    struct str path = req->path;
    struct found f = {0};

    if (!control_is_open() || !str_starts(path, STR(CONTROL_PREFIX)))
        return false;
    path = (struct str){path.p + sizeof CONTROL_PREFIX - 1, path.n - (sizeof CONTROL_PREFIX - 1)};
    if (path.n && path.p[0] != '/')
        return false;
    int status = refused(req);
    if (status) {
        if (status == 401)
            http_response_header(res, "WWW-Authenticate", "Bearer");
        answer_error(res, status, status == 401 ? "the control secret is needed" : "only for this machine's own tools");
        return true;
    }
    if (path.n <= 1 && req->method == HTTP_METHOD_GET) {
        res->status = 200;
        jw_obj(&res->body);
        list_actions(&res->body);
        jw_obj_end(&res->body);
        return true;
    }
    find(&f, http_method_name(req->method), path);
    if (f.count)
        call(req, res, &f, path);
    else
        answer_error(res, f.path ? 405 : 404, f.path ? "another method is needed" : "no such action");
    return true;
}
