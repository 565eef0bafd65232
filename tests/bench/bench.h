/* Benchmarks: small blocking clients and one epoll receiver, in plain C, so that what is measured is the server. Every
 * figure that says how fast is a ratio taken in one run. Single-threaded. */
#pragma once

#include "platform/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- net.c: sockets, HTTP, WebSocket
 * ---------------------------------------------------------------------------------- */
int net_connect(int port); /* 127.0.0.1, blocking, TCP_NODELAY; exits on failure */
/* The same from 127.0.x.y, so that one process can open more connections than there are ports. */
int net_connect_from(unsigned address, int port);
int net_try(int port); /* -1: nobody listens */
int net_listen(int *ret_port);
void net_write(int fd, const void *p, size_t n); /* all of it */
/* One HTTP request on a kept connection; the whole answer (head and body) in buf, NUL-terminated. Returns the status.
 */
int http_request(int fd, const char *method, const char *path, const char *token, const char *body, char *buf,
                 size_t cap);
void http_send(int fd, const char *method, const char *path, const char *token, const char *body);
int http_receive(int fd, char *buf, size_t cap);
/* Connects, upgrades, identifies, and reads until GUILD_CREATE has come. query: "" or more of the URL's, such as
 * "&compress=zlib-stream" or "&encoding=etf". Returns the socket, still blocking. */
int gateway_session(int port, const char *token, const char *query);
/* Upgrades; what the server sends is not read. */
void ws_upgrade(int fd, const char *path);
/* IDENTIFY in JSON, with the intents of a bot that reads messages. */
void identify_json(int fd, const char *token);
/* Connects, upgrades, reads HELLO and sends IDENTIFY with [shard, shards]. */
int gateway_identify(int port, const char *token, unsigned intents, unsigned shard, unsigned shards);
void ws_send_text(int fd, const char *text); /* at most 1,000 bytes */
/* Payload of the frame that begins at h; 0: its head is not whole. */
size_t ws_frame_length(const unsigned char *h, size_t n, size_t *ret_head);
/* Reads one unfragmented frame's payload (server to client). */
size_t ws_read_frame(int fd, char *buf, size_t cap);

/* --- server.c: a `guildhall dev` of our own
 * ------------------------------------------------------------------------------ */
struct server {
    int pid, port;    /* pid 0: a stack that runs already */
    int gateway_port; /* of `dev` the same port */
    double start_ms;  /* from exec to the ready line */
    char user_token[256], bot_token[256], probe_token[256], channel[32];
};
void server_start(struct server *s, const char *bin);
void server_stop(struct server *s);
long server_resident_kb(const struct server *s);
/* Time all threads of the process have spent on a processor. */
uint64_t process_cpu_ns(int pid);
uint64_t now_ns(void);

/* --- gateway.c: what shards connect to, speaking as a benchmark wants
 * ------------------------------------------------------------------------------ */
#define BENCH_APPLICATION 4242
#define BENCH_TOKEN       "NDI0Mg.x.y"
#define BENCH_GUILDS      1000
struct gateway_session;
struct gateway { /* memory that it shares with this program */
    int port, pid;
    unsigned shards;     /* recommended */
    unsigned identified; /* sessions so far */
    unsigned go;         /* for `turn`: how often it should have spoken */
    bool compressed;     /* the shard asks for zlib-stream, as it does by itself */
    void (*turn)(struct gateway_session *s);
};
struct gateway_session {
    struct gateway *gateway;
    int fd;
    uint64_t seq;               /* of the last dispatch */
    unsigned done;              /* for `turn`: how often it has spoken */
    struct z_stream_s *deflate; /* NULL: nothing is compressed */
    struct buf out;
};
/* turn: about every millisecond, in the session's thread. Ended with process_end(pid). */
struct gateway *gateway_start(void (*turn)(struct gateway_session *s));
/* One text message, kept until the flush. */
void gateway_say(struct gateway_session *s, struct str text);
void gateway_flush(struct gateway_session *s);
/* `guildhall shard` on it, on REDIS_URL and AMQP_URL. */
int gateway_shard_start(struct gateway *g, const char *program, unsigned shards);
void process_end(int pid); /* kills it */
/* d of a MESSAGE_CREATE of about 750 bytes, of guild 1 + n % BENCH_GUILDS; stamp is its nonce. */
struct str event_body(struct buf *b, unsigned n, uint64_t stamp);
void gateway_say_event(struct gateway_session *s, unsigned n, uint64_t stamp);

