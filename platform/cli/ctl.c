/* `guildhall ctl <tool>`: what operators do by hand. Each tool is one coroutine that opens what it needs. */
#include "platform/cli/ctl.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/log.h"
#include "platform/base/metrics.h"
#include "platform/base/snowflake.h"
#include "platform/cli/serve.h"
#include "platform/io/co.h"
#include "platform/ports/store/store.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define STARTS_CONCURRENCY_MAX 4096
#define STARTS_MAX             1000000

static struct {
    struct platform platform;
    int (*tool)(void);
    char **words;
    int word_count;
    int code;
} self;

static int tool_migrate(void)
{
    int r = store_migrate(self.platform.ports.db);
    if (r == 0)
        printf("schema version %d\n", store_schema_version());
    return r;
}

static int tool_seed(void)
{
    BUF_AUTO struct buf accounts = {0}, err = {0};
    int r = seed_run(&self.platform, setting_str(SETTING_seed), &accounts, &err);
    if (r < 0) {
        (void)usage_error(&err);
        return r;
    }
    BUF_AUTO struct buf line = {0};
    buf_addf(&line, "{%.*s}", STR_ARG(buf_str(&accounts)));
    ready_print(&line);
    return 0;
}

/* token USER_ID: a token for that user. token reset USER_ID: voids all it had, and answers a new one. */
static int tool_token(void)
{
    struct arena a = {0};
    struct user u;
    uint64_t id = 0;
    bool reset = self.word_count > 1 && strcmp(self.words[0], "reset") == 0;
    if (self.word_count < 1 || snowflake_parse(str_c(self.words[self.word_count - 1]), &id) < 0) {
        fprintf(stderr, "guildhall: ctl token [reset] USER_ID\n");
        return -EINVAL;
    }
    int r = store_user_get(self.platform.ports.db, &a, id, &u);
    if (r == -ENOENT)
        fprintf(stderr, "guildhall: no user %s\n", self.words[self.word_count - 1]);
    if (r == 0 && reset) {
        struct commit c;
        commit_init(&c, &a);
        store_token_version_bump(&c, id);
        r = commit_run(&c, &self.platform.ports);
    }
    if (r == 0)
        r = token_registry_load(self.platform.tokens, self.platform.ports.db);
    if (r == 0)
        printf("%.*s\n", STR_ARG(token_issue(self.platform.tokens, &a, id, clock_wall_ms())));
    arena_done(&a);
    return r;
}

/* starts APPLICATION_ID MAX_CONCURRENCY STARTS_A_DAY: identify limits of a bot, from its next IDENTIFY on. */
static int tool_starts(void)
{
    struct arena a = {0};
    struct commit c;
    uint64_t id, concurrency, starts;

    if (self.word_count != 3 || snowflake_parse(str_c(self.words[0]), &id) < 0 ||
        str_to_u64(str_c(self.words[1]), &concurrency) < 0 || concurrency > STARTS_CONCURRENCY_MAX ||
        str_to_u64(str_c(self.words[2]), &starts) < 0 || starts > STARTS_MAX) {
        fprintf(stderr, "guildhall: ctl starts APPLICATION_ID MAX_CONCURRENCY STARTS_A_DAY (0: as the deployment)\n");
        return -EINVAL;
    }
    commit_init(&c, &a);
    store_application_limits_set(&c, id, (int64_t)concurrency, (int64_t)starts);
    int r = commit_run(&c, &self.platform.ports);
    if (r == -ENODATA) {
        fprintf(stderr, "guildhall: no application %s\n", self.words[0]);
        r = -ENOENT;
    }
    arena_done(&a);
    return r;
}

/* What is on /metrics: from the definitions themselves. */
static int metrics_main(int argc, char **argv)
{
    BUF_AUTO struct buf text = {0};
    const char *components = argc ? command_metrics(argv[0]) : NULL;

    if (argc > 1 || (argc && !components)) {
        fprintf(stderr, "guildhall: ctl metrics [dev|api|gateway|shard|rest-proxy]\n");
        return 2;
    }
    metrics_help(components, &text);
    printf("%.*s", STR_ARG(buf_str(&text)));
    return 0;
}

