/* What shards and workers agree on in RabbitMQ (worker-sdk/README.md is the description for workers in any language):
 * names, partitions, and the topology both declare. Loop thread for broker_declares, else any. */
#pragma once

#include "platform/io/amqp.h"

#define BROKER_PARTITIONS    64
#define BROKER_EXCHANGE      "guildhall.events"
#define BROKER_COMMANDS      "guildhall.commands" /* topic; key "<application>.<shard>" or "<application>.all" */
#define BROKER_GROUP_DEFAULT "workers"

/* Headers of an event's message. */
#define BROKER_HEADER_SHARD   "shard"   /* int */
#define BROKER_HEADER_SHARDS  "shards"  /* int: shard count */
#define BROKER_HEADER_SEQ     "seq"     /* int */
#define BROKER_HEADER_GUILD   "guild"   /* string: guild id; empty outside guilds */
#define BROKER_HEADER_SESSION "session" /* string */
#define BROKER_HEADER_EPOCH   "epoch"   /* int: the lease's under which it was published */

/* tag: the guild; outside guilds the channel, else the user, else 0. The same bits that choose a guild's shard. */
static inline unsigned broker_partition(uint64_t tag)
{
    return (unsigned)((tag >> 22) % BROKER_PARTITIONS);
}

/* "<application>.<EVENT>.<partition>" */
void broker_routing_key(struct buf *out, uint64_t application, struct str event, unsigned partition);
/* "<application>@<group>.<EVENT>.<partition>": the same for one group only, as a dead letter that is tried again. */
void broker_replay_key(struct buf *out, uint64_t application, const char *group, struct str event, unsigned partition);
/* "guildhall.<application>.<group>.<partition>", and the queue (and exchange) ".dead" beside them. */
void broker_queue(struct buf *out, uint64_t application, const char *group, unsigned partition);
void broker_dead(struct buf *out, uint64_t application, const char *group);

/* "guildhall.<application>.commands.<shard>"; the dead ones: broker_dead of the group "commands", a name no group has.
 */
#define BROKER_COMMANDS_GROUP "commands"
void broker_command_key(struct buf *out, uint64_t application, unsigned shard);

/* The exchanges, and for each group its partitions' queues, its dead letters and the bindings. */
struct broker_topology {
    struct amqp_declare *declares;
    int count;
    char *text; /* what the declares point into */
};
void broker_topology_init(struct broker_topology *t, uint64_t application, const char *const *groups, int group_count);
void broker_topology_done(struct broker_topology *t);
