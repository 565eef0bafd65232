/* One AMQP connection in a thread of its own: connects (so that stopping can interrupt it), logs in, declares the
 * topology, lets its owner work, and begins anew with a growing pause. Limits: LIMIT_AMQP_*. */
#include "platform/io/amqp_link.h"

#include "platform/base/check.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/io/loop.h"
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define THREAD_STACK_BYTES ((size_t)256 << 10)

bool amqp_link_stopping(struct amqp_link *l)
{
    pthread_mutex_lock(&l->lock);
    bool stop = l->stop;
    pthread_mutex_unlock(&l->lock);
    return stop;
}

bool amqp_link_connected(const struct amqp_link *l)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&l->lock;

    pthread_mutex_lock(lock);
    bool connected = l->connected;
    pthread_mutex_unlock(lock);
    return connected;
}

void amqp_link_wake(struct amqp_link *l)
{
    uint64_t one = 1;

    CHECK(write(l->wake, &one, sizeof(one)) == (ssize_t)sizeof(one) || errno == EAGAIN);
}

static void wake_clear(struct amqp_link *l)
{
    uint64_t count;

    CHECK(read(l->wake, &count, sizeof(count)) == (ssize_t)sizeof(count) || errno == EAGAIN);
}

/* fd -1: only the wake-up. Returns fd's events. */
static short wait_for(struct amqp_link *l, int fd, short events, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = l->wake, .events = POLLIN}, {.fd = fd, .events = events}};
    int n = poll(fds, fd < 0 ? 1 : 2, timeout_ms);

    CHECK(n >= 0 || errno == EINTR);
    if (n > 0 && fds[0].revents)
        wake_clear(l);
    return n > 0 ? fds[1].revents : 0;
}

void amqp_link_wait(struct amqp_link *l, int timeout_ms)
{
    if (!amqp_data_in_buffer(l->conn) && !amqp_frames_enqueued(l->conn))
        wait_for(l, amqp_get_sockfd(l->conn), POLLIN, timeout_ms);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

int amqp_link_fail(struct amqp_link *l, const char *what, int status)
{
    snprintf(l->error, sizeof(l->error), "%s: %s", what, amqp_error_string2(status));
    return -EIO;
}

static int fail_closed(struct amqp_link *l, const char *what, const amqp_method_t *m)
{
    amqp_bytes_t text = amqp_cstring_bytes("unexpected method");
    int code = 0;

    if (m->id == AMQP_CONNECTION_CLOSE_METHOD) {
        text = ((const amqp_connection_close_t *)m->decoded)->reply_text;
        code = ((const amqp_connection_close_t *)m->decoded)->reply_code;
    } else if (m->id == AMQP_CHANNEL_CLOSE_METHOD) {
        text = ((const amqp_channel_close_t *)m->decoded)->reply_text;
        code = ((const amqp_channel_close_t *)m->decoded)->reply_code;
    } else if (m->id == AMQP_BASIC_CANCEL_METHOD) {
        what = "queue is gone";
        text = ((const amqp_basic_cancel_t *)m->decoded)->consumer_tag;
    }
    snprintf(l->error, sizeof(l->error), "%s: %d %.*s", what, code, (int)text.len, (const char *)text.bytes);
    return -EIO;
}

int amqp_link_check(struct amqp_link *l, const char *what, amqp_rpc_reply_t reply)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return 0;
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id != 0)
        return fail_closed(l, what, &reply.reply);
    return amqp_link_fail(l, what, reply.library_error);
}

int amqp_link_unexpected(struct amqp_link *l, const amqp_frame_t *frame)
{
    if (frame->frame_type == AMQP_FRAME_METHOD)
        return fail_closed(l, "closed by the broker", &frame->payload.method);
    snprintf(l->error, sizeof(l->error), "unexpected frame");
    return -EIO;
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

static void socket_share(struct amqp_link *l, int fd)
{
    pthread_mutex_lock(&l->lock);
    l->socket = fd;
    pthread_mutex_unlock(&l->lock);
}

static int connect_one(struct amqp_link *l, const struct addrinfo *a)
{
    int one = 1, error = 0, silence = LIMIT_AMQP_SILENCE_MS;
    socklen_t size = sizeof(error);
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    /* rabbitmq-c has no deadline for sending; a peer that takes nothing for so long is dead */
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof(silence));
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS)
        error = errno;
    else if (!(wait_for(l, fd, POLLOUT, LIMIT_AMQP_CONNECT_MS) & POLLOUT))
        error = ETIMEDOUT;
    else
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0)
        return fd;
    close(fd);
    return -error;
}

