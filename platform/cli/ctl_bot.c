/* `guildhall ctl reshard` and `dlq`: what operators of a bot do with its shards and queues. One coroutine a tool. */
#include "gateway/shard/plan.h"
#include "platform/base/limits.h"
#include "platform/base/settings.h"
#include "platform/base/snowflake.h"
#include "platform/cli/cli.h"
#include "platform/cli/ctl.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define POLL_MS      250
#define REDIS_TRIES  100
#define REDIS_TRY_MS 50

static struct {
    char **words;
    int word_count;
    uint64_t application;
    struct redis *redis;
    int (*tool)(void);
    int code;
} self;

uint64_t ctl_application(void)
{
    const char *token = setting_str(SETTING_token), *dot = strchr(token, '.');
    char text[32] = "";
    size_t n = 0;
    uint64_t id = 0;

    if (snowflake_parse(str_c(setting_str(SETTING_application_id)), &id) == 0 && id)
        return id;
    if (!dot || sodium_base642bin((unsigned char *)text, sizeof text - 1, token, (size_t)(dot - token), "=", &n, NULL,
                                  sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
        return 0;
    return snowflake_parse((struct str){text, n}, &id) == 0 ? id : 0;
}

/* --- reshard --- */

static void plan_print(const struct shard_plan *p)
{
    static const char *const phases[] = {"", "getting ready", "both sets publish"};

    if (p->next_generation)
        printf("generation %llu: %u of %u shards ready (%s); %u shards publish\n",
               (unsigned long long)p->next_generation, p->next_ready, p->next_count, phases[p->phase], p->count);
    else
        printf("generation %llu: %u shards publish%s\n", (unsigned long long)p->generation, p->count,
               p->alive ? "" : "; no shard process runs");
    for (unsigned i = 0; i < p->ending_count; i++)
        printf("generation %llu ends: %u of its %u shards go on\n", (unsigned long long)p->endings[i].generation,
               p->endings[i].left, p->endings[i].count);
    fflush(stdout);
}

static bool same(const struct shard_plan *a, const struct shard_plan *b)
{
    return a->generation == b->generation && a->next_generation == b->next_generation && a->phase == b->phase &&
           a->next_ready == b->next_ready;
}

/* Tells how it goes on, until the new set publishes alone. Ending this changes nothing. */
static int reshard_watch(unsigned count)
{
    struct shard_plan plan, told = {0};

    for (;;) {
        int r = shard_plan_read(self.redis, self.application, &plan);
        if (r == 0 && !same(&plan, &told)) {
            plan_print(&plan);
            told = plan;
        }
        if (r == 0 && plan.next_generation == 0)
            return plan.count == count ? 0 : -ECANCELED;
        if (r == 0 && plan.next_count != count)
            return -ECANCELED;
        co_sleep(POLL_MS);
    }
}

static int tool_reshard(void)
{
    uint64_t count;

    if (self.word_count == 0) {
        struct shard_plan plan;
        int r = shard_plan_read(self.redis, self.application, &plan);
        if (r == 0)
            plan_print(&plan);
        return r;
    }
    if (self.word_count != 1 || str_to_u64(str_c(self.words[0]), &count) < 0 || count == 0 ||
        count > LIMIT_SHARE_SLOTS) {
        fprintf(stderr, "guildhall: ctl reshard [SHARDS], 1 to %d\n", LIMIT_SHARE_SLOTS);
        return -EINVAL;
    }
    int r = shard_plan_begin(self.redis, self.application, (unsigned)count);
    if (r == -EBUSY)
        printf("waiting: an older set of %u shards has not ended\n", (unsigned)count);
    for (fflush(stdout); r == -EBUSY; r = shard_plan_begin(self.redis, self.application, (unsigned)count))
        co_sleep(POLL_MS);
    if (r == -EALREADY)
        fprintf(stderr, "guildhall: it has %u shards\n", (unsigned)count);
    r = r == 0 ? reshard_watch((unsigned)count) : r;
    if (r == -ECANCELED)
        fprintf(stderr, "guildhall: another reshard took its place, or Redis forgot it\n");
    return r;
}

/* --- all tools --- */

static int tool_dlq(void)
{
    return dlq_run(self.application, self.word_count, self.words);
}

static const struct tool {
    const char *name;
    int (*run)(void);
    bool redis; /* else: RabbitMQ */
    const char *help;
} tools[] = {
    {"dlq", tool_dlq, false,
     "list [COUNT] | replay all|ID... | drop all|ID...: what workers of --worker-group gave up (`commands`: what "
     "shards "
     "could not send)"},
    {"reshard", tool_reshard, true,
     "[SHARDS]: another number of shards for the bot of --token, without a pause; alone: which runs"},
};

void ctl_bot_help(void)
{
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
        fprintf(stderr, "  %-20s %s\n", tools[i].name, tools[i].help);
}

static void run_tool(void *arg)
{
    (void)arg;
    for (int i = 0; i < REDIS_TRIES && self.redis && !redis_connected(self.redis); i++)
        co_sleep(REDIS_TRY_MS);
    int r = !self.redis || redis_connected(self.redis) ? self.tool() : -EHOSTDOWN;
    if (!self.redis)
        ; /* it told itself */
    else if (r == -ENOENT)
        fprintf(stderr, "guildhall: no shard process ever ran for application %llu\n",
                (unsigned long long)self.application);
    else if (r == -EHOSTDOWN)
        fprintf(stderr, "guildhall: Redis does not answer\n");
    self.code = r == 0 ? 0 : 1;
    loop_stop();
}

static int run(const struct tool *t)
{
    BUF_AUTO struct buf err = {0};

    self.tool = t->run;
    self.application = ctl_application();
    if (!self.application)
        buf_adds(&err, "--token (DISCORD_TOKEN) or --application-id is needed");
    else if (!*setting_str(t->redis ? SETTING_redis_url : SETTING_amqp_url))
        buf_adds(&err, t->redis ? "--redis-url is needed" : "--amqp-url is needed");
    if (!err.len && t->redis)
        self.redis = redis_new(setting_str(SETTING_redis_url), &err);
    if (err.len)
        return usage_error(&err);
    (void)co_spawn(run_tool, NULL);
    loop_run();
    if (self.redis)
        redis_free(self.redis);
    return self.code;
}

int ctl_bot_main(const char *tool, int word_count, char **words, int *ret_code)
{
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
        if (strcmp(tool, tools[i].name) != 0)
            continue;
        self.words = words;
        self.word_count = word_count;
        *ret_code = run(&tools[i]);
        return 0;
    }
    return -ENOENT;
}
