/* The tools of `guildhall ctl` that ask running processes over their control endpoints. Every `key=value` word becomes
 * an argument of the action, so what an action takes is said in one place: where it is. Loop thread. */
#include "platform/base/jw.h"
#include "platform/base/log.h"
#include "platform/cli/ctl.h"
#include "platform/cli/serve.h"
#include "platform/control/control.h"
#include "platform/io/co.h"
#include "platform/io/http_client.h"
#include "platform/protocol/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEV_URL         "http://127.0.0.1:8080"
#define CALL_TIMEOUT_MS 30000
#define ANSWER_MAX      ((size_t)64 << 20)
#define WORKER_IDS      1024
#define REDIS_WAIT_MS   5000

enum verb_kind { VERB_PLAIN, VERB_SESSIONS, VERB_NODES };

/* word NULL: when the tool's name stands alone, or is followed by arguments. */
static const struct verb {
    const char *tool, *word, *method, *path;
    enum verb_kind kind;
    bool one_node; /* the word behind names the process */
    const char *help;
} verbs[] = {
    {"nodes", NULL, "GET", "/node", VERB_NODES, false, "the processes and what they hold"},
    {"sessions", NULL, "GET", "/sessions", VERB_SESSIONS, false, "list sessions: [session=|user=|shard=] [limit=N]"},
    {"sessions", "list", "GET", "/sessions", VERB_SESSIONS, false, NULL},
    {"sessions", "reconnect", "POST", "/sessions/reconnect", VERB_PLAIN, false, "WHO: send op 7"},
    {"sessions", "invalidate", "POST", "/sessions/invalidate", VERB_PLAIN, false, "WHO [resumable=true]: send op 9"},
    {"sessions", "drop", "POST", "/sessions/drop", VERB_PLAIN, false,
     "WHO [reset=false]: end the socket, no close frame"},
    {"sessions", "close", "POST", "/sessions/close", VERB_PLAIN, false,
     "WHO [code=4000] [end=true]: close; end: no RESUME either"},
    {"sessions", "acks", "POST", "/sessions/acks", VERB_PLAIN, false,
     "WHO [delay_ms=N] [count=N] [for_ms=N]: delay or drop heartbeat ACKs"},
    {"drain", NULL, "POST", "/drain", VERB_PLAIN, true, "NODE: hand its sessions over and stop it"},
    {"http", NULL, "GET", "/http", VERB_PLAIN, false, "the rules by which HTTP requests fail"},
    {"http", "fail", "POST", "/http", VERB_PLAIN, false,
     "answer=STATUS|cut=reset|end|delay_ms=N [method=] [path=] [user=] [count=1] [for_ms=]: fail the next requests"},
    {"http", "clear", "POST", "/http/clear", VERB_PLAIN, false, "forget these rules"},
    {"buckets", NULL, "GET", "/buckets", VERB_PLAIN, false, "open rate-limit buckets: [user=] [key=]"},
    {"buckets", "advance", "POST", "/buckets/advance", VERB_PLAIN, false,
     "user=ID|key=TEXT|all [ms=N]: let them reset so much earlier; without ms: now"},
    {"limits", NULL, "GET", "/limits", VERB_PLAIN, false, "whether limits are on"},
    {"limits", "on", "POST", "/limits", VERB_PLAIN, false, "switch them on"},
    {"limits", "off", "POST", "/limits", VERB_PLAIN, false, "switch them off"},
    {"reset", NULL, "POST", "/reset", VERB_PLAIN, false, "no misbehaviour any more; limits as they were"},
    {"control", NULL, "GET", "", VERB_PLAIN, false, "every action of each process"},
};

struct target {
    struct str url, node; /* node empty: not known */
};

static struct {
    const struct verb *verb;
    struct arena arena;
    json_t *args;
    const char *node; /* only this process */
    bool as_json;
    struct target targets[WORKER_IDS];
    unsigned target_count, answered;
    struct kv *kv;
    struct http_client *http;
    int code;
} self;

