/* WebSocket client on libwebsockets, which runs on our libuv loop (its evlib plugin, foreign loop). Its own name lookup
 * blocks, so names are resolved first with uv_getaddrinfo; certificates are still checked against the name. A vhost for
 * each CA file. Loop thread. */
#include "platform/io/ws_client.h"

#include "platform/base/check.h"
#include "platform/base/limits.h"
#include "platform/base/list.h"
#include "platform/base/mem.h"
#include "platform/io/loop.h"

#include <errno.h>
#include <libwebsockets.h>
#include <netdb.h>
#include <stdio.h>
#include <uv.h>

#define RX_BUFFER_BYTES  16384
#define VHOSTS_MAX       4
#define CLOSE_HEAD_BYTES 6
#define ADDRESSES_MAX    4 /* of a name, tried in order */

struct outgoing {
    struct list link;
    bool binary;
    size_t len;
    unsigned char bytes[]; /* LWS_PRE bytes of room, then the message */
};

struct ws_client {
    struct ws_client_callbacks cb;
    void *arg;
    char *host, *path, *ca_file, *user_agent;
    char addresses[ADDRESSES_MAX][INET6_ADDRSTRLEN];
    int address_count, address_at;
    int port;
    bool tls, open, closing, close_sent, over, looking_up, next_posted;
    size_t payload_max, queue_bytes_max, queue_bytes;
    struct list queue;
    struct buf in; /* the message being received */
    struct lws *wsi;
    struct loop_timer *patience; /* until it is open, and again from ws_client_close on */
    uv_getaddrinfo_t lookup;
    int close_code; /* what to send, or what was received */
    char close_reason[124];
};

static struct {
    struct lws_context *context;
    struct {
        char *ca_file;
        struct lws_vhost *vhost;
    } vhosts[VHOSTS_MAX];
} lws;

/* --- the end --- */

static void client_free(void *arg)
{
    struct ws_client *c = arg;
    LIST_FOREACH_SAFE(it, &c->queue)
    {
        mem_free(LIST_ENTRY(it, struct outgoing, link));
    }
    buf_done(&c->in);
    loop_timer_free(c->patience);
    mem_free(c->host);
    mem_free(c->path);
    mem_free(c->ca_file);
    mem_free(c->user_agent);
    mem_free(c);
}

static void client_over(struct ws_client *c, int code, const char *reason)
{
    if (c->over)
        return;
    c->over = true;
    c->open = false;
    loop_timer_stop(c->patience);
    if (c->wsi)
        lws_set_wsi_user(c->wsi, NULL);
    c->wsi = NULL;
    c->cb.on_close(c, code, reason, c->arg);
    if (!c->looking_up)
        loop_post(client_free, c);
}

/* Ends what libwebsockets still holds: its callback with no user closes it. */
static void client_cut(struct ws_client *c, int code, const char *reason)
{
    struct lws *wsi = c->wsi;
    client_over(c, code, reason);
    if (wsi)
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

static void connect_now(void *arg);

/* An address did not work: the name's next one, or the end. */
static void connect_failed(struct ws_client *c, const char *reason)
{
    if (c->over || c->next_posted)
        return;
    if (c->address_at + 1 >= c->address_count) {
        client_over(c, 1006, reason);
        return;
    }
    if (c->wsi)
        lws_set_wsi_user(c->wsi, NULL);
    c->wsi = NULL;
    c->address_at++;
    c->next_posted = true;
    loop_post(connect_now, c);
}

/* --- libwebsockets' events --- */

static int on_receive(struct ws_client *c, struct lws *wsi, const void *data, size_t n)
{
    buf_add(&c->in, data, n);
    if (buf_failed(&c->in)) {
        c->close_code = 1009;
        snprintf(c->close_reason, sizeof c->close_reason, "message too big");
        lws_close_reason(wsi, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, NULL, 0);
        return -1;
    }
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi))
        return 0;
    struct buf whole = c->in;
    buf_init(&c->in, c->payload_max);
    c->cb.on_message(c, buf_str(&whole), lws_frame_is_binary(wsi), c->arg);
    if (c->over || c->in.data)
        buf_done(&whole);
    else
        c->in = whole; /* keeps the memory for the next one */
    buf_clear(&c->in);
    return 0;
}