static int connect_any(struct amqp_link *l)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
    char port[16];
    int fd = -EHOSTUNREACH;

    snprintf(port, sizeof(port), "%d", l->at.port);
    int status = getaddrinfo(l->at.host, port, &hints, &found);
    if (status != 0) {
        snprintf(l->error, sizeof(l->error), "cannot resolve the name: %s", gai_strerror(status));
        return -EHOSTUNREACH;
    }
    for (const struct addrinfo *a = found; a && fd < 0 && !amqp_link_stopping(l); a = a->ai_next)
        fd = connect_one(l, a);
    freeaddrinfo(found);
    if (fd < 0)
        snprintf(l->error, sizeof(l->error), "cannot connect: %s", strerror(-fd));
    return fd;
}

static int declare_queue(struct amqp_link *l, const struct amqp_declare *d)
{
    amqp_table_entry_t e[5];
    amqp_table_t arguments = {.entries = e};

#define ARGUMENT(name_, kind_, field_, value_)                                                                         \
    e[arguments.num_entries++] = (amqp_table_entry_t)                                                                  \
    {                                                                                                                  \
        .key = amqp_cstring_bytes(name_), .value = {.kind = (kind_), .value.field_ = (value_) }                        \
    }
    if (d->expires_ms)
        ARGUMENT("x-expires", AMQP_FIELD_KIND_I64, i64, d->expires_ms);
    if (d->max_length)
        ARGUMENT("x-max-length", AMQP_FIELD_KIND_I64, i64, d->max_length);
    if (d->overflow)
        ARGUMENT("x-overflow", AMQP_FIELD_KIND_UTF8, bytes, amqp_cstring_bytes(d->overflow));
    if (d->dead_letter_exchange)
        ARGUMENT("x-dead-letter-exchange", AMQP_FIELD_KIND_UTF8, bytes, amqp_cstring_bytes(d->dead_letter_exchange));
    if (d->single_active_consumer)
        ARGUMENT("x-single-active-consumer", AMQP_FIELD_KIND_BOOLEAN, boolean, 1);
#undef ARGUMENT
    amqp_queue_declare(l->conn, AMQP_LINK_CHANNEL, amqp_cstring_bytes(d->name), 0, d->durable, d->exclusive,
                       d->auto_delete, arguments);
    return amqp_link_check(l, d->name, amqp_get_rpc_reply(l->conn));
}

static int declare(struct amqp_link *l, const struct amqp_declare *d)
{
    switch (d->what) {
    case AMQP_EXCHANGE:
        amqp_exchange_declare(l->conn, AMQP_LINK_CHANNEL, amqp_cstring_bytes(d->name), amqp_cstring_bytes(d->type), 0,
                              d->durable, d->auto_delete, 0, amqp_empty_table);
        break;
    case AMQP_QUEUE:
        return declare_queue(l, d);
    case AMQP_BIND:
        amqp_queue_bind(l->conn, AMQP_LINK_CHANNEL, amqp_cstring_bytes(d->name), amqp_cstring_bytes(d->exchange),
                        amqp_cstring_bytes(d->routing_key), amqp_empty_table);
        break;
    }
    return amqp_link_check(l, d->name, amqp_get_rpc_reply(l->conn));
}

