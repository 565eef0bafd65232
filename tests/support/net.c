/* The loop thread and the blocking clients of the socket tests. */
#include "tests/support/net.h"

#include "tests/support/cm.h"

#include "platform/base/mem.h"
#include "platform/io/stream.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_t loop_thread;
static struct http_listener *listener;
static sem_t ready;

struct start {
    struct http_listener_options o;
    struct buf err;
    int result, port;
};

static void *loop_main(void *arg)
{
    struct start *s = arg;

    loop_init();
    s->result = http_listener_start(&s->o, &listener, &s->err);
    s->port = s->result == 0 ? http_listener_port(listener) : -1;
    sem_post(&ready);
    loop_run();
    loop_done();
    return NULL;
}

int net_serve(struct http_listener_options o)
{
    struct start s = {.o = o};

    if (!s.o.listen)
        s.o.listen = "127.0.0.1:0";
    sem_init(&ready, 0, 0);
    assert_int_equal(pthread_create(&loop_thread, NULL, loop_main, &s), 0);
    sem_wait(&ready);
    if (s.result < 0)
        fail_msg("%s", s.err.data);
    return s.port;
}

struct call {
    loop_fn fn;
    void *arg;
    sem_t done;
};

static void run_call(void *arg)
{
    struct call *c = arg;

    c->fn(c->arg);
    sem_post(&c->done);
}

void net_on_loop(loop_fn fn, void *arg)
{
    struct call c = {.fn = fn, .arg = arg};

    sem_init(&c.done, 0, 0);
    loop_post_threadsafe(run_call, &c);
    sem_wait(&c.done);
    sem_destroy(&c.done);
}

static struct loop_timer *gone_timer;
static int gone_polls;

/* A test that failed may have left sockets open: then it ends after a while all the same. */
static void stop_when_gone(void *arg)
{
    (void)arg;
    if (stream_count() > 0 && ++gone_polls < 2500)
        return;
    loop_timer_free(gone_timer);
    loop_stop();
}

static void listener_gone(void *arg)
{
    (void)arg;
    gone_polls = 0;
    gone_timer = loop_timer_new(stop_when_gone, NULL);
    loop_timer_start(gone_timer, 0, 2);
}

static void stop_listener(void *arg)
{
    http_listener_stop(listener, *(int64_t *)arg, listener_gone, NULL);
}

void net_stop_begin(int64_t grace_ms)
{
    net_on_loop(stop_listener, &grace_ms);
}

void net_stop_wait(void)
{
    pthread_join(loop_thread, NULL);
    sem_destroy(&ready);
}

void net_stop(int64_t grace_ms)
{
    net_stop_begin(grace_ms);
    net_stop_wait();
}

int net_connect(int port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval patience = {.tv_sec = 60};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

void net_send(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0)
            return; /* the server has cut: the test sees that when it reads */
        bytes = (struct str){bytes.p + n, bytes.n - (size_t)n};
    }
}

/* 1 = some, 0 = ended, -1 = nothing for a minute. */
static int read_some(int fd, struct buf *b)
{
    char *to = buf_reserve(b, 65536);
    assert_non_null(to);
    ssize_t n = recv(fd, to, 65536, 0);

    if (n < 0)
        return errno == ECONNRESET ? 0 : -1;
    b->len += (size_t)n;
    b->data[b->len] = 0;
    return n > 0;
}

bool net_read(int fd, struct buf *b, size_t want)
{
    while (b->len < want)
        if (read_some(fd, b) <= 0)
            return false;
    return true;
}

bool net_read_until(int fd, struct buf *b, const char *text)
{
    while (!b->data || !memmem(b->data, b->len, text, strlen(text)))
        if (read_some(fd, b) <= 0)
            return false;
    return true;
}

bool net_read_end(int fd, struct buf *b)
{
    int r;

    while ((r = read_some(fd, b)) > 0)
        ;
    return r == 0;
}

struct str net_answer_header(const struct net_answer *a, const char *name)
{
    struct str rest = buf_str(&a->head);
    size_t n = strlen(name);

    while (rest.n) {
        const char *eol = memmem(rest.p, rest.n, "\r\n", 2);
        struct str line = {rest.p, (size_t)(eol - rest.p)};
        if (line.n > n + 1 && line.p[n] == ':' && str_eq_nocase((struct str){line.p, n}, str_c(name)))
            return (struct str){line.p + n + 2, line.n - n - 2};
        rest = (struct str){eol + 2, rest.n - line.n - 2};
    }
    return STR_NONE;
}

bool net_read_answer(int fd, struct buf *b, bool to_head, struct net_answer *ret)
{
    uint64_t length = 0;

    net_answer_done(ret);
    if (!net_read_until(fd, b, "\r\n\r\n"))
        return false;
    size_t head = (size_t)((char *)memmem(b->data, b->len, "\r\n\r\n", 4) - b->data) + 2;
    buf_add(&ret->head, b->data, head);
    buf_consume(b, head + 2);
    ret->status = atoi(ret->head.data + strlen("HTTP/1.1 "));
    struct str declared = net_answer_header(ret, "Content-Length");
    if (declared.p && str_to_u64(declared, &length) < 0)
        return false;
    if (to_head)
        length = 0;
    if (!net_read(fd, b, length))
        return false;
    buf_add(&ret->body, b->data, length);
    buf_consume(b, length);
    return true;
}

void net_answer_done(struct net_answer *a)
{
    buf_done(&a->head);
    buf_done(&a->body);
    a->status = 0;
}
