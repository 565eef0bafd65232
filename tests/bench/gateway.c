/* A gateway that sends a shard process what a benchmark wants, in a process of its own with a thread for each
 * connection: enough of HTTP and WebSocket for our shard, also with zlib-stream. */
#include "tests/bench/bench.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

static struct str deflated(struct gateway_session *s, struct str text, unsigned char *out, size_t size)
{
    z_stream *z = s->deflate;

    z->next_in = (Bytef *)(uintptr_t)text.p;
    z->avail_in = (uInt)text.n;
    z->next_out = out;
    z->avail_out = (uInt)size;
    deflate(z, Z_SYNC_FLUSH);
    return (struct str){(char *)out, size - z->avail_out};
}

void gateway_say(struct gateway_session *s, struct str text)
{
    unsigned char compressed[8192];

    if (s->deflate)
        text = deflated(s, text, compressed, sizeof compressed);
    unsigned char head[4] = {s->deflate ? 0x82 : 0x81, 126, (unsigned char)(text.n >> 8), (unsigned char)text.n};

    if (text.n < 126)
        head[1] = (unsigned char)text.n;
    buf_add(&s->out, head, text.n < 126 ? 2 : 4);
    buf_add_str(&s->out, text);
}

void gateway_flush(struct gateway_session *s)
{
    net_write(s->fd, s->out.data, s->out.len);
    buf_clear(&s->out);
}

static void upgrade(struct gateway_session *s, const char *request)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const char *key = strcasestr(request, "sec-websocket-key: ");
    char text[128], accept[64];
    unsigned char digest[SHA_DIGEST_LENGTH];

    snprintf(text, sizeof text, "%.24s%s", key + 19, guid);
    SHA1((const unsigned char *)text, strlen(text), digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    buf_addf(&s->out,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
             "%s\r\n\r\n",
             accept);
    gateway_flush(s);
    usleep(20000); /* HELLO in a segment of its own */
}

/* False: the shard has gone. */
static bool listen_a_while(int fd)
{
    char in[8192];
    fd_set set;
    struct timeval wait = {.tv_usec = 1000};

    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &wait) <= 0 || recv(fd, in, sizeof in, MSG_DONTWAIT) > 0;
}

static void session_run(struct gateway *g, int fd, const char *request)
{
    struct gateway_session s = {.gateway = g, .fd = fd, .seq = 1, .out = BUF_INIT(1 << 20)};
    char text[256];
    z_stream z = {0};

    if (strstr(request, "compress=zlib-stream") && deflateInit(&z, 1) == Z_OK)
        s.deflate = &z;
    upgrade(&s, request);
    gateway_say(&s, STR("{\"op\":10,\"d\":{\"heartbeat_interval\":600000}}"));
    gateway_flush(&s);
    if (read(fd, text, sizeof text) > 0) {
        unsigned number = __atomic_add_fetch(&g->identified, 1, __ATOMIC_SEQ_CST);
        snprintf(text, sizeof text,
                 "{\"t\":\"READY\",\"s\":1,\"op\":0,\"d\":{\"session_id\":\"bench%u\",\"resume_gateway_url\":\"ws://"
                 "127.0.0.1:1\",\"guilds\":[]}}",
                 number);
        gateway_say(&s, str_c(text));
        gateway_flush(&s);
        while (listen_a_while(fd))
            g->turn(&s);
    }
    if (s.deflate)
        deflateEnd(&z);
    buf_done(&s.out);
}

struct connection {
    struct gateway *gateway;
    int fd;
};

static void answer(const struct gateway *g, int fd, const char *request)
{
    char body[1024], head[256];

    if (strstr(request, "/applications/@me"))
        snprintf(body, sizeof body, "{\"id\":\"%d\"}", BENCH_APPLICATION);
    else
        snprintf(body, sizeof body,
                 "{\"url\":\"ws://127.0.0.1:%d\",\"shards\":%u,\"session_start_limit\":{\"total\":1000,\"remaining\":"
                 "1000,\"reset_after\":0,\"max_concurrency\":64}}",
                 g->port, g->shards);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             strlen(body));
    net_write(fd, head, strlen(head));
    net_write(fd, body, strlen(body));
}