static const struct tool {
    const char *name;
    int (*run)(void);
    bool needs_secret;
    const char *help;
} tools[] = {
    {"migrate", tool_migrate, false, "bring the schema of --database-url up to date"},
    {"seed", tool_seed, true, "create what --seed FILE says in --database-url"},
    {"token", tool_token, true,
     "token [reset] USER_ID: print a token of that user; reset voids the others within a minute"},
    {"starts", tool_starts, false,
     "starts APPLICATION_ID MAX_CONCURRENCY STARTS_A_DAY: identify limits of that bot; 0: as the deployment"},
    {"chat", NULL, false,
     "speak as --token in --upstream from the terminal, use commands (/name option:value), buttons (:1) and modals"},
};

static int ctl_usage(void)
{
    fprintf(stderr, "usage: guildhall ctl <tool> [settings]\n\n");
    fprintf(stderr, "  %-20s %s\n", "metrics", "[COMMAND]: every metric of its /metrics page");
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
        fprintf(stderr, "  %-20s %s\n", tools[i].name, tools[i].help);
    ctl_bot_help();
    ctl_cache_help();
    fprintf(stderr, "  %-20s %s\n", "proxy unlock",
            "let the rest-proxies (--proxy-url) use --token again, which got 401");
    ctl_control_help();
    return 2;
}

static void run_tool(void *arg)
{
    (void)arg;
    for (int waits = 0; !sql_ready(self.platform.ports.db) && waits < 200; waits++)
        co_sleep(50);
    int r = sql_ready(self.platform.ports.db) ? self.tool() : -EHOSTDOWN;
    if (r < 0 && r != -EINVAL && r != -ENOENT)
        fprintf(stderr, "guildhall: %s\n", strerror(-r));
    self.code = r == 0 ? 0 : 1;
    loop_stop();
}

static int run_on_store(const struct tool *t)
{
    BUF_AUTO struct buf err = {0};
    struct platform_urls urls = {.database = setting_str(SETTING_database_url),
                                 .database_connections = 1,
                                 .secret = str_c(setting_str(SETTING_secret))};
    if (!*urls.database)
        buf_adds(&err, "--database-url is needed");
    else if (t->needs_secret && urls.secret.n < 32)
        buf_adds(&err, "--secret is needed, at least 32 characters");
    if (err.len || platform_open(&self.platform, &urls, &err) < 0)
        return usage_error(&err);
    int64_t worker_id = setting_int(SETTING_worker_id);
    snowflake_init(worker_id >= 0 ? (unsigned)worker_id : 1000 + randombytes_uniform(24));
    self.tool = t->run;
    (void)co_spawn(run_tool, NULL);
    loop_run();
    platform_close(&self.platform);
    return self.code;
}

int ctl_main(int argc, char **argv)
{
    if (argc < 1)
        return ctl_usage();
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
        if (strcmp(argv[0], tools[i].name) != 0)
            continue;
        self.words = argv + 1;
        self.word_count = argc - 1;
        return tools[i].run ? run_on_store(&tools[i]) : chat_main();
    }
    if (strcmp(argv[0], "metrics") == 0)
        return metrics_main(argc - 1, argv + 1);
    if (strcmp(argv[0], "cache") == 0)
        return ctl_cache_main(argc - 1, argv + 1);
    if (strcmp(argv[0], "proxy") == 0)
        return ctl_proxy_main(argc - 1, argv + 1);
    int code;
    if (ctl_bot_main(argv[0], argc - 1, argv + 1, &code) == 0)
        return code;
    if (ctl_control_main(argv[0], argc - 1, argv + 1, &code) == 0)
        return code;
    fprintf(stderr, "guildhall: ctl has no tool '%s'\n", argv[0]);
    return ctl_usage();
}
