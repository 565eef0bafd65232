/* Benchmarks: small blocking clients and one epoll receiver, in plain C, so that what is measured is the server. Every
 * figure that says how fast is a ratio taken in one run. Single-threaded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- net.c: sockets, HTTP, WebSocket
 * ---------------------------------------------------------------------------------- */
int net_connect(int port); /* 127.0.0.1, blocking, TCP_NODELAY; exits on failure */
int net_listen(int *ret_port);
void net_write(int fd, const void *p, size_t n); /* all of it */
/* One HTTP request on a kept connection; the whole answer (head and body) in buf, NUL-terminated. Returns the status.
 */
int http_request(int fd, const char *method, const char *path, const char *token, const char *body, char *buf,
                 size_t cap);
void http_send(int fd, const char *method, const char *path, const char *token, const char *body);
int http_receive(int fd, char *buf, size_t cap);
/* Connects, upgrades, identifies, and reads until GUILD_CREATE has come. Returns the socket, still blocking. */
int gateway_session(int port, const char *token);
/* Reads one unfragmented frame's payload (server to client). */
size_t ws_read_frame(int fd, char *buf, size_t cap);

/* --- server.c: a `guildhall dev` of our own
 * ------------------------------------------------------------------------------ */
struct server {
    int pid, port;    /* pid 0: a stack that runs already */
    int gateway_port; /* of `dev` the same port */
    double start_ms;  /* from exec to the ready line */
    char user_token[256], bot_token[256], channel[32];
};
void server_start(struct server *s, const char *bin);
void server_stop(struct server *s);
long server_resident_kb(const struct server *s);
/* Time the process's main thread has spent on a processor. */
uint64_t process_cpu_ns(int pid);
uint64_t now_ns(void);

/* --- cpu.c: processor time of process trees
 * ------------------------------------------------------------------------------ */
#define CPU_GROUPS_MAX 16
struct cpu_group {
    const char *name;
    int pid; /* with all its descendants */
};
void cpu_read(const struct cpu_group *groups, unsigned count, uint64_t *ret_us, uint64_t *ret_machine_us);

/* --- load.c: POST to socket at a fixed rate
 * ------------------------------------------------------------------------------ */
struct load_result {
    double rate, p50_ms, p99_ms, max_ms;
    unsigned refused, lost, repeated, wrong; /* wrong: another id on the socket than in the answer */
};
/* rate 0: closed loop. */
void load_run(const struct server *s, double rate, unsigned count, struct load_result *ret);
void bench_load(const struct server *s, const struct cpu_group *groups, unsigned count, double rate, double seconds);
/* Looks for the highest rate at which everything comes exactly once and p99 stays under half a second. */
void bench_highest(const struct server *s);

/* --- the benchmarks
 * ------------------------------------------------------------------------------------------------------- */
void bench_start(const char *bin);
/* stack NULL: on a `dev` of our own. */
void bench_post(const char *bin, const struct server *stack);
void bench_fanout(const char *bin, int sessions);
