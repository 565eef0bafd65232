/* The depth of the workers' queues. Loop thread. */
#include "gateway/shard/depth.h"

#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include <stdio.h>

#define ASK_MS     2000
#define NAME_BYTES 128
#define FILLING    (LIMIT_BROKER_QUEUE_MESSAGES / 4 * 3) /* what is left is more than comes until it is asked again */
#define QUEUES     (BROKER_PARTITIONS + 1)               /* of a group: the last are its dead letters */

METRIC_DEFINE_BY(metric_queue, METRIC_GAUGE, "guildhall_shard_queue_messages", "group, partition",
                 "Events that wait for a worker of the group");
METRIC_DEFINE_BY(metric_dead, METRIC_GAUGE, "guildhall_shard_dead_letters", "group",
                 "Events that workers of the group gave up");

struct depth {
    struct depth_options o;
    struct amqp_depth *asker;
    int count;
    char (*text)[NAME_BYTES];
    const char **queues;
    struct metric **metrics;
    struct crowd crowds[BROKER_PARTITIONS];
};

static void on_told(const uint32_t *messages, void *arg)
{
    struct depth *d = arg;
    struct crowd crowds[BROKER_PARTITIONS] = {0};

    for (int i = 0; i < d->count; i++) {
        metric_set(d->metrics[i], messages[i]);
        if (i % QUEUES == BROKER_PARTITIONS)
            continue;
        crowds[i % QUEUES].crowded |= messages[i] > d->o.shed_depth;
        crowds[i % QUEUES].filling |= messages[i] > FILLING;
    }
    for (unsigned p = 0; p < BROKER_PARTITIONS; p++)
        if (crowds[p].crowded != d->crowds[p].crowded)
            LOG_WARN(crowds[p].crowded ? "partition_crowded" : "partition_relieved", "partition=%u bound=%u", p,
                     d->o.shed_depth);
    memcpy(d->crowds, crowds, sizeof(crowds));
}

static void queue_add(struct depth *d, const char *group, unsigned partition)
{
    struct buf BUF_AUTO name = BUF_INIT(NAME_BYTES);
    char labels[NAME_BYTES];
    bool dead = partition == BROKER_PARTITIONS;

    if (dead)
        broker_dead(&name, d->o.application, group);
    else
        broker_queue(&name, d->o.application, group, partition);
    if (dead)
        snprintf(labels, sizeof(labels), "group=\"%s\"", group);
    else
        snprintf(labels, sizeof(labels), "group=\"%s\",partition=\"%u\"", group, partition);
    snprintf(d->text[d->count], NAME_BYTES, "%s", name.data);
    d->queues[d->count] = d->text[d->count];
    d->metrics[d->count++] = metric_with(dead ? &metric_dead : &metric_queue, labels);
}

struct depth *depth_new(const struct depth_options *o, struct buf *err)
{
    struct depth *d = MEM_NEW(struct depth);
    size_t most = (size_t)o->group_count * QUEUES;

    d->o = *o;
    d->text = mem_zalloc(sizeof(*d->text) * (most + 1));
    d->queues = mem_zalloc(sizeof(*d->queues) * (most + 1));
    d->metrics = mem_zalloc(sizeof(*d->metrics) * (most + 1));
    for (int g = 0; g < o->group_count; g++)
        for (unsigned p = 0; p <= BROKER_PARTITIONS; p++)
            queue_add(d, o->groups[g], p);
    d->asker = amqp_depth_new(o->amqp_url, o->topology->declares, o->topology->count, d->queues, d->count, ASK_MS,
                              on_told, d, err);
    if (d->asker)
        return d;
    depth_free(d);
    return NULL;
}

void depth_free(struct depth *d)
{
    if (!d)
        return;
    amqp_depth_free(d->asker);
    mem_free(d->text);
    mem_free(d->queues);
    mem_free(d->metrics);
    mem_free(d);
}

const struct crowd *depth_crowds(const struct depth *d)
{
    return d->crowds;
}