/* --- what was typed --- */

static const struct verb *verb_find(const char *tool, const char *word)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].tool, tool) == 0 && verbs[i].word && word && strcmp(verbs[i].word, word) == 0)
            return &verbs[i];
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].tool, tool) == 0 && !verbs[i].word)
            return &verbs[i];
    return NULL;
}

void ctl_control_help(void)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s %s", verbs[i].tool, verbs[i].word ? verbs[i].word : "");
        if (verbs[i].help)
            fprintf(stderr, "  %-20s %s\n", name, verbs[i].help);
    }
    fprintf(stderr,
            "\nWHO: session=ID, user=ID, shard=N or all; node=ID asks one process; json prints answers as they are.\n"
            "Processes are found in --redis-url, or named by --control-url; without both: " DEV_URL ".\n");
}

static int word_take(const char *word)
{
    const char *eq = strchr(word, '=');

    if (strcmp(word, "json") == 0)
        self.as_json = true;
    else if (strncmp(word, "node=", 5) == 0)
        self.node = word + 5;
    else if (self.verb->one_node && !self.node && !eq)
        self.node = word;
    else if (eq && eq > word)
        json_object_set_new(self.args, arena_strdup(&self.arena, (struct str){word, (size_t)(eq - word)}),
                            json_string(eq + 1));
    else if (strcmp(word, "all") == 0)
        json_object_set_new(self.args, word, json_true());
    else {
        fprintf(stderr, "guildhall: ctl %s: `%s` is neither key=value nor one of its words\n", self.verb->tool, word);
        return -EINVAL;
    }
    return 0;
}

static int words_read(int count, char **words)
{
    int at = count && self.verb->word ? 1 : 0;

    if (strcmp(self.verb->tool, "limits") == 0 && self.verb->word)
        json_object_set_new(self.args, "on", json_string(self.verb->word));
    for (; at < count; at++)
        if (word_take(words[at]) < 0)
            return -EINVAL;
    if (self.verb->one_node && !self.node) {
        fprintf(stderr, "guildhall: ctl %s: which node? (`guildhall ctl nodes`)\n", self.verb->tool);
        return -EINVAL;
    }
    if (self.verb->one_node) /* processes that --control-url names are not known by their id: each judges itself */
        json_object_set_new(self.args, "node", json_string(self.node));
    return 0;
}

/* --- whom to ask --- */

static void target_add(struct str url, struct str node)
{
    if (self.target_count == WORKER_IDS)
        return;
    while (url.n && url.p[url.n - 1] == '/')
        url.n--;
    self.targets[self.target_count++] = (struct target){arena_str(&self.arena, url), arena_str(&self.arena, node)};
}

/* Comma-separated. */
static void targets_given(const char *urls)
{
    for (const char *p = urls; *p;) {
        size_t n = strcspn(p, ",");
        if (n)
            target_add((struct str){p, n}, STR(""));
        p += n + (p[n] == ',');
    }
}

struct look {
    unsigned worker_id;
};

static void look_run(void *arg)
{
    const struct look *l = arg;
    struct str value;
    char key[32];
    json_t *o;

    snprintf(key, sizeof key, "control:%u", l->worker_id);
    if (kv_get(self.kv, &self.arena, key, &value) < 0 || json_read(value, &o, NULL) < 0)
        return;
    target_add(str_c(json_string_value(json_object_get(o, "url"))),
               str_c(json_string_value(json_object_get(o, "node"))));
    json_decref(o);
}

static int targets_registered(void)
{
    static struct look looks[WORKER_IDS];
    struct co_group group = {0};

    for (int waited = 0; !kv_ready(self.kv) && waited < REDIS_WAIT_MS; waited += 10)
        co_sleep(10);
    if (!kv_ready(self.kv)) {
        fprintf(stderr, "guildhall: --redis-url does not answer\n");
        return -EHOSTDOWN;
    }
    for (unsigned i = 0; i < WORKER_IDS; i++) {
        looks[i].worker_id = i;
        (void)co_group_spawn(&group, look_run, &looks[i]);
    }
    co_group_wait(&group);
    if (!self.target_count)
        fprintf(stderr, "guildhall: no process with a control endpoint is registered (--control-secret)\n");
    return self.target_count ? 0 : -ENOENT;
}

