/* rabbitmq-c alone; see bare.h. */
#include "tests/bench/bare.h"

#include "cache/broker.h"
#include "tests/bench/bench.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define PREFETCH 64 /* as the library's */
#define CHANNEL  1

struct bare {
    amqp_connection_state_t conn;
    uint64_t published, confirmed;
    struct buf body, key;
};

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "guildhall-worker-bench: RabbitMQ: %s failed\n", what);
    exit(1);
}

static void replied(const struct bare *b, const char *what)
{
    must(amqp_get_rpc_reply(b->conn).reply_type == AMQP_RESPONSE_NORMAL, what);
}

struct bare *bare_open(void)
{
    struct bare *b = calloc(1, sizeof *b);
    struct amqp_connection_info at;
    const char *given = getenv("AMQP_URL");
    char *url = given ? strdup(given) : NULL;

    *b = (struct bare){.conn = amqp_new_connection(), .body = BUF_INIT(1 << 16), .key = BUF_INIT(256)};
    must(url && amqp_parse_url(url, &at) == AMQP_STATUS_OK, "AMQP_URL");
    must(amqp_socket_open(amqp_tcp_socket_new(b->conn), at.host, at.port) == AMQP_STATUS_OK, "connecting");
    must(amqp_login(b->conn, at.vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, at.user, at.password)
                 .reply_type == AMQP_RESPONSE_NORMAL,
         "login");
    amqp_channel_open(b->conn, CHANNEL);
    replied(b, "channel.open");
    amqp_confirm_select(b->conn, CHANNEL);
    replied(b, "confirm.select");
    free(url);
    return b;
}

/* --- publishing --- */

static void confirms_read(struct bare *b, const struct timeval *wait)
{
    amqp_frame_t frame;

    amqp_maybe_release_buffers(b->conn);
    while (b->confirmed < b->published) {
        int status = amqp_simple_wait_frame_noblock(b->conn, &frame, wait);
        if (status == AMQP_STATUS_TIMEOUT)
            return;
        must(status == AMQP_STATUS_OK && frame.frame_type == AMQP_FRAME_METHOD &&
                 frame.payload.method.id == AMQP_BASIC_ACK_METHOD,
             "publishing");
        b->confirmed = ((amqp_basic_ack_t *)frame.payload.method.decoded)->delivery_tag;
    }
}

static amqp_table_entry_t text_entry(const char *name, const char *value)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
                                .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

static amqp_table_entry_t number_entry(const char *name, int64_t value)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(name),
                                .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = value}};
}

void bare_publish(struct bare *b, unsigned n, uint64_t stamp)
{
    static const struct timeval none;
    unsigned long long tag = (unsigned long long)(1 + n % BENCH_GUILDS) << 22;
    char id[32], guild[24];
    struct str body = event_body(&b->body, n, stamp);

    snprintf(id, sizeof id, "bare:%u", n);
    snprintf(guild, sizeof guild, "%llu", tag);
    amqp_table_entry_t headers[] = {
        number_entry(BROKER_HEADER_SHARD, 0),
        number_entry(BROKER_HEADER_SHARDS, 1),
        number_entry(BROKER_HEADER_SEQ, n),
        text_entry(BROKER_HEADER_GUILD, guild),
        text_entry(BROKER_HEADER_SESSION, "bare"),
        number_entry(BROKER_HEADER_EPOCH, 0) /* of no lease: fences nobody */,
    };
    amqp_basic_properties_t properties = {
        ._flags =
            AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_HEADERS_FLAG,
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .message_id = amqp_cstring_bytes(id),
        .type = amqp_cstring_bytes("MESSAGE_CREATE"),
        .headers = {.num_entries = sizeof headers / sizeof *headers, .entries = headers},
    };
    buf_clear(&b->key);
    broker_routing_key(&b->key, BENCH_APPLICATION, STR("MESSAGE_CREATE"), broker_partition(tag));
    must(amqp_basic_publish(b->conn, CHANNEL, amqp_cstring_bytes(BROKER_EXCHANGE), amqp_cstring_bytes(b->key.data), 0,
                            0, &properties, (amqp_bytes_t){body.n, (void *)(uintptr_t)body.p}) == AMQP_STATUS_OK,
         "publishing");
    b->published++;
    confirms_read(b, &none);
}

void bare_confirmed(struct bare *b)
{
    static const struct timeval patience = {.tv_sec = 60};

    confirms_read(b, &patience);
    must(b->confirmed == b->published, "confirming");
}

/* --- consuming --- */

_Noreturn void bare_consume(struct bare *b, unsigned first, unsigned of, void (*ready)(void),
                            void (*told)(const char *body, size_t bytes))
{
    amqp_basic_qos(b->conn, CHANNEL, 0, PREFETCH, 0);
    replied(b, "basic.qos");
    for (unsigned i = first; i < BROKER_PARTITIONS; i += of) {
        buf_clear(&b->key);
        broker_queue(&b->key, BENCH_APPLICATION, BROKER_GROUP_DEFAULT, i);
        amqp_basic_consume(b->conn, CHANNEL, amqp_cstring_bytes(b->key.data), amqp_empty_bytes, 0, 0, 0,
                           amqp_empty_table);
        replied(b, "basic.consume");
    }
    ready();
    for (;;) {
        amqp_envelope_t e;
        amqp_maybe_release_buffers(b->conn);
        must(amqp_consume_message(b->conn, &e, NULL, 0).reply_type == AMQP_RESPONSE_NORMAL, "consuming");
        told(e.message.body.bytes, e.message.body.len);
        must(amqp_basic_ack(b->conn, CHANNEL, e.delivery_tag, 0) == AMQP_STATUS_OK, "basic.ack");
        amqp_destroy_envelope(&e);
    }
}