static void *connection_main(void *arg)
{
    struct connection own = *(struct connection *)arg;
    char request[8192];
    ssize_t n;
    int on = 1;

    free(arg);
    setsockopt(own.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    while ((n = read(own.fd, request, sizeof request - 1)) > 0) {
        request[n] = 0;
        if (strcasestr(request, "sec-websocket-key")) {
            session_run(own.gateway, own.fd, request);
            break;
        }
        answer(own.gateway, own.fd, request);
    }
    close(own.fd);
    return NULL;
}

static _Noreturn void serve(struct gateway *g, int listener)
{
    for (;;) {
        pthread_t thread;
        struct connection *c = malloc(sizeof *c);
        *c = (struct connection){g, accept(listener, NULL, NULL)};
        if (c->fd >= 0 && pthread_create(&thread, NULL, connection_main, c) == 0)
            pthread_detach(thread);
    }
}

struct gateway *gateway_start(void (*turn)(struct gateway_session *s))
{
    int pid, port;
    int listener = net_listen(&port);
    struct gateway *g = mmap(NULL, sizeof *g, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    g->port = port;
    g->turn = turn;
    fflush(stdout);
    pid = fork();
    if (pid) {
        close(listener);
        g->pid = pid;
        return g;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    serve(g, listener);
}

int gateway_shard_start(struct gateway *g, const char *program, unsigned shards)
{
    char upstream[64];
    int pid;

    g->shards = shards;
    g->identified = 0;
    snprintf(upstream, sizeof upstream, "http://127.0.0.1:%d/api", g->port);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("DISCORD_TOKEN", BENCH_TOKEN, 1);
        if (!freopen("/dev/null", "w", stdout))
            _exit(127);
        execl(program, "guildhall", "shard", "--upstream", upstream, "--redis-url", getenv("REDIS_URL"), "--amqp-url",
              getenv("AMQP_URL"), "--compress", g->compressed ? "zlib-stream" : "off", "--shards-max", "64",
              "--intents", "33280", "--log-level", "warn", (char *)NULL);
        _exit(127);
    }
    return pid;
}

void process_end(int pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

struct str event_body(struct buf *b, unsigned n, uint64_t stamp)
{
    unsigned long long guild = (unsigned long long)(1 + n % BENCH_GUILDS) << 22, id = (unsigned long long)n << 22 | 1;

    buf_clear(b);
    buf_addf(
        b,
        "{\"id\":\"%llu\",\"type\":0,\"content\":\"the quick brown fox jumps over the lazy dog, number %u\","
        "\"channel_id\":\"%llu\",\"guild_id\":\"%llu\",\"author\":{\"id\":\"100000000000000001\",\"username\":"
        "\"alice\",\"discriminator\":\"0\",\"global_name\":\"Alice\",\"avatar\":null,\"public_flags\":0},\"member\":{"
        "\"roles\":[\"100000000000000031\",\"100000000000000032\"],\"joined_at\":\"2026-01-01T00:00:00.000000+00:00\","
        "\"deaf\":false,\"mute\":false,\"nick\":null,\"flags\":0},\"attachments\":[],\"embeds\":[],\"mentions\":[],"
        "\"mention_roles\":[],\"mention_everyone\":false,\"pinned\":false,\"tts\":false,\"timestamp\":"
        "\"2026-01-01T00:00:00.000000+00:00\",\"edited_timestamp\":null,\"flags\":0,\"components\":[],\"nonce\":\"%"
        "llu\"}",
        id, n, guild | 7, guild, (unsigned long long)stamp);
    return buf_str(b);
}

void gateway_say_event(struct gateway_session *s, unsigned n, uint64_t stamp)
{
    BUF_AUTO struct buf body = BUF_INIT(1 << 16), text = BUF_INIT(1 << 16);

    buf_addf(&text, "{\"t\":\"MESSAGE_CREATE\",\"s\":%llu,\"op\":0,\"d\":", (unsigned long long)++s->seq);
    buf_add_str(&text, event_body(&body, n, stamp));
    buf_addc(&text, '}');
    gateway_say(s, buf_str(&text));
}