/* The close frame is written here and the peer's awaited: libwebsockets drops the socket without a word when the
 * WRITEABLE callback asks it to close. */
static int close_write(struct ws_client *c, struct lws *wsi)
{
    unsigned char frame[LWS_PRE + CLOSE_HEAD_BYTES + 2 + sizeof c->close_reason], *p = frame + LWS_PRE, *mask = p + 2;
    unsigned char *payload = p + CLOSE_HEAD_BYTES;
    size_t n = 2 + strlen(c->close_reason);

    p[0] = 0x88;
    p[1] = (unsigned char)(0x80 | n);
    if (lws_get_random(lws.context, mask, 4) != 4)
        memset(mask, 0, 4);
    payload[0] = (unsigned char)(c->close_code >> 8);
    payload[1] = (unsigned char)c->close_code;
    memcpy(payload + 2, c->close_reason, n - 2);
    for (size_t i = 0; i < n; i++)
        payload[i] ^= mask[i % 4];
    if (lws_write(wsi, p, CLOSE_HEAD_BYTES + n, LWS_WRITE_RAW) < 0)
        return -1;
    c->close_sent = true;
    return 0;
}

static int on_writeable(struct ws_client *c, struct lws *wsi)
{
    struct list *first = list_first(&c->queue);
    if (first) {
        struct outgoing *o = LIST_ENTRY(first, struct outgoing, link);
        list_remove(first);
        c->queue_bytes -= o->len;
        int r = lws_write(wsi, o->bytes + LWS_PRE, o->len, o->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
        mem_free(o);
        if (r < 0)
            return -1;
        if (!list_empty(&c->queue) || c->closing)
            lws_callback_on_writable(wsi);
        return 0;
    }
    return c->closing && !c->close_sent ? close_write(c, wsi) : 0;
}

static void on_peer_close(struct ws_client *c, const unsigned char *data, size_t n)
{
    if (c->closing)
        return;
    c->close_code = n >= 2 ? data[0] << 8 | data[1] : 1005;
    snprintf(c->close_reason, sizeof c->close_reason, "%.*s", n > 2 ? (int)(n - 2) : 0,
             n > 2 ? (const char *)data + 2 : "");
}

static int on_append_headers(struct ws_client *c, struct lws *wsi, void *in, size_t len)
{
    unsigned char **p = in, *end = *p + len;
    return lws_add_http_header_by_name(wsi, (const unsigned char *)"User-Agent:", (unsigned char *)c->user_agent,
                                       (int)strlen(c->user_agent), p, end)
               ? -1
               : 0;
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct ws_client *c = user;
    if (!c)
        return reason == LWS_CALLBACK_CLIENT_RECEIVE || reason == LWS_CALLBACK_CLIENT_WRITEABLE ? -1 : 0;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return on_append_headers(c, wsi, in, len);
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        c->open = true;
        loop_timer_stop(c->patience);
        c->cb.on_open(c, c->arg);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return on_receive(c, wsi, in, len);
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return on_writeable(c, wsi);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        on_peer_close(c, in, len);
        return c->closing ? -1 : 0; /* the answer to ours: nothing more to be said */
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        snprintf(c->close_reason, sizeof c->close_reason, "%.*s", (int)(len ? len : 0), in ? (const char *)in : "");
        connect_failed(c, *c->close_reason ? c->close_reason : "cannot connect");
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY:
        client_over(c, c->close_code ? c->close_code : 1006, c->close_reason);
        return 0;
    default:
        return 0;
    }
}

/* --- connecting --- */

static const struct lws_protocols protocols[] = {{"guildhall", on_lws, 0, RX_BUFFER_BYTES, 0, NULL, 0},
                                                 {NULL, NULL, 0, 0, 0, NULL, 0}};

