/* Prometheus metrics: static objects that are known from the start of the process, so that the page and the operator's
 * table (`guildhall ctl metrics`) come from their definitions. Adding is lock free and may happen on any thread;
 * writing the page is for the loop thread. Source: Prometheus text exposition format 0.0.4. */
#pragma once

#include "platform/base/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_BUCKETS 16

struct metric {
    const char *name; /* guildhall_<component>_<what>_<unit>[_total] */
    const char *help;
    const char *label_names; /* NULL, or "route, code": it has series only (metric_with), made at first use */
    const char *labels;      /* of a series: `route="x",code="y"` */
    enum metric_kind kind;
    int64_t value;                      /* counter, gauge; histogram: sum in microseconds */
    int64_t counts[METRIC_BUCKETS + 1]; /* histogram: 50 us * 2^i, last is +Inf */
    struct metric *next;
    int used;
};

#define METRIC_DEFINE(var, kind_, name_, help_) METRIC_DEFINE_BY(var, kind_, name_, NULL, help_)
#define METRIC_DEFINE_BY(var, kind_, name_, label_names_, help_)                                                       \
    static struct metric var;                                                                                          \
    __attribute__((constructor)) static void metric_register_##var(void)                                               \
    {                                                                                                                  \
        metric_register(&var);                                                                                         \
    }                                                                                                                  \
    static struct metric var = {.name = name_, .help = help_, .label_names = label_names_, .kind = kind_}
void metric_register(struct metric *m);

void metric_add(struct metric *m, int64_t delta);
void metric_set(struct metric *m, int64_t value);
void metric_observe_us(struct metric *m, int64_t us); /* histogram, exported in seconds */

/* A metric of `base`'s name with labels, made on first use and kept for the process's life (at most
 * LIMIT_METRIC_SERIES of them; beyond that all share one with labels `overflow="1"`). */
struct metric *metric_with(struct metric *base, const char *labels);

/* The components of this process, separated by blanks ("gateway sql"): the second word of their metrics' names. Their
 * metrics are on the page from the start; those of others once they are used. */
void metrics_show(const char *components);
/* fn(arg) is called before each page, for what is counted only then. At most 16. */
void metrics_on_write(void (*fn)(void *arg), void *arg);
void metrics_off_write(const void *arg);

void metrics_write(struct buf *out);
/* One line for each metric of these components (NULL: of all): name, kind, labels, help. */
void metrics_help(const char *components, struct buf *out);
