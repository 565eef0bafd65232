/* The rules of HTTP misbehaviour and the control actions that make them. Loop thread; requests wait on their own
 * coroutines. */
#include "platform/api/faults.h"

#include "platform/api/api_private.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/list.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/control/control.h"
#include "platform/io/co.h"
#include "platform/io/http_message.h"
#include "platform/ports/tokens.h"

#include <errno.h>
#include <stdio.h>

#define DELAY_MS_MAX   600000
#define RETRY_MS_USUAL 1000
#define PATTERN_MAX    256
#define STARS_MAX      4 /* each may cost the path's length */

METRIC_DEFINE(injected, METRIC_COUNTER, "guildhall_api_faults_total",
              "Requests that were failed or delayed on request");

struct rule {
    struct list item; /* in faults.rules, oldest first */
    uint64_t id;
    struct fault fault;
    char method[8], path[PATTERN_MAX]; /* empty: any */
    uint64_t user_id;                  /* 0: any */
    uint64_t left, hits;               /* left 0: any number */
    int64_t until_ms;                  /* 0: until it is used up or reset */
};

struct faults {
    struct list rules;
    unsigned count;
    uint64_t next_id;
};

/* --- whom a rule fits ------------------------------------------------------------------------------------------------
 */
/* `*` stands for a part of one path segment, `**` for anything. */
static bool path_fits(const char *pattern, struct str path)
{
    while (*pattern && *pattern != '*') {
        if (!path.n || *pattern != *path.p)
            return false;
        pattern++, path.p++, path.n--;
    }
    if (!*pattern)
        return path.n == 0;
    bool any = pattern[1] == '*';
    for (const char *rest = pattern + 1 + any;; path.p++, path.n--) {
        if (path_fits(rest, path))
            return true;
        if (!path.n || (!any && *path.p == '/'))
            return false;
    }
}

/* Whose token it is; 0: nobody's. The request is not authenticated yet. */
static uint64_t user_of(const struct api_ctx *x)
{
    struct str token = http_request_header(x->req, "Authorization");
    uint64_t id;

    if (str_starts(token, STR("Bot ")))
        token = (struct str){token.p + 4, token.n - 4};
    return token.n && token_verify(x->options->tokens, token, &id) == 0 ? id : 0;
}

static bool rule_fits(const struct rule *r, const struct api_ctx *x, struct str path)
{
    return (!*r->method || strcmp(r->method, http_method_name(x->req->method)) == 0) &&
           (!*r->path || path_fits(r->path, path)) && (!r->user_id || r->user_id == user_of(x));
}

static void rule_free(struct faults *f, struct rule *r)
{
    list_remove(&r->item);
    f->count--;
    mem_free(r);
}

void faults_take(struct faults *f, const struct api_ctx *x, struct str path, struct fault *ret)
{
    *ret = (struct fault){0};
    if (list_empty(&f->rules))
        return;
    int64_t now_ms = clock_mono_ms();
    LIST_FOREACH_SAFE(it, &f->rules)
    {
        struct rule *r = LIST_ENTRY(it, struct rule, item);
        if (r->until_ms && now_ms >= r->until_ms) {
            rule_free(f, r);
        } else if (rule_fits(r, x, path)) {
            *ret = r->fault;
            r->hits++;
            metric_add(&injected, 1);
            if (r->left && --r->left == 0)
                rule_free(f, r);
            return;
        }
    }
}

/* --- what befalls a request ------------------------------------------------------------------------------------------
 */
static void plain_error(struct http_response *res, int status)
{
    char message[64];

    snprintf(message, sizeof message, "%d: %s", status, http_status_text(status));
    res->status = status;
    jw_obj(&res->body);
    jw_kcstr(&res->body, "message", message);
    jw_ki64(&res->body, "code", 0);
    jw_obj_end(&res->body);
}

static void answer(const struct fault *f, struct api_ctx *x, const struct route *route)
{
    buf_clear(&x->res->head);
    buf_clear(&x->res->body);
    if (f->status == 429)
        limit_refuse(x->res, route, f->retry_ms, f->scope);
    else
        plain_error(x->res, f->status);
}