static struct lws_context *context_get(void)
{
    static void *foreign[1];
    if (lws.context)
        return lws.context;
    struct lws_context_creation_info info = {0};
    foreign[0] = loop_uv();
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_VALIDATE_UTF8;
    info.foreign_loops = foreign;
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.gid = info.uid = -1;
    lws_set_log_level(0, NULL);
    lws.context = lws_create_context(&info);
    CHECK_MSG(lws.context, "libwebsockets has no libuv support: is its evlib plugin installed?");
    return lws.context;
}

/* NULL: the CA file cannot be read, or too many of them. */
static struct lws_vhost *vhost_get(const char *ca_file)
{
    int i = 0;
    for (; i < VHOSTS_MAX && lws.vhosts[i].vhost; i++)
        if (strcmp(lws.vhosts[i].ca_file, ca_file ? ca_file : "") == 0)
            return lws.vhosts[i].vhost;
    if (i == VHOSTS_MAX || (ca_file && access(ca_file, R_OK) != 0))
        return NULL;
    struct lws_context_creation_info info = {0};
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = protocols;
    info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.client_ssl_ca_filepath = ca_file;
    info.vhost_name = ca_file ? ca_file : "default";
    struct lws_context *context = context_get();
    struct lws_vhost *vhost = lws_create_vhost(context, &info);
    if (!vhost)
        return NULL;
    info.client_ssl_ca_filepath = ca_file;
    lws_init_vhost_client_ssl(&info, vhost);
    lws.vhosts[i].ca_file = mem_strdup(ca_file ? ca_file : "");
    lws.vhosts[i].vhost = vhost;
    return vhost;
}

static void connect_now(void *arg)
{
    struct ws_client *c = arg;
    char host[300];
    bool standard_port = c->port == (c->tls ? 443 : 80);

    c->next_posted = false;
    if (c->over)
        return; /* its client_free was posted behind this */
    bool v6 = strchr(c->host, ':') != NULL;
    int n = snprintf(host, sizeof host, v6 ? "[%s]" : "%s", c->host);
    if (!standard_port)
        snprintf(host + n, sizeof host - (size_t)n, ":%d", c->port);
    struct lws_client_connect_info i = {0};
    i.context = context_get();
    i.vhost = vhost_get(c->tls ? c->ca_file : NULL);
    if (!i.vhost) {
        client_over(c, 1006, "cannot read the CA file");
        return;
    }
    i.address = c->addresses[c->address_at];
    i.port = c->port;
    i.path = c->path;
    i.host = host;
    /* another host's name would be looked up blocking, and gets none of what was meant for this one */
    i.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT | (c->tls ? LCCSCF_USE_SSL : 0);
    i.local_protocol_name = "guildhall";
    i.alpn = "http/1.1";
    i.userdata = c;
    i.pwsi = &c->wsi;
    if (!lws_client_connect_via_info(&i))
        connect_failed(c, "cannot connect");
}

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct ws_client *c = req->data;
    c->looking_up = false;
    if (c->over) {
        uv_freeaddrinfo(found);
        loop_post(client_free, c);
        return;
    }
    for (const struct addrinfo *a = status < 0 ? NULL : found; a && c->address_count < ADDRESSES_MAX; a = a->ai_next)
        if (getnameinfo(a->ai_addr, a->ai_addrlen, c->addresses[c->address_count], INET6_ADDRSTRLEN, NULL, 0,
                        NI_NUMERICHOST) == 0)
            c->address_count++;
    uv_freeaddrinfo(found);
    if (c->address_count > 0)
        connect_now(c);
    else
        client_over(c, 1006, "no address for the host's name");
}

static void on_patience_over(void *arg)
{
    struct ws_client *c = arg;

    if (c->closing)
        client_cut(c, c->close_code, c->close_reason);
    else
        client_cut(c, 1006, "connecting took too long");
}