/* --- shard.c: between a gateway of its own and the servers of REDIS_URL and AMQP_URL */
void bench_shard(const char *bin);

/* --- figures.c
 * ------------------------------------------------------------------------------------------------------------ */
double median(double *values, size_t count); /* sorts them; count odd */
void times_sort(uint32_t *us, size_t count);

/* --- cpu.c: processor time of process trees
 * ------------------------------------------------------------------------------ */
#define CPU_GROUPS_MAX 16
struct cpu_group {
    const char *name;
    int pid; /* with all its descendants */
};
/* Processor time of each for one of `count`, and the part of the machine. */
void cpu_print(const struct cpu_group *groups, unsigned group_count, const uint64_t *before, const uint64_t *after,
               uint64_t machine_us, uint64_t wall_us, unsigned count);
void cpu_read(const struct cpu_group *groups, unsigned count, uint64_t *ret_us, uint64_t *ret_machine_us);

/* --- load.c: POST to socket at a fixed rate
 * ------------------------------------------------------------------------------ */
struct load_result {
    double rate, p50_ms, p99_ms, max_ms;
    int log_us; /* the median of how much later a bot, whose session is logged, has a message than a person */
    unsigned refused, lost, repeated, wrong; /* wrong: another id on the socket than in the answer */
};
/* rate 0: closed loop. */
void load_run(const struct server *s, double rate, unsigned count, struct load_result *ret);
void bench_load(const struct server *s, const struct cpu_group *groups, unsigned count, double rate, double seconds);
/* Looks for the highest rate at which everything comes exactly once and p99 stays under half a second. */
void bench_highest(const struct server *s);

/* --- receiver.c: many sockets, one epoll
 * ---------------------------------------------------------------------------------
 */
struct receiver {
    int epoll, count;
    int *fds;
};
void receiver_init(struct receiver *r, int count);
void receiver_add(struct receiver *r, int fd); /* takes it over */
void receiver_done(struct receiver *r);
/* Reads until so many bytes came. It never sleeps meanwhile, so that no sender pays for waking it. */
void receiver_take(struct receiver *r, size_t bytes);
/* Reads until nothing came for a while; how much it was. */
size_t receiver_drain(struct receiver *r, int quiet_ms);

/* --- senders.c: what is compared
 * ---------------------------------------------------------------------------------------
 */
/* A process that sends events of about 770 bytes to its sockets when it is told how many. */
struct sender {
    const char *name;
    int pid, port;
    int control; /* one byte: how many events */
    struct receiver receiver;
    size_t frame_bytes; /* of an event whose sequence number has one digit; or of each */
    bool numbered;      /* longer by a byte for each further digit */
    bool etf;           /* numbers over 255 take 5 bytes instead of 2 */
    uint64_t seq;
    struct server server; /* of the one that gets POSTs */
    int posts[16];
};
/* The gateway with an event source in its own process: all of the way from the bus to the socket. */
void sender_gateway(struct sender *s, const char *name, int sessions, const char *query);
/* `guildhall dev` and POSTs to it: everything. */
void sender_dev(struct sender *s, const char *bin, int sessions);
/* send() in a loop. */
void sender_bare(struct sender *s, int sessions, size_t frame_bytes);
/* npm's ws. False: it is not installed. */
bool sender_ws(struct sender *s, int sessions, size_t payload_bytes);
_Noreturn void node_run(int control, int answer); /* node.c: the gateway's process */
void sender_send(struct sender *s, int events);
void sender_take(struct sender *s, int events); /* until all have it */
void sender_stop(struct sender *s);
/* --- big.c: many guilds, many members
 * ------------------------------------------------------------------------------------ */
void bench_guilds(const struct server *s, const struct cpu_group *groups, unsigned group_count, unsigned shards,
                  unsigned guilds);
void bench_members(const struct server *s, int gateway_pid, const char *guild, unsigned members);
void bench_adopt(const struct server *s, int other_port, int other_pid, unsigned guilds);

/* --- the benchmarks
 * ------------------------------------------------------------------------------------------------------- */
void bench_start(const char *bin);
/* stack NULL: on a `dev` of our own. */
void bench_post(const char *bin, const struct server *stack);
void bench_fanout(const char *bin, int sessions);
void bench_idle(const char *bin, int count);
void bench_encodings(int sessions);
void bench_cache(void);
