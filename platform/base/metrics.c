/* Prometheus metrics. Adding is one relaxed atomic and may happen on any thread; making a labelled series takes a lock;
 * writing the page is for the loop thread. At most LIMIT_METRIC_SERIES labelled series. */
#include "platform/base/metrics.h"

#include "platform/base/check.h"
#include "platform/base/limits.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define COLLECTORS_MAX 16

static struct metric *metrics_head;
static pthread_mutex_t series_lock = PTHREAD_MUTEX_INITIALIZER;
static struct smap series;

void metric_register(struct metric *m)
{
    struct metric *head = __atomic_load_n(&metrics_head, __ATOMIC_RELAXED);

    do
        m->next = head;
    while (!__atomic_compare_exchange_n(&metrics_head, &head, m, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static void metric_use(struct metric *m)
{
    if (__builtin_expect(!__atomic_load_n(&m->used, __ATOMIC_RELAXED), 0))
        __atomic_store_n(&m->used, 1, __ATOMIC_RELAXED);
}

void metric_add(struct metric *m, int64_t delta)
{
    metric_use(m);
    __atomic_fetch_add(&m->value, delta, __ATOMIC_RELAXED);
}

void metric_set(struct metric *m, int64_t value)
{
    metric_use(m);
    __atomic_store_n(&m->value, value, __ATOMIC_RELAXED);
}

void metric_observe_us(struct metric *m, int64_t us)
{
    int64_t bound = 50;
    unsigned i = 0;

    metric_use(m);
    while (i < METRIC_BUCKETS && us > bound) {
        bound *= 2;
        i++;
    }
    __atomic_fetch_add(&m->counts[i], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&m->value, us, __ATOMIC_RELAXED);
}

/* With series_lock held. */
static struct metric *series_get(struct metric *base, struct buf *key, const char *labels)
{
    buf_clear(key);
    buf_addf(key, "%s{%s}", base->name, labels);
    return smap_get(&series, buf_str(key));
}

static struct metric *series_make(struct metric *base, struct buf *key, const char *labels)
{
    struct metric *m = MEM_NEW(struct metric);

    *m = (struct metric){
        .name = base->name, .help = base->help, .labels = mem_strdup(labels), .kind = base->kind, .used = 1};
    smap_put(&series, buf_str(key), m);
    metric_register(m);
    return m;
}

struct metric *metric_with(struct metric *base, const char *labels)
{
    static const char overflow[] = "overflow=\"1\"";
    BUF_AUTO struct buf key = BUF_INIT(0);

    pthread_mutex_lock(&series_lock);
    struct metric *m = series_get(base, &key, labels);
    if (!m && series.count >= LIMIT_METRIC_SERIES) {
        labels = overflow;
        m = series_get(base, &key, labels);
    }
    if (!m)
        m = series_make(base, &key, labels);
    pthread_mutex_unlock(&series_lock);
    return m;
}

static void write_series(struct buf *out, const struct metric *m, const char *suffix, const char *le, int64_t value)
{
    buf_addf(out, "%s%s", m->name, suffix);
    if (m->labels || le) {
        buf_addc(out, '{');
        if (m->labels)
            buf_adds(out, m->labels);
        if (le)
            buf_addf(out, "%sle=\"%s\"", m->labels ? "," : "", le);
        buf_addc(out, '}');
    }
    buf_addf(out, " %" PRId64 "\n", value);
}

static void write_histogram(struct buf *out, const struct metric *m)
{
    int64_t total = 0, bound = 50;
    char le[32];

    for (unsigned i = 0; i <= METRIC_BUCKETS; i++, bound *= 2) {
        total += __atomic_load_n(&m->counts[i], __ATOMIC_RELAXED);
        snprintf(le, sizeof(le), "%" PRId64 ".%06" PRId64, bound / 1000000, bound % 1000000);
        write_series(out, m, "_bucket", i < METRIC_BUCKETS ? le : "+Inf", total);
    }
    int64_t sum = __atomic_load_n(&m->value, __ATOMIC_RELAXED);
    buf_addf(out, "%s_sum%s%s%s %.6f\n", m->name, m->labels ? "{" : "", m->labels ? m->labels : "",
             m->labels ? "}" : "", (double)sum / 1e6);
    write_series(out, m, "_count", NULL, total);
}

static int by_name(const void *a, const void *b)
{
    const struct metric *x = *(const struct metric *const *)a, *y = *(const struct metric *const *)b;
    int r = strcmp(x->name, y->name);

    return r ? r : strcmp(x->labels ? x->labels : "", y->labels ? y->labels : "");
}

/* The format wants all series of a name together. */
static struct metric **metrics_sorted(size_t *ret_count)
{
    size_t n = 0;
    struct metric *head = __atomic_load_n(&metrics_head, __ATOMIC_ACQUIRE);

    for (struct metric *m = head; m; m = m->next)
        n++;
    struct metric **all = mem_alloc(n * sizeof(struct metric *));
    *ret_count = n;
    for (struct metric *m = head; m; m = m->next)
        all[--n] = m;
    qsort(all, *ret_count, sizeof(struct metric *), by_name);
    return all;
}

/* --- which are on the page --- */

static const char *shown = "";

static struct {
    void (*fn)(void *arg);
    void *arg;
} collectors[COLLECTORS_MAX];
static unsigned collector_count;

void metrics_show(const char *components)
{
    shown = components;
}

void metrics_on_write(void (*fn)(void *arg), void *arg)
{
    CHECK(collector_count < COLLECTORS_MAX);
    collectors[collector_count].fn = fn;
    collectors[collector_count++].arg = arg;
}

void metrics_off_write(const void *arg)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < collector_count; i++)
        if (collectors[i].arg != arg)
            collectors[kept++] = collectors[i];
    collector_count = kept;
}

/* "guildhall_gateway_sessions" is of the component gateway. */
static bool is_of(const struct metric *m, const char *components)
{
    const char *name = strchr(m->name, '_');

    if (!name)
        return false;
    size_t n = strcspn(++name, "_");
    for (const char *p = components; *p;) {
        size_t len = strcspn(p, " ");
        if (len == n && memcmp(p, name, n) == 0)
            return true;
        p += len + (p[len] == ' ');
    }
    return false;
}

static bool has_value(const struct metric *m)
{
    return __atomic_load_n(&m->used, __ATOMIC_RELAXED) || (!m->label_names && is_of(m, shown));
}

static const char *kind_name(const struct metric *m)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};

    return kinds[m->kind];
}