bool fault_before(const struct fault *f, struct api_ctx *x, const struct route *route)
{
    if (f->delay_ms)
        co_sleep(f->delay_ms);
    if (f->kind == FAULT_NONE || f->after)
        return false;
    if (f->kind == FAULT_ANSWER)
        answer(f, x, route);
    else
        http_request_cut(x->req, f->reset);
    return true;
}

void fault_after(const struct fault *f, struct api_ctx *x, const struct route *route)
{
    if (f->kind == FAULT_ANSWER && f->after)
        answer(f, x, route);
    else if (f->kind == FAULT_CUT && f->after)
        http_request_cut(x->req, f->reset);
}

/* --- control ---------------------------------------------------------------------------------------------------------
 */
static int scope_read(const struct control_call *c, struct fault *f)
{
    static const char *const scopes[] = {"user", "global", "shared"};
    struct str scope = STR("user");
    int r = control_arg_str(c, "scope", &scope);

    for (size_t i = 0; r == 0 && i < 3; i++)
        if (str_eq(scope, str_c(scopes[i])))
            f->scope = scopes[i];
    if (r == 0 && !f->scope) {
        buf_adds(c->err, "scope must be user, global or shared");
        return -EINVAL;
    }
    return r;
}

static int cut_read(const struct control_call *c, struct fault *f)
{
    struct str how = STR_NONE;
    int r = control_arg_str(c, "cut", &how);

    if (r < 0 || !how.p)
        return r;
    f->kind = FAULT_CUT;
    f->reset = str_eq(how, STR("reset"));
    if (f->reset || str_eq(how, STR("end")))
        return 0;
    buf_adds(c->err, "cut must be reset or end");
    return -EINVAL;
}

static int fault_read(const struct control_call *c, struct fault *f)
{
    uint64_t status = 0, delay_ms = 0, retry_ms = RETRY_MS_USUAL;
    int r = control_arg_u64(c, "answer", 400, 599, &status);

    if (r == 0)
        r = control_arg_u64(c, "delay_ms", 1, DELAY_MS_MAX, &delay_ms);
    if (r == 0)
        r = control_arg_u64(c, "retry_after_ms", 1, DELAY_MS_MAX, &retry_ms);
    if (r == 0)
        r = control_arg_bool(c, "after", &f->after);
    if (r == 0)
        r = scope_read(c, f);
    if (r == 0)
        r = cut_read(c, f);
    if (r < 0)
        return r;
    if ((f->kind == FAULT_CUT && status) || (f->kind == FAULT_NONE && !status && !delay_ms)) {
        buf_adds(c->err, "say what is to happen: answer=STATUS or cut=reset|end, or only delay_ms");
        return -EINVAL;
    }
    if (status)
        f->kind = FAULT_ANSWER;
    f->status = (int)status;
    f->delay_ms = (int64_t)delay_ms;
    f->retry_ms = (int64_t)retry_ms;
    return 0;
}

static int copy(const struct control_call *c, const char *key, char *out, size_t size)
{
    struct str text = STR_NONE;
    int r = control_arg_str(c, key, &text);

    if (r == 0 && text.n >= size) {
        buf_addf(c->err, "%s is longer than %zu characters", key, size - 1);
        r = -EINVAL;
    }
    if (r == 0 && text.p)
        snprintf(out, size, "%.*s", STR_ARG(text));
    return r;
}

static int stars(const char *pattern)
{
    int n = 0;

    for (; *pattern; pattern++)
        n += *pattern == '*' && pattern[1] != '*';
    return n;
}

