/* What is counted when the metrics page is written: sums over the node's connections, topics and logs. One pass over
 * the connections, about 0.1 us each. Loop thread. */
#include "gateway/server/server.h"

#include "platform/base/metrics.h"

METRIC_DEFINE(queued, METRIC_GAUGE, "guildhall_gateway_queued_bytes", "Bytes that wait for clients' sockets");
METRIC_DEFINE(queued_most, METRIC_GAUGE, "guildhall_gateway_queued_bytes_max", "The longest of these queues");
METRIC_DEFINE(sent, METRIC_COUNTER, "guildhall_ws_sent_bytes_total",
              "Bytes given to WebSocket connections' sockets (before TLS)");
METRIC_DEFINE(detached_gauge, METRIC_GAUGE, "guildhall_gateway_sessions_detached", "Sessions that wait for RESUME");
METRIC_DEFINE(guilds, METRIC_GAUGE, "guildhall_gateway_guilds", "Guilds that this node follows");
METRIC_DEFINE(log_bytes, METRIC_GAUGE, "guildhall_gateway_log_bytes",
              "Encoded events kept for RESUME, all forms, each once (LIMIT_REPLAY_TOTAL_BYTES)");
METRIC_DEFINE(replay_events, METRIC_GAUGE, "guildhall_gateway_replay_events",
              "References to them in the sessions' replay rings");

static void count_conns(const struct gateway *g)
{
    size_t sum = 0, most = 0;

    LIST_FOREACH(it, &g->conns)
    {
        const struct conn *c = LIST_ENTRY(it, struct conn, item);
        size_t bytes = c->ws ? ws_queued_bytes(c->ws) : 0;
        sum += bytes;
        most = bytes > most ? bytes : most;
    }
    metric_set(&queued, (int64_t)sum);
    metric_set(&queued_most, (int64_t)most);
}

static void count_sessions(const struct gateway *g)
{
    int64_t detached = 0, events = 0;
    struct str id;
    const struct session *s;

    for (size_t cursor = 0; (s = smap_next(&g->sessions, &cursor, &id));) {
        detached += !s->conn;
        events += s->replay.count;
    }
    metric_set(&detached_gauge, detached);
    metric_set(&replay_events, events);
}

static void count_topics(const struct gateway *g)
{
    int64_t count = 0;
    const struct topic *t;

    for (size_t cursor = 0; (t = map_next(&g->topics, &cursor));)
        count += !t->is_user;
    metric_set(&guilds, count);
}

static void collect(void *arg)
{
    const struct gateway *g = arg;

    count_conns(g);
    count_sessions(g);
    count_topics(g);
    metric_set(&log_bytes, (int64_t)g->log.bytes);
    metric_set(&sent, (int64_t)ws_sent_bytes_total());
}

void gateway_metrics_start(struct gateway *g)
{
    metrics_on_write(collect, g);
}

void gateway_metrics_stop(const struct gateway *g)
{
    metrics_off_write(g);
}
