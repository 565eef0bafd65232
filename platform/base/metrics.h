/* Prometheus metrics: static objects that register themselves at first use. Adding is lock free and may happen on any
 * thread; writing the page is for the loop thread. Source: Prometheus text exposition format 0.0.4. */
#pragma once

#include "platform/base/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_BUCKETS 16

struct metric {
    const char *name; /* guildhall_<component>_<what>_<unit>[_total] */
    const char *help;
    const char *labels; /* NULL or `route="x",code="y"` */
    enum metric_kind kind;
    int64_t value;                      /* counter, gauge; histogram: sum in microseconds */
    int64_t counts[METRIC_BUCKETS + 1]; /* histogram: 50 us * 2^i, last is +Inf */
    struct metric *next;
    int registered;
};

#define METRIC_DEFINE(var, kind_, name_, help_) static struct metric var = {.name = name_, .help = help_, .kind = kind_}

void metric_add(struct metric *m, int64_t delta);
void metric_set(struct metric *m, int64_t value);
void metric_observe_us(struct metric *m, int64_t us); /* histogram, exported in seconds */

/* A metric of `base`'s name with labels, made on first use and kept for the process's life (at most
 * LIMIT_METRIC_SERIES of them; beyond that all share one with labels `overflow="1"`). */
struct metric *metric_with(struct metric *base, const char *labels);

void metrics_write(struct buf *out);