static int rule_read(const struct control_call *c, struct rule *rule)
{
    uint64_t for_ms = 0;
    int r = fault_read(c, &rule->fault);

    if (r == 0)
        r = copy(c, "method", rule->method, sizeof rule->method);
    if (r == 0)
        r = copy(c, "path", rule->path, sizeof rule->path);
    if (r == 0 && stars(rule->path) > STARS_MAX) {
        buf_addf(c->err, "path has more than %d stars", STARS_MAX);
        r = -EINVAL;
    }
    if (r == 0)
        r = control_arg_u64(c, "user", 1, INT64_MAX, &rule->user_id);
    if (r == 0)
        r = control_arg_u64(c, "for_ms", 1, 86400000, &for_ms);
    rule->left = for_ms ? 0 : 1;
    rule->until_ms = for_ms ? clock_mono_ms() + (int64_t)for_ms : 0;
    return r < 0 ? r : control_arg_u64(c, "count", 1, UINT32_MAX, &rule->left);
}

static int run_add(struct control_call *c, void *arg)
{
    static const char *const known[] = {"answer", "scope", "retry_after_ms", "delay_ms", "cut",    "after",
                                        "method", "path",  "user",           "count",    "for_ms", NULL};
    struct faults *f = ((struct api *)arg)->faults;
    struct rule fresh = {0};
    int r = control_args_only(c, known);

    if (r == 0)
        r = rule_read(c, &fresh);
    if (r == 0 && f->count >= FAULT_RULES_MAX)
        r = -EBUSY;
    if (r < 0)
        return r;
    struct rule *rule = MEM_NEW(struct rule);
    *rule = fresh;
    rule->id = ++f->next_id;
    list_append(&f->rules, &rule->item);
    f->count++;
    jw_ku64(c->out, "id", rule->id);
    return 0;
}

static void rule_write(struct buf *b, const struct rule *r, int64_t now_ms)
{
    static const char *const kinds[] = {"delay", "answer", "cut"};

    jw_obj(b);
    jw_ku64(b, "id", r->id);
    jw_kcstr(b, "what", kinds[r->fault.kind]);
    jw_ki64(b, "status", r->fault.status);
    jw_ki64(b, "delay_ms", r->fault.delay_ms);
    jw_kcstr(b, "method", r->method);
    jw_kcstr(b, "path", r->path);
    jw_kid(b, "user", r->user_id);
    jw_ku64(b, "hits", r->hits);
    jw_ku64(b, "left", r->left);
    if (r->until_ms)
        jw_ki64(b, "ends_in_ms", r->until_ms - now_ms);
    jw_obj_end(b);
}

static int run_list(struct control_call *c, void *arg)
{
    const struct faults *f = ((const struct api *)arg)->faults;
    int64_t now_ms = clock_mono_ms();

    jw_karr(c->out, "rules");
    LIST_FOREACH(it, &f->rules)
    {
        const struct rule *r = LIST_ENTRY(it, struct rule, item);
        if (!r->until_ms || now_ms < r->until_ms)
            rule_write(c->out, r, now_ms);
    }
    jw_arr_end(c->out);
    return 0;
}

void faults_forget(struct faults *f)
{
    while (!list_empty(&f->rules))
        rule_free(f, LIST_ENTRY(f->rules.next, struct rule, item));
}

static int run_forget(struct control_call *c, void *arg)
{
    struct faults *f = ((struct api *)arg)->faults;

    jw_ku64(c->out, "forgotten", f->count);
    faults_forget(f);
    return 0;
}

struct faults *faults_new(void)
{
    struct faults *f = MEM_NEW(struct faults);

    list_init(&f->rules);
    return f;
}

void faults_free(struct faults *f)
{
    faults_forget(f);
    mem_free(f);
}

static const struct control_action actions[] = {
    {"GET", "/http", "", "the rules by which requests fail", run_list},
    {"POST", "/http",
     "[answer=400..599 [scope=user|global|shared] [retry_after_ms=N] | cut=reset|end] [delay_ms=N] [after=BOOL] "
     "[method=M] [path=PATTERN] [user=ID] [count=1] [for_ms=N]",
     "fail or delay the next requests; after: once they are carried out", run_add},
    {"POST", "/http/clear", "", "forget these rules", run_forget},
};

void faults_control(struct api *api)
{
    control_add(actions, sizeof actions / sizeof *actions, api);
}