static int log_in(struct amqp_link *l)
{
    amqp_table_entry_t capability = {.key = amqp_cstring_bytes("consumer_cancel_notify"),
                                     .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
    amqp_table_entry_t capabilities = {
        .key = amqp_cstring_bytes("capabilities"),
        .value = {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {.num_entries = 1, .entries = &capability}}};
    amqp_table_t properties = {.num_entries = 1, .entries = &capabilities};

    return amqp_link_check(l, "login",
                           amqp_login_with_properties(l->conn, l->at.vhost, 0, AMQP_DEFAULT_FRAME_SIZE,
                                                      LIMIT_AMQP_HEARTBEAT_S, &properties, AMQP_SASL_METHOD_PLAIN,
                                                      l->at.user, l->at.password));
}

static int link_connect(struct amqp_link *l)
{
    struct timeval wait = {.tv_sec = LIMIT_AMQP_CONNECT_MS / 1000, .tv_usec = LIMIT_AMQP_CONNECT_MS % 1000 * 1000};
    int fd = connect_any(l);

    if (fd < 0)
        return fd;
    l->conn = amqp_new_connection();
    amqp_socket_t *socket = l->conn ? amqp_tcp_socket_new(l->conn) : NULL;
    CHECK(socket != NULL);
    amqp_tcp_socket_set_sockfd(socket, fd);
    amqp_set_handshake_timeout(l->conn, &wait);
    amqp_set_rpc_timeout(l->conn, &wait);
    socket_share(l, fd);
    int error = log_in(l);
    if (error == 0) {
        amqp_channel_open(l->conn, AMQP_LINK_CHANNEL);
        error = amqp_link_check(l, "channel", amqp_get_rpc_reply(l->conn));
    }
    for (int i = 0; i < l->declare_count && error == 0; i++)
        error = declare(l, &l->declares[i]);
    return error == 0 ? l->steps->up(l->owner) : error;
}

static void link_close(struct amqp_link *l, bool goodbye)
{
    struct timeval wait = {.tv_usec = 500000};

    if (!l->conn)
        return;
    if (goodbye) {
        amqp_set_rpc_timeout(l->conn, &wait);
        amqp_connection_close(l->conn, AMQP_REPLY_SUCCESS);
    }
    socket_share(l, -1);
    amqp_destroy_connection(l->conn); /* closes the socket */
    l->conn = NULL;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void set_connected(struct amqp_link *l, bool connected)
{
    pthread_mutex_lock(&l->lock);
    l->connected = connected;
    pthread_mutex_unlock(&l->lock);
}

static void report(struct amqp_link *l, bool connected)
{
    if (connected && l->complained)
        LOG_INFO("amqp_reachable", "host=%s port=%d", l->at.host, l->at.port);
    if (!connected && !l->complained && !amqp_link_stopping(l))
        LOG_WARN("amqp_unreachable", "host=%s port=%d why=\"%s\"", l->at.host, l->at.port, l->error);
    l->complained = !connected;
}

/* From one connection to its end. True: it had been of use. */
static bool link_live(struct amqp_link *l)
{
    bool up = link_connect(l) == 0;
    int error = up ? 0 : -EIO;

    if (up) {
        report(l, true);
        set_connected(l, true);
        while (error == 0 && !amqp_link_stopping(l))
            error = l->steps->turn(l->owner);
        set_connected(l, false);
        if (error == 0 && l->steps->bye)
            error = l->steps->bye(l->owner);
    }
    link_close(l, error == 0 || error == -EAGAIN);
    l->steps->down(l->owner);
    report(l, false);
    return up;
}

static void pause_for(struct amqp_link *l, int ms)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t end = now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000 + ms;
    for (int64_t left = ms; left > 0 && !amqp_link_stopping(l);) {
        wait_for(l, -1, 0, (int)left);
        l->steps->down(l->owner);
        clock_gettime(CLOCK_MONOTONIC, &now);
        left = end - (now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000);
    }
}

static void *link_main(void *arg)
{
    struct amqp_link *l = arg;
    int backoff_ms = LIMIT_AMQP_BACKOFF_FIRST_MS;

    loop_serve(l->loop);
    while (!amqp_link_stopping(l)) {
        if (link_live(l))
            backoff_ms = LIMIT_AMQP_BACKOFF_FIRST_MS;
        pause_for(l, backoff_ms);
        backoff_ms = backoff_ms * 2 < LIMIT_AMQP_BACKOFF_MS ? backoff_ms * 2 : LIMIT_AMQP_BACKOFF_MS;
    }
    return NULL;
}

/* ---- lifecycle --------------------------------------------------------------------------------------------------- */

int amqp_link_init(struct amqp_link *l, const char *url, const struct amqp_declare *declares, int declare_count,
                   const struct amqp_link_steps *steps, void *owner, struct buf *err)
{
    *l = (struct amqp_link){
        .declares = declares, .declare_count = declare_count, .steps = steps, .owner = owner, .wake = -1, .socket = -1};
    l->url = mem_strdup(url);
    if (amqp_parse_url(l->url, &l->at) != AMQP_STATUS_OK || l->at.ssl) {
        buf_adds(err, "amqp url: want amqp://user:password@host:port/vhost");
        mem_free(l->url);
        l->url = NULL;
        return -EINVAL;
    }
    CHECK(pthread_mutex_init(&l->lock, NULL) == 0);
    l->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(l->wake >= 0);
    return 0;
}

void amqp_link_start(struct amqp_link *l)
{
    pthread_attr_t attributes;
    sigset_t all, before;

    l->loop = loop_mine();
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES) == 0);
    /* signals are the loop thread's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CHECK(pthread_create(&l->thread, &attributes, link_main, l) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

void amqp_link_stop(struct amqp_link *l)
{
    struct timespec until;

    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_mutex_unlock(&l->lock);
    amqp_link_wake(l);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    if (pthread_timedjoin_np(l->thread, NULL, &until) == 0)
        return;
    pthread_mutex_lock(&l->lock);
    if (l->socket >= 0)
        shutdown(l->socket, SHUT_RDWR);
    pthread_mutex_unlock(&l->lock);
    CHECK(pthread_join(l->thread, NULL) == 0);
}

void amqp_link_done(struct amqp_link *l)
{
    close(l->wake);
    pthread_mutex_destroy(&l->lock);
    explicit_bzero(l->at.password, strlen(l->at.password));
    mem_free(l->url);
}