/* --- asking --- */

static void query_write(struct buf *url, const json_t *args)
{
    const char *key, *mark = "?";
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)args, key, v)
    {
        const char *text = json_is_string(v) ? json_string_value(v) : "true";
        buf_addf(url, "%s%s=", mark, key);
        for (; *text; text++)
            buf_addf(url, "%%%02X", (unsigned char)*text);
        mark = "&";
    }
}

static int ask(const struct target *t, struct http_result *ret)
{
    BUF_AUTO struct buf url = {0}, secret = {0};
    const struct verb *v = self.verb;
    bool get = strcmp(v->method, "GET") == 0;
    char *body = get ? NULL : json_dumps(self.args, JSON_COMPACT);

    buf_addf(&url, "%.*s" CONTROL_PREFIX "%s", STR_ARG(t->url), v->path);
    if (get)
        query_write(&url, self.args);
    buf_addf(&secret, "Authorization: Bearer %s", setting_str(SETTING_control_secret));
    const char *const headers[] = {"Content-Type: application/json",
                                   *setting_str(SETTING_control_secret) ? secret.data : NULL, NULL};
    struct http_call_options o = {.method = v->method,
                                  .url = url.data,
                                  .headers = headers,
                                  .body = str_c(body ? body : ""),
                                  .timeout_ms = CALL_TIMEOUT_MS,
                                  .body_max = ANSWER_MAX};
    int r = http_call_await(self.http, &o, ret);
    free(body);
    return r;
}

/* --- printing --- */

static const char *text_at(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text && *text ? text : "-";
}

static long long number_at(const json_t *o, const char *key)
{
    return (long long)json_integer_value(json_object_get(o, key));
}

static void print_sessions(const json_t *answer)
{
    size_t i;
    const json_t *s;

    if (self.answered == 0)
        printf("%-12s %-32s %-20s %-7s %8s %-9s %-17s %9s %9s %8s %s\n", "NODE", "SESSION", "USER", "SHARD", "INTENTS",
               "STATE", "ENCODING", "SEQ", "QUEUED", "SINCE_S", "ADDRESS");
    json_array_foreach(json_object_get(answer, "sessions"), i, s)
    {
        char shard[24], encoding[40];
        snprintf(shard, sizeof shard, "%lld/%lld", number_at(s, "shard"), number_at(s, "shard_count"));
        snprintf(encoding, sizeof encoding, "%s%s%s", text_at(s, "encoding"), *text_at(s, "compress") == '-' ? "" : "+",
                 *text_at(s, "compress") == '-' ? "" : text_at(s, "compress"));
        printf("%-12s %-32s %-20s %-7s %8lld %-9s %-17s %9lld %9lld %8lld %s\n", text_at(answer, "node"),
               text_at(s, "id"), text_at(s, "user"), shard, number_at(s, "intents"), text_at(s, "state"), encoding,
               number_at(s, "seq"), number_at(s, "queued_bytes"), number_at(s, "age_ms") / 1000, text_at(s, "address"));
    }
    if ((long long)i < number_at(answer, "total"))
        printf("%s: %lld more (limit=N)\n", text_at(answer, "node"), number_at(answer, "total") - (long long)i);
}