static void lookup_start(void *arg)
{
    struct ws_client *c = arg;
    if (c->over)
        return; /* its client_free was posted behind this */
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    c->lookup.data = c;
    c->looking_up = uv_getaddrinfo(loop_uv(), &c->lookup, on_lookup, c->host, NULL, &hints) == 0;
    if (!c->looking_up)
        client_over(c, 1006, "no address for the host's name");
}

/* ws://host[:port]/path or wss://... */
static int url_read(struct ws_client *c, const char *url)
{
    c->tls = strncmp(url, "wss://", 6) == 0;
    if (!c->tls && strncmp(url, "ws://", 5) != 0)
        return -EINVAL;
    const char *host = url + (c->tls ? 6 : 5);
    size_t n = strcspn(host, "/?#");
    const char *path = host + n, *colon = memrchr(host, ':', n), *bracket = memchr(host, ']', n);
    c->port = c->tls ? 443 : 80;
    size_t host_n = n;
    if (colon && (!bracket || colon > bracket)) {
        uint64_t port;
        if (str_to_u64((struct str){colon + 1, (size_t)(host + n - colon - 1)}, &port) < 0 || port == 0 || port > 65535)
            return -EINVAL;
        c->port = (int)port;
        host_n = (size_t)(colon - host);
    }
    if (host_n >= 2 && host[0] == '[' && host[host_n - 1] == ']') {
        host++;
        host_n -= 2;
    }
    if (!host_n || host_n > 255)
        return -EINVAL;
    c->host = mem_strndup(host, host_n);
    struct buf b = {0};
    buf_addf(&b, "%s%s", *path == '/' ? "" : "/", path);
    c->path = buf_steal(&b, &n);
    return 0;
}

struct ws_client *ws_client_connect(const struct ws_client_options *o, struct buf *err)
{
    struct ws_client *c = MEM_NEW(struct ws_client);
    c->cb = o->cb;
    c->arg = o->arg;
    c->payload_max = o->payload_max;
    c->queue_bytes_max = o->queue_bytes_max;
    c->ca_file = o->ca_file ? mem_strdup(o->ca_file) : NULL;
    c->user_agent = mem_strdup(o->user_agent ? o->user_agent : "guildhall/" GUILDHALL_VERSION);
    list_init(&c->queue);
    buf_init(&c->in, o->payload_max);
    c->patience = loop_timer_new(on_patience_over, c);
    if (url_read(c, o->url) < 0) {
        buf_addf(err, "not a ws:// or wss:// URL: %s", o->url);
        client_free(c);
        return NULL;
    }
    loop_timer_start(c->patience, o->connect_timeout_ms, 0);
    loop_post(lookup_start, c);
    return c;
}

int ws_client_send(struct ws_client *c, bool binary, struct str data)
{
    if (!c->open || c->closing)
        return -EPIPE;
    if (c->queue_bytes + data.n > c->queue_bytes_max)
        return -ENOBUFS;
    struct outgoing *o = mem_alloc(sizeof *o + LWS_PRE + data.n);
    o->binary = binary;
    o->len = data.n;
    memcpy(o->bytes + LWS_PRE, data.p, data.n);
    list_append(&c->queue, &o->link);
    c->queue_bytes += data.n;
    lws_callback_on_writable(c->wsi);
    return 0;
}

void ws_client_pause(struct ws_client *c, bool paused)
{
    if (c->open && !c->over)
        lws_rx_flow_control(c->wsi, paused ? 0 : 1);
}

void ws_client_close(struct ws_client *c, int code, const char *reason)
{
    if (c->over || c->closing)
        return;
    c->closing = true;
    c->close_code = code;
    snprintf(c->close_reason, sizeof c->close_reason, "%s", reason ? reason : "");
    if (!c->open) {
        client_cut(c, code, "closed before it was open");
        return;
    }
    /* also for a peer that reads nothing: then our close frame is never written */
    loop_timer_start(c->patience, LIMIT_WS_CLIENT_CLOSE_MS, 0);
    lws_callback_on_writable(c->wsi);
}

void ws_client_abort(struct ws_client *c)
{
    if (!c->over)
        client_cut(c, 1006, "aborted");
}
