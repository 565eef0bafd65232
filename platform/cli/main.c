/* guildhall <command>: reads the settings, prepares the process, runs the command. */
#include "gateway/shard/shard.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/base/settings.h"
#include "platform/cli/cli.h"
#include "platform/io/loop.h"
#include "rest-proxy/proxy.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static int no_words(int (*run)(void), int argc, char **argv)
{
    if (argc) {
        fprintf(stderr, "guildhall: unexpected word '%s'\n", argv[0]);
        return 2;
    }
    return run();
}

static int run_dev(int argc, char **argv)
{
    return no_words(dev_main, argc, argv);
}

static int run_api(int argc, char **argv)
{
    return no_words(api_main, argc, argv);
}

static int run_gateway(int argc, char **argv)
{
    return no_words(gateway_main, argc, argv);
}

static int run_shard(int argc, char **argv)
{
    return no_words(shard_main, argc, argv);
}

static int run_proxy(int argc, char **argv)
{
    return no_words(proxy_main, argc, argv);
}

static const struct command {
    const char *name;
    enum settings_command id;
    int (*run)(int argc, char **argv);
    const char *help;
    const char *metrics; /* components of its process */
} commands[] = {
    {"dev", CMD_DEV, run_dev, "the whole platform in one process: a local twin for bot tests",
     "gateway api events http loop sql ws"},
    {"api", CMD_API, run_api, "HTTP API of the full stack", "api events http loop sql"},
    {"gateway", CMD_GATEWAY, run_gateway, "WebSocket gateway node of the full stack", "gateway http loop sql ws"},
    {"shard", CMD_SHARD, run_shard, "bot side: holds shards of a bot, feeds Redis cache and RabbitMQ",
     "shard cache loop"},
    {"rest-proxy", CMD_PROXY, run_proxy, "bot side: HTTP proxy that owns the rate limits", "proxy http loop"},
    {"ctl", CMD_CTL, ctl_main,
     "tools of operators and bot developers: chat, sessions, drain, reshard, cache, dlq, ... (`guildhall ctl` lists "
     "them)",
     ""},
};

const char *command_metrics(const char *command)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, command) == 0)
            return commands[i].metrics;
    return NULL;
}

static int usage(FILE *out)
{
    fprintf(out, "usage: guildhall <command> [settings]\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\nguildhall <command> --help lists the command's settings; guildhall --version the version.\n");
    return out == stdout ? 0 : 2;
}

static int command_help(const struct command *c)
{
    BUF_AUTO struct buf text = {0};
    settings_help(c->id, &text);
    printf("guildhall %s: %s\n\n%.*s", c->name, c->help, STR_ARG(buf_str(&text)));
    return 0;
}

static int command_run(const struct command *c, int argc, char **argv)
{
    BUF_AUTO struct buf err = {0};
    char **rest = mem_zalloc(sizeof *rest * (size_t)(argc + 1));
    int rest_count = 0;
    if (settings_load(c->id, argc, argv, rest, &rest_count, &err) < 0) {
        mem_free(rest);
        return usage_error(&err);
    }
    log_init(c->name, log_level_of(setting_str(SETTING_log_level)),
             strcmp(setting_str(SETTING_log_format), "json") == 0);
    metrics_show(c->metrics);
    loop_init();
    int code = c->run(rest_count, rest);
    loop_done();
    mem_free(rest);
    return code;
}

int main(int argc, char **argv)
{
    if (sodium_init() < 0)
        return 1;
    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return usage(stdout);
    if (strcmp(argv[1], "--version") == 0) {
        printf("guildhall %s\n", GUILDHALL_VERSION);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        for (int k = 2; k < argc; k++)
            if (strcmp(argv[k], "--help") == 0)
                return command_help(&commands[i]);
        return command_run(&commands[i], argc - 2, argv + 2);
    }
    fprintf(stderr, "guildhall: no command '%s'\n", argv[1]);
    return usage(stderr);
}
