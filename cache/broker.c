/* Names and topology in RabbitMQ. */
#include "cache/broker.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"

#define NAME_BYTES 160
#define TEXTS      (3 * BROKER_PARTITIONS + 1) /* of a group: queues, their bindings, the dead letters */
#define DECLARES   (3 * BROKER_PARTITIONS + 3)

void broker_routing_key(struct buf *out, uint64_t application, struct str event, unsigned partition)
{
    buf_add_u64(out, application);
    buf_addc(out, '.');
    buf_add_str(out, event);
    buf_addc(out, '.');
    buf_add_u64(out, partition);
}

void broker_replay_key(struct buf *out, uint64_t application, const char *group, struct str event, unsigned partition)
{
    buf_addf(out, "%llu@%s.%.*s.%u", (unsigned long long)application, group, STR_ARG(event), partition);
}

void broker_queue(struct buf *out, uint64_t application, const char *group, unsigned partition)
{
    buf_addf(out, "guildhall.%llu.%s.%u", (unsigned long long)application, group, partition);
}

void broker_dead(struct buf *out, uint64_t application, const char *group)
{
    buf_addf(out, "guildhall.%llu.%s.dead", (unsigned long long)application, group);
}

void broker_command_key(struct buf *out, uint64_t application, unsigned shard)
{
    buf_addf(out, "%llu.%u", (unsigned long long)application, shard);
}

/* The next piece of the topology's text. */
static const char *text_put(struct broker_topology *t, int *at, struct buf *b)
{
    char *place = t->text + (size_t)(*at)++ * NAME_BYTES;

    memcpy(place, b->data, b->len < NAME_BYTES ? b->len + 1 : NAME_BYTES);
    place[NAME_BYTES - 1] = 0;
    buf_done(b);
    return place;
}

static void group_declare(struct broker_topology *t, int *text, uint64_t application, const char *group)
{
    struct buf b = BUF_INIT(1024);

    broker_dead(&b, application, group);
    const char *dead = text_put(t, text, &b);
    t->declares[t->count++] =
        (struct amqp_declare){.what = AMQP_EXCHANGE, .name = dead, .type = "topic", .durable = true};
    t->declares[t->count++] = (struct amqp_declare){
        .what = AMQP_QUEUE, .name = dead, .durable = true, .max_length = LIMIT_BROKER_DEAD_LETTERS};
    t->declares[t->count++] =
        (struct amqp_declare){.what = AMQP_BIND, .name = dead, .exchange = dead, .routing_key = "#"};
    for (unsigned p = 0; p < BROKER_PARTITIONS; p++) {
        broker_queue(&b, application, group, p);
        const char *queue = text_put(t, text, &b);
        buf_addf(&b, "%llu.*.%u", (unsigned long long)application, p);
        const char *key = text_put(t, text, &b);
        t->declares[t->count++] = (struct amqp_declare){.what = AMQP_QUEUE,
                                                        .name = queue,
                                                        .durable = true,
                                                        .max_length = LIMIT_BROKER_QUEUE_MESSAGES,
                                                        .overflow = "reject-publish",
                                                        .dead_letter_exchange = dead,
                                                        .single_active_consumer = true};
        t->declares[t->count++] =
            (struct amqp_declare){.what = AMQP_BIND, .name = queue, .exchange = BROKER_EXCHANGE, .routing_key = key};
        broker_replay_key(&b, application, group, STR("*"), p);
        key = text_put(t, text, &b);
        t->declares[t->count++] =
            (struct amqp_declare){.what = AMQP_BIND, .name = queue, .exchange = BROKER_EXCHANGE, .routing_key = key};
    }
}

void broker_topology_init(struct broker_topology *t, uint64_t application, const char *const *groups, int group_count)
{
    int text = 0;

    t->text = mem_zalloc((size_t)(group_count * TEXTS + 1) * NAME_BYTES);
    t->declares = mem_zalloc(sizeof(*t->declares) * (size_t)(group_count * DECLARES + 2));
    t->count = 0;
    t->declares[t->count++] =
        (struct amqp_declare){.what = AMQP_EXCHANGE, .name = BROKER_EXCHANGE, .type = "topic", .durable = true};
    t->declares[t->count++] =
        (struct amqp_declare){.what = AMQP_EXCHANGE, .name = BROKER_COMMANDS, .type = "topic", .durable = true};
    for (int i = 0; i < group_count; i++)
        group_declare(t, &text, application, groups[i]);
}

void broker_topology_done(struct broker_topology *t)
{
    mem_free(t->declares);
    mem_free(t->text);
    *t = (struct broker_topology){0};
}
