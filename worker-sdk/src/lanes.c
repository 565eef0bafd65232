/* More than one thread: each runs a loop of its own with a copy of the bot, which shares partitions like another worker
 * would, so that a guild's events stay in order on one thread. Lives from gh_bot_run to its end. */
#include "worker-sdk/src/sdk.h"

#include "platform/base/check.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

struct lane {
    struct gh_bot bot; /* the copy */
    pthread_t thread;
    struct lanes *all;
};

struct lanes {
    unsigned count;
    sem_t ready;
    struct lane lane[];
};

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    BUF_AUTO struct buf err = {0};
    loop_init();
    lane->bot.loop = loop_mine();
    CHECK_MSG(bot_connect(&lane->bot, &err) == 0, "what the first thread connected to is refused");
    sem_post(&lane->all->ready);
    loop_run();
    bot_disconnect(&lane->bot);
    loop_done();
    co_done();
    return NULL;
}

void lanes_start(struct gh_bot *root, unsigned count)
{
    sigset_t all, before;
    if (count == 0)
        return;
    struct lanes *lanes = mem_zalloc(sizeof(struct lanes) + count * sizeof(struct lane));
    lanes->count = count;
    CHECK(sem_init(&lanes->ready, 0, 0) == 0);
    sigfillset(&all); /* signals are the root's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < count; i++) {
        struct lane *lane = &lanes->lane[i];
        lane->all = lanes;
        lane->bot = *root;
        lane->bot.redis = NULL;
        lane->bot.http = NULL;
        lane->bot.partitions = NULL;
        lane->bot.seen = NULL;
        lane->bot.publisher = NULL;
        lane->bot.late = NULL;
        lane->bot.tasks = tasks_new(&lane->bot);
        CHECK(pthread_create(&lane->thread, NULL, lane_main, lane) == 0);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (unsigned i = 0; i < count; i++)
        while (sem_wait(&lanes->ready) != 0)
            ;
    root->lanes = lanes;
}

void lanes_stop(struct gh_bot *root)
{
    for (unsigned i = 0; root->lanes && i < root->lanes->count; i++)
        loop_post_to(root->lanes->lane[i].bot.loop, bot_stop_here, &root->lanes->lane[i].bot);
}

void lanes_join(struct gh_bot *root)
{
    struct lanes *lanes = root->lanes;
    if (!lanes)
        return;
    for (unsigned i = 0; i < lanes->count; i++) {
        CHECK(pthread_join(lanes->lane[i].thread, NULL) == 0);
        tasks_free(lanes->lane[i].bot.tasks);
    }
    sem_destroy(&lanes->ready);
    mem_free(lanes);
    root->lanes = NULL;
}
