/* The worker of tests/chaos/bot: writes down each message it handles, one line in one write, and answers those whose
 * content ends in "0". RECORD: the file; lines: milliseconds of the wall clock, guild, message, session, seq. */
#include <guildhall/guildhall.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int record = -1;

static int on_message(struct gh_context *c, const struct gh_message *m, void *arg)
{
    const struct gh_event *e = gh_context_event(c);
    struct timespec now;
    size_t n = strlen(m->content);
    char line[256];

    (void)arg;
    if (m->author.bot)
        return 0;
    if (n && m->content[n - 1] == '0') {
        int r = gh_message_reply(c, m, "heard %s", m->content);
        if (r)
            return r;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    int len = snprintf(line, sizeof line, "%" PRId64 " %" PRIu64 " %" PRIu64 " %s %" PRId64 "\n",
                       (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, e->guild_id, m->id, e->session, e->seq);
    return write(record, line, (size_t)len) == len ? 0 : -1;
}

int main(void)
{
    const char *path = getenv("RECORD");

    record = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    struct gh_bot *bot = record < 0 ? NULL : gh_bot_new(NULL);
    if (!bot)
        return 2;
    gh_on_message_create(bot, on_message, NULL);
    int status = gh_bot_run(bot);
    gh_bot_free(bot);
    return status;
}