static void print_node(const struct target *t, const json_t *answer)
{
    const json_t *g = json_object_get(answer, "gateway");

    if (self.answered == 0)
        printf("%-16s %-8s %8s %9s %-10s %11s %9s %9s %7s %s\n", "NODE", "KIND", "PID", "SINCE_S", "STATE",
               "CONNECTIONS", "SESSIONS", "DETACHED", "TOPICS", "CONTROL");
    printf("%-16s %-8s %8lld %9lld %-10s ", text_at(answer, "node"), text_at(answer, "kind"), number_at(answer, "pid"),
           number_at(answer, "age_ms") / 1000, g ? text_at(g, "state") : "ready");
    if (g)
        printf("%11lld %9lld %9lld %7lld ", number_at(g, "connections"), number_at(g, "sessions"),
               number_at(g, "detached"), number_at(g, "topics"));
    else
        printf("%11s %9s %9s %7s ", "-", "-", "-", "-");
    printf("%.*s\n", STR_ARG(t->url));
}

static void print_answer(const struct target *t, const struct http_result *r)
{
    json_t *answer = NULL;

    if (self.as_json || self.verb->kind == VERB_PLAIN || json_read(buf_str(&r->body), &answer, NULL) < 0)
        printf("%.*s\n", STR_ARG(buf_str(&r->body)));
    else if (self.verb->kind == VERB_SESSIONS)
        print_sessions(answer);
    else
        print_node(t, answer);
    json_decref(answer);
}

static void print_refusal(const struct target *t, const struct http_result *r)
{
    json_t *answer = NULL;

    (void)json_read(buf_str(&r->body), &answer, NULL);
    fprintf(stderr, "guildhall: %.*s: %d %s\n", STR_ARG(t->url), r->status, text_at(answer, "message"));
    json_decref(answer);
}

/* An action that a process does not have (an api has no sessions) is no failure as long as another one has it. */
static void ask_one(const struct target *t)
{
    struct http_result r = {0};
    int error = ask(t, &r);

    if (error < 0) {
        fprintf(stderr, "guildhall: %.*s: %s\n", STR_ARG(t->url), strerrordesc_np(-error));
        self.code = 1;
    } else if (r.status == 200) {
        print_answer(t, &r);
        self.answered++;
    } else if (r.status != 404 || self.target_count == 1) {
        print_refusal(t, &r);
        self.code = 1;
    }
    http_result_done(&r);
}

static void run(void *arg)
{
    const char *given = setting_str(SETTING_control_url);
    int r = 0;

    (void)arg;
    if (self.kv)
        r = targets_registered();
    else
        targets_given(*given ? given : DEV_URL);
    for (unsigned i = 0; r == 0 && i < self.target_count; i++)
        if (!self.node || !self.targets[i].node.n || str_eq(self.targets[i].node, str_c(self.node)))
            ask_one(&self.targets[i]);
    if (r == 0 && self.answered == 0 && self.code == 0)
        fprintf(stderr, self.node ? "guildhall: no such node\n" : "guildhall: no process has that action\n");
    if (r < 0 || self.answered == 0)
        self.code = 1;
    loop_stop();
}

int ctl_control_main(const char *tool, int word_count, char **words, int *ret_code)
{
    BUF_AUTO struct buf err = {0};
    const char *ca = serve_path(SETTING_upstream_ca);

    self.verb = verb_find(tool, word_count ? words[0] : NULL);
    if (!self.verb)
        return -ENOENT;
    self.args = json_object();
    *ret_code = 2;
    if (words_read(word_count, words) == 0) {
        if (strcmp(setting_str(SETTING_log_level), "info") == 0)
            log_init("ctl", LOG_LEVEL_WARN, false); /* the answer is what was asked for */
        if (!serve_path(SETTING_control_url) && serve_path(SETTING_redis_url))
            self.kv = kv_open(setting_str(SETTING_redis_url), &err);
        self.http = http_client_new(&(struct http_client_options){.ca_file = ca, .user_agent = "guildhall-ctl"});
        if (!err.len && co_spawn(run, NULL) == 0)
            loop_run();
        *ret_code = err.len ? usage_error(&err) : self.code;
        http_client_free(self.http);
        if (self.kv)
            kv_close(self.kv);
    }
    json_decref(self.args);
    arena_done(&self.arena);
    return 0;
}
