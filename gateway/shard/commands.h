/* Workers' commands from RabbitMQ to whoever holds their shard: one consumer for a process, a queue for each shard it
 * holds. Commands are sent in order; one that names another shard's guild is passed on, one that cannot be sent goes to
 * the dead letters with a reason; one whose expiration has passed, here or at the broker, is dropped. What waits here
 * is bounded by the prefetch (LIMIT_SHARD_COMMANDS_WAITING), the rest waits at the broker (LIMIT_BROKER_COMMANDS). Loop
 * thread only. */
#pragma once

#include "platform/io/amqp.h"

struct commands;
struct command_queue;

struct commands_options {
    const char *amqp_url;
    uint64_t application;
    unsigned shard_count;
    unsigned queue_count; /* shards that ever were: what is left in the queue of one that is gone is taken, too */
    struct amqp_publisher *publisher; /* for what is passed on; not owned */
};
/* NULL and err: the url is malformed. */
struct commands *commands_new(const struct commands_options *o, struct buf *err);
/* All its queues must be closed. What was not sent goes back to the broker; may block for a second. */
void commands_free(struct commands *c);
bool commands_ready(const struct commands *c);

/* Writes one payload (to_all: every shard gets it) to the gateway: 0; or the milliseconds until it should be tried
 * again. */
typedef int64_t (*command_send_fn)(struct str payload, bool to_all, void *arg);
/* The shard's commands are taken from now on. */
struct command_queue *command_queue_open(struct commands *c, unsigned shard, command_send_fn send, void *arg);
/* The shard can send again. NULL is fine, here and below. */
void command_queue_kick(struct command_queue *q);
/* What was not sent stands in the broker's queue again, for whoever holds the shard next. */
void command_queue_close(struct command_queue *q);
