/* A WebSocket server written by hand for the client's tests. */
#include "tests/support/ws_raw.h"

#include "tests/support/cm.h"
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    int listening, port;
    _Atomic int fd;
    _Atomic bool stopping;
    void (*talk)(int fd);
    pthread_t thread;
} raw;

static void *raw_main(void *arg)
{
    int fd = accept(raw.listening, NULL, NULL);

    (void)arg;
    if (fd < 0)
        return NULL;
    raw.fd = fd;
    raw.talk(fd);
    raw.fd = -1;
    close(fd);
    return NULL;
}

int ws_raw_serve(void (*talk)(int fd))
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);

    raw.talk = talk;
    raw.stopping = false;
    raw.fd = -1;
    raw.listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(raw.listening, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(raw.listening, 4), 0);
    assert_int_equal(getsockname(raw.listening, (struct sockaddr *)&a, &n), 0);
    raw.port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&raw.thread, NULL, raw_main, NULL), 0);
    return raw.port;
}

bool ws_raw_stopping(void)
{
    return raw.stopping;
}

int ws_raw_port(void)
{
    return raw.port;
}

void ws_raw_stop(void)
{
    int fd = raw.fd;

    raw.stopping = true;
    shutdown(raw.listening, SHUT_RDWR);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
    pthread_join(raw.thread, NULL);
    close(raw.listening);
}

static void read_head(int fd, char *head, size_t size)
{
    size_t n = 0;

    head[0] = 0;
    while (n + 1 < size && !strstr(head, "\r\n\r\n")) {
        ssize_t got = read(fd, head + n, size - 1 - n);
        if (got <= 0)
            return;
        n += (size_t)got;
        head[n] = 0;
    }
}

void ws_raw_send(int fd, struct str bytes)
{
    (void)!send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
}

void ws_raw_answer(int fd, const char *text)
{
    char head[4096];

    read_head(fd, head, sizeof(head));
    ws_raw_send(fd, str_c(text));
}

void ws_raw_handshake(int fd, char *request, size_t size, const char *more)
{
    char head[4096], text[128], accept_key[64], answer[512];
    unsigned char digest[SHA_DIGEST_LENGTH];

    read_head(fd, head, sizeof(head));
    if (request)
        snprintf(request, size, "%s", head);
    const char *key = strcasestr(head, "sec-websocket-key: ");
    snprintf(text, sizeof(text), "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key ? key + 19 : "");
    SHA1((const unsigned char *)text, strlen(text), digest);
    EVP_EncodeBlock((unsigned char *)accept_key, digest, sizeof(digest));
    int n = snprintf(answer, sizeof(answer),
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n%s",
                     accept_key, more);
    ws_raw_send(fd, (struct str){answer, (size_t)n});
}

size_t ws_raw_read(int fd, char *to, size_t size)
{
    ssize_t n = read(fd, to, size);

    return n > 0 ? (size_t)n : 0;
}

void ws_raw_wait_end(int fd)
{
    char bytes[4096];

    while (read(fd, bytes, sizeof(bytes)) > 0)
        ;
}