void metrics_write(struct buf *out)
{
    size_t count;

    for (unsigned i = 0; i < collector_count; i++)
        collectors[i].fn(collectors[i].arg);
    MEM_AUTO struct metric **all = metrics_sorted(&count);
    const char *headed = "";
    for (size_t i = 0; i < count; i++) {
        const struct metric *m = all[i];
        if (!has_value(m) && !is_of(m, shown))
            continue;
        if (strcmp(headed, m->name) != 0)
            buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, kind_name(m));
        headed = m->name;
        if (!has_value(m))
            continue;
        if (m->kind == METRIC_HISTOGRAM)
            write_histogram(out, m);
        else
            write_series(out, m, "", NULL, __atomic_load_n(&m->value, __ATOMIC_RELAXED));
    }
}

void metrics_help(const char *components, struct buf *out)
{
    size_t count;
    MEM_AUTO struct metric **all = metrics_sorted(&count);

    for (size_t i = 0; i < count; i++) {
        const struct metric *m = all[i];
        if (m->labels || (components && !is_of(m, components)))
            continue;
        buf_addf(out, "%-48s %-9s %s%s%s%s\n", m->name, kind_name(m), m->help, m->label_names ? " [" : "",
                 m->label_names ? m->label_names : "", m->label_names ? "]" : "");
    }
}
