/* A commit: statements that take effect as one transaction, and the events that tell of them. commit_run stores both
 * (the events in the outbox), then numbers and publishes the events, then returns: acknowledged means stored and
 * published. When the bus cannot confirm in time the commit still counts, because its outbox rows are durable and are
 * published as soon as the bus is back. Coroutine only. */
#pragma once

#include "platform/base/arena.h"
#include "platform/io/sql.h"
#include "platform/protocol/event.h"

struct kv;
struct bus;
struct objects;

/* What every handler of the platform works on. */
struct ports {
    struct sql *db;
    struct kv *kv;
    struct bus *bus;
    struct objects *objects;
};

struct commit {
    struct arena *arena;
    struct sql_stmt *stmts;
    unsigned stmt_count, stmt_cap;
    struct event *events;
    unsigned event_count, event_cap;
    struct sql_result *results; /* after commit_run: one for each statement added by commit_stmt, in order */
};

void commit_init(struct commit *c, struct arena *a);

/* Adds a statement and returns it, to fill params and rows_min. The pointer is good until the next call. */
struct sql_stmt *commit_stmt(struct commit *c, const char *text);
/* Adds a statement with parameters: commit_sql(c, 0, "UPDATE ... $1 $2", SQL_I(1), SQL_C("x")). */
#define commit_sql(c, rows_min, text, ...)                                                                             \
    commit_sql_params((c), (rows_min), (text), (const struct sql_value[]){__VA_ARGS__},                                \
                      sizeof((const struct sql_value[]){__VA_ARGS__}) / sizeof(struct sql_value))
void commit_sql_params(struct commit *c, int rows_min, const char *text, const struct sql_value *params,
                       unsigned count);

/* Adds an event and returns it with a fresh id, to fill the rest. data must live in the commit's arena. */
struct event *commit_event(struct commit *c, enum event_type type, uint64_t topic, bool topic_is_user);

/* 0: stored, and published or (bus or kv away) kept in the outbox. Otherwise sql_run's errors: nothing happened, but
 * for -EHOSTDOWN, where it may have. */
int commit_run(struct commit *c, const struct ports *p);

/* Events that are not stored (typing): numbered and published without the outbox. Errors are not told. */
void commit_publish_transient(struct arena *a, const struct ports *p, struct event *e);

/* Every process that commits runs this: publishes what is left in the outbox (older than a few seconds, from whichever
 * process), sweeps what was confirmed. Starts a coroutine; stops with outbox_stop. */
void outbox_start(const struct ports *p);
void outbox_stop(void);
