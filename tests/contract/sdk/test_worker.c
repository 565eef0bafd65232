/* A worker under test: prints a line for each event it handled, its thread and process. {"fail":true} fails for ever,
 * and says so; {"slow":true} takes long, {"slower":true} longer and says so when it begins, {"gateway":true} has the
 * shards send something. */
#include <guildhall/guildhall.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int to_gateway(struct gh_context *c, uint64_t guild_id)
{
    int r = gh_voice_set(c, guild_id, 77, true, false);
    if (r == 0)
        r = gh_presence_set(c, "idle", &(struct gh_activity){.name = "chess", .type = 3});
    return r ? r : gh_members_request(c, guild_id, "al", 5, NULL, 0, false, "n1");
}

/* One write: several workers share the pipe. */
static bool line_write(const char *what, const struct gh_event *e)
{
    char line[128];
    int n = snprintf(line, sizeof line, "%s %lld %llu %d %d\n", what, (long long)e->seq,
                     (unsigned long long)e->guild_id, (int)gettid(), (int)getpid());
    return write(1, line, (size_t)n) == n;
}

static int on_event(struct gh_context *c, const struct gh_event *e, void *arg)
{
    (void)arg;
    if (strstr(e->json, "\"fail\"")) {
        (void)line_write("fails", e);
        return -1;
    }
    if (strstr(e->json, "\"gateway\"") && to_gateway(c, e->guild_id) != 0)
        return -1;
    bool slower = strstr(e->json, "\"slower\"") != NULL;
    if (slower && !line_write("begins", e))
        return -1;
    gh_sleep_ms(c, slower ? 6000 : strstr(e->json, "\"slow\"") ? 1500 : 2);
    return line_write(e->type, e) ? 0 : -1;
}

int main(void)
{
    struct gh_bot *bot = gh_bot_new(NULL);
    if (!bot)
        return 2;
    gh_on_event(bot, NULL, on_event, NULL);
    int status = gh_bot_run(bot);
    gh_bot_free(bot);
    return status;
}
