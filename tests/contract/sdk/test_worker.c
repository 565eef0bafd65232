/* A worker under test: prints a line for each event it handled. {"fail":true} fails for ever, {"slow":true} takes long.
 */
#include <guildhall/guildhall.h>

#include <stdio.h>
#include <string.h>

static int on_event(struct gh_context *c, const struct gh_event *e, void *arg)
{
    (void)arg;
    if (strstr(e->json, "\"fail\""))
        return -1;
    gh_sleep_ms(c, strstr(e->json, "\"slow\"") ? 1500 : 2);
    printf("%s %lld %llu\n", e->type, (long long)e->seq, (unsigned long long)e->guild_id);
    fflush(stdout);
    return 0;
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
