/* Blocking sockets with just enough HTTP and WebSocket. */
#include "tests/bench/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(1);
}

int net_try(int port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(0x7f000001)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

int net_connect_from(unsigned address, int port)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001 + address)};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(0x7f000001)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

int net_connect(int port)
{
    return net_connect_from(0, port);
}

int net_listen(int *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        die("listen");
    *ret_port = ntohs(a.sin_port);
    return fd;
}

void net_write(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n) {
        ssize_t k = write(fd, at, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            die("write");
        at += k;
        n -= (size_t)k;
    }
}

static void read_all(int fd, char *p, size_t n)
{
    while (n) {
        ssize_t k = read(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            die("read");
        p += k;
        n -= (size_t)k;
    }
}

/* --- HTTP --- */

void http_send(int fd, const char *method, const char *path, const char *token, const char *body)
{
    char head[2048];
    int n = snprintf(head, sizeof head,
                     "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: %s\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     method, path, token ? token : "", body ? strlen(body) : 0, body ? body : "");
    net_write(fd, head, (size_t)n);
}

int http_receive(int fd, char *buf, size_t cap)
{
    size_t len = 0;
    char *end = NULL;
    while (!end && len < cap - 1) {
        ssize_t k = read(fd, buf + len, cap - 1 - len);
        if (k <= 0)
            die("http read");
        len += (size_t)k;
        buf[len] = '\0';
        end = strstr(buf, "\r\n\r\n");
    }
    const char *length = strcasestr(buf, "content-length:");
    size_t whole = (size_t)(end - buf) + 4 + (length ? strtoul(length + 15, NULL, 10) : 0);
    if (whole >= cap) {
        fprintf(stderr, "bench: answer too long\n");
        exit(1);
    }
    if (whole > len)
        read_all(fd, buf + len, whole - len);
    buf[whole] = '\0';
    return atoi(buf + 9);
}

int http_request(int fd, const char *method, const char *path, const char *token, const char *body, char *buf,
                 size_t cap)
{
    http_send(fd, method, path, token, body);
    return http_receive(fd, buf, cap);
}

/* --- WebSocket --- */

size_t ws_read_frame(int fd, char *buf, size_t cap)
{
    unsigned char h[10];
    read_all(fd, (char *)h, 2);
    size_t n = h[1] & 127;
    if (n == 126) {
        read_all(fd, (char *)h + 2, 2);
        n = (size_t)h[2] << 8 | h[3];
    } else if (n == 127) {
        read_all(fd, (char *)h + 2, 8);
        n = 0;
        for (int i = 2; i < 10; i++)
            n = n << 8 | h[i];
    }
    if (n >= cap || (h[0] & 15) == 8) {
        fprintf(stderr, "bench: the gateway closed the session\n");
        exit(1);
    }
    read_all(fd, buf, n);
    buf[n] = '\0';
    return n;
}

static void ws_send(int fd, unsigned char opcode, const char *payload, size_t n)
{
    unsigned char frame[1024] = {opcode, (unsigned char)(0x80 | 126), (unsigned char)(n >> 8), (unsigned char)n};
    memcpy(frame + 8, payload, n); /* the mask is 0: what is masked is what is sent */
    net_write(fd, frame, n + 8);
}

void ws_send_text(int fd, const char *text)
{
    ws_send(fd, 0x81, text, strlen(text));
}

size_t ws_frame_length(const unsigned char *h, size_t n, size_t *ret_head)
{
    size_t length = n >= 2 ? h[1] & 127u : 0;
    *ret_head = length == 126 ? 4 : length == 127 ? 10 : 2;
    if (n < *ret_head)
        return 0;
    if (length == 126)
        return (size_t)h[2] << 8 | h[3];
    if (length < 126)
        return length;
    length = 0;
    for (int i = 2; i < 10; i++)
        length = length << 8 | h[i];
    return length;
}

int gateway_identify(int port, const char *token, unsigned intents, unsigned shard, unsigned shards)
{
    static char buf[4096];
    char identify[700];
    int fd = net_connect(port);
    ws_upgrade(fd, "/gateway?v=10&encoding=json");
    ws_read_frame(fd, buf, sizeof buf); /* HELLO */
    snprintf(identify, sizeof identify,
             "{\"op\":2,\"d\":{\"token\":\"%s\",\"intents\":%u,\"shard\":[%u,%u],\"properties\":{\"os\":\"linux\","
             "\"browser\":\"bench\",\"device\":\"bench\"}}}",
             token, intents, shard, shards);
    ws_send_text(fd, identify);
    return fd;
}

void ws_upgrade(int fd, const char *path)
{
    char request[512], c;
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
                     path);
    net_write(fd, request, (size_t)n);
    for (unsigned ends = 0; ends < 4; ends = c == "\r\n\r\n"[ends] ? ends + 1 : 0)
        read_all(fd, &c, 1);
}

/* {op: 2, d: {token, intents: 33281, properties: {}}} */
static void identify_etf(int fd, const char *token)
{
    static const char before[] = "\x83t\0\0\0\2m\0\0\0\2opa\2m\0\0\0\1dt\0\0\0\3m\0\0\0\7intentsb\0\0\x82\1"
                                 "m\0\0\0\x0Apropertiest\0\0\0\0m\0\0\0\5tokenm\0\0\0";
    char term[600];
    size_t n = strlen(token);
    memcpy(term, before, sizeof before - 1);
    term[sizeof before - 1] = (char)n;
    memcpy(term + sizeof before, token, n);
    ws_send(fd, 0x82, term, sizeof before + n);
}

void identify_json(int fd, const char *token)
{
    char text[600];
    snprintf(
        text, sizeof text,
        "{\"op\":2,\"d\":{\"token\":\"%s\",\"intents\":33281,\"properties\":{\"os\":\"linux\",\"browser\":\"bench\","
        "\"device\":\"bench\"}}}",
        token);
    ws_send_text(fd, text);
}

int gateway_session(int port, const char *token, const char *query)
{
    static char buf[1 << 20];
    char path[128];
    bool etf = strstr(query, "encoding=etf"), text = !etf && !strstr(query, "-stream");
    int fd = net_connect(port);
    snprintf(path, sizeof path, "/gateway?v=10%s%s", etf ? "" : "&encoding=json", query);
    ws_upgrade(fd, path);
    (etf ? identify_etf : identify_json)(fd, token);
    bool there = false;
    for (int frames = 1; !there; frames++) {
        ws_read_frame(fd, buf, sizeof buf);
        there = text ? strstr(buf, "\"t\":\"GUILD_CREATE\"") != NULL : frames == 3; /* HELLO, READY, GUILD_CREATE */
    }
    return fd;
}
