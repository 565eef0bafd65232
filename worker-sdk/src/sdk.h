/* Private to libguildhall. One loop thread; handlers run on coroutines, one for each partition at a time. */
#pragma once

#include <guildhall/guildhall.h>

#include "cache/reader.h"
#include "cache/share.h"
#include "platform/base/arena.h"
#include "platform/base/list.h"
#include "platform/base/map.h"
#include "platform/io/amqp.h"
#include "platform/io/http_client.h"
#include "platform/io/redis.h"
#include "worker-sdk/src/entity.h"

#include <jansson.h>

/* One message from the broker, until it is acknowledged. */
struct item {
    struct list link;
    uint64_t tag, epoch; /* the broker's, for the ack */
    int64_t lease_epoch; /* the shard's that published it; 0: not said */
    struct gh_event event;
    struct arena arena; /* holds the event's text */
    uint64_t id_hash;   /* of "session:seq", or of the event's kind and entity; 0: it has none */
    unsigned partition;
    uint64_t came_ns; /* when the broker delivered it */
};

struct handler {
    const char *type; /* NULL: every event */
    gh_event_fn raw;
    void (*typed)(void); /* cast back by `call` */
    int (*call)(struct gh_context *c, const struct handler *h, json_t *d);
    void *arg;
};

#define HANDLERS_MAX 192 /* a typed and a raw one for each event, and one for all */

struct gh_bot {
    char *token, *amqp_url, *redis_url, *proxy_url, *group, *authorization;
    uint64_t user_id, application_id;
    struct handler handlers[HANDLERS_MAX];
    unsigned handler_count;
    struct redis *redis;
    struct http_client *http;
    struct cache cache;
    struct partitions *partitions;
    struct seen *seen;
    struct http_listener *admin;
    struct router *router;
    struct tasks *tasks;
    struct amqp_publisher *publisher; /* of commands to the gateway; NULL before the first */
    bool stopping, no_events;
    struct loop_timer *late; /* bounds the stop; NULL before it */

    /* Each thread has a copy of the bot, with connections, partitions and tasks of its own; handlers and router are the
     * same. The root is the user's and runs on the thread that called gh_bot_run. */
    struct gh_bot *root;
    struct loop *loop;
    struct lanes *lanes; /* the root's; NULL: one thread */
};

/* A request that creates something, made in a context. */
struct asked {
    const struct asked *next;
    uint64_t hash;
};

struct gh_context {
    struct gh_bot *bot;
    const struct item *item; /* NULL: a task's */
    struct arena arena;
    json_t *roots;             /* an array of what entities point into */
    unsigned calls;            /* messages so far: part of their nonces */
    unsigned attempt;          /* how often the handler has failed with this event */
    const struct asked *asked; /* so far; in the arena */
    bool call_repeated;        /* the last call was sent more than once, or may have been */
    struct gh_error error;
};

/* --- partitions.c: what this worker consumes --- */
struct partitions *partitions_start(struct gh_bot *bot, struct buf *err);
/* Gives everything up in order; done(arg) when all is finished. */
void partitions_stop(struct partitions *p, void (*done)(void *arg), void *arg);
void partitions_free(struct partitions *p);
bool partitions_ready(void *p);

/* --- seen.c: what was handled lately, and which shard owners are past --- */
struct seen *seen_new(struct gh_bot *bot);
void seen_free(struct seen *s);
typedef void (*seen_loaded_fn)(unsigned partition, unsigned tenure, void *arg);
/* Takes over what the partition's former worker handled lately, then calls done, as soon as Redis answers. What is
 * handled from then on is told to Redis, and told again when Redis may have forgotten it. */
void seen_load(struct seen *s, unsigned partition, unsigned tenure, seen_loaded_fn done, void *arg);
void seen_add(struct seen *s, unsigned partition, uint64_t id_hash);
/* Tells Redis what it has not heard yet, before the partition is another worker's; */
void seen_give_up(struct seen *s, unsigned partition);
/* or after it became so. */
void seen_lose(struct seen *s, unsigned partition);
void seen_flush(struct seen *s);
bool seen_before(const struct seen *s, uint64_t id_hash);
/* True for an event of a shard's owner that has lost its lease: in this partition's queue a later owner came before. */
bool seen_later_owner(struct seen *s, unsigned partition, const struct item *item);

/* --- handle.c: one event --- */
/* Coroutine. 0: handled, or to be dropped (seen before, from a shard that lost its lease); -EIO: the handler failed too
 * often. */
int item_handle(struct gh_bot *bot, struct item *item);
void context_done(struct gh_context *c);
/* Keeps o for as long as the context lives and gives the reference up. */
json_t *context_keep(struct gh_context *c, json_t *o);

/* --- tasks.c: what runs beside the events --- */
struct tasks *tasks_new(struct gh_bot *bot);
/* Begins what was asked for before the bot ran. */
void tasks_start(struct tasks *t);
/* No timer fires any more; done(arg) when the last task has ended. */
void tasks_stop(struct tasks *t, void (*done)(void *arg), void *arg);
void tasks_free(struct tasks *t);

/* --- bot.c: what each thread does --- */
/* 0: connections are being made; loop_run is next. */
int bot_connect(struct gh_bot *bot, struct buf *err);
void bot_disconnect(struct gh_bot *bot);
void bot_stop_here(void *bot); /* on its own thread */

/* --- lanes.c: more threads --- */
/* Starts `count` further threads and waits until each has its loop. */
void lanes_start(struct gh_bot *root, unsigned count);
void lanes_stop(struct gh_bot *root); /* asks each; root's thread */
void lanes_join(struct gh_bot *root); /* waits for their ends */
