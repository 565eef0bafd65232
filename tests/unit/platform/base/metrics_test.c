/* metrics.c: the page that Prometheus reads. */
#include "tests/support/cm.h"

#include "platform/base/limits.h"
#include "platform/base/metrics.h"
#include <stdio.h>

METRIC_DEFINE_BY(requests, METRIC_COUNTER, "guildhall_test_requests_total", "route", "Requests.");
METRIC_DEFINE(sessions, METRIC_GAUGE, "guildhall_test_sessions", "Sessions.");
METRIC_DEFINE(latency, METRIC_HISTOGRAM, "guildhall_test_latency_seconds", "Latency.");
METRIC_DEFINE_BY(many, METRIC_COUNTER, "guildhall_test_many_total", "n", "Many.");
METRIC_DEFINE(idle, METRIC_COUNTER, "guildhall_idle_things_total", "Never used.");
METRIC_DEFINE_BY(idle_by, METRIC_COUNTER, "guildhall_idle_kinds_total", "kind", "Never used.");
METRIC_DEFINE(counted, METRIC_GAUGE, "guildhall_idle_counted", "Counted when the page is written.");

static void writes_the_page(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);

    (void)state;
    metric_add(metric_with(&requests, "route=\"a\""), 2);
    metric_set(&sessions, 7);
    metric_add(&sessions, -2);
    metric_add(metric_with(&requests, "route=\"b\""), 1);
    metric_add(metric_with(&requests, "route=\"a\""), 1);
    metric_observe_us(&latency, 50);
    metric_observe_us(&latency, 51);
    metric_observe_us(&latency, 10000000);
    metrics_write(&b);
    assert_non_null(strstr(b.data, "# HELP guildhall_test_requests_total Requests.\n"
                                   "# TYPE guildhall_test_requests_total counter\n"
                                   "guildhall_test_requests_total{route=\"a\"} 3\n"
                                   "guildhall_test_requests_total{route=\"b\"} 1\n"));
    assert_non_null(strstr(b.data, "guildhall_test_sessions 5\n"));
    assert_non_null(strstr(b.data, "# TYPE guildhall_test_latency_seconds histogram\n"
                                   "guildhall_test_latency_seconds_bucket{le=\"0.000050\"} 1\n"
                                   "guildhall_test_latency_seconds_bucket{le=\"0.000100\"} 2\n"));
    assert_non_null(strstr(b.data, "guildhall_test_latency_seconds_bucket{le=\"+Inf\"} 3\n"
                                   "guildhall_test_latency_seconds_sum 10.000101\n"
                                   "guildhall_test_latency_seconds_count 3\n"));
}

static void count_now(void *arg)
{
    metric_set(&counted, *(int *)arg);
}

static void shows_a_component_from_the_start(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);
    int now = 41;

    (void)state;
    metrics_write(&b);
    assert_null(strstr(b.data, "idle"));
    metrics_show("other idle");
    metrics_on_write(count_now, &now);
    now++;
    buf_clear(&b);
    metrics_write(&b);
    assert_non_null(strstr(b.data, "# TYPE guildhall_idle_things_total counter\nguildhall_idle_things_total 0\n"));
    assert_non_null(strstr(b.data, "guildhall_idle_counted 42\n"));
    assert_non_null(strstr(b.data, "# TYPE guildhall_idle_kinds_total counter\n"));
    assert_null(strstr(b.data, "\nguildhall_idle_kinds_total"));
    metrics_off_write(&now);
    now++;
    metrics_write(&b);
    assert_null(strstr(b.data, "counted 43"));
}

static void lists_the_definitions(void **state)
{
    BUF_AUTO struct buf b = BUF_INIT(0);

    (void)state;
    metrics_help("idle", &b);
    assert_non_null(strstr(b.data, "guildhall_idle_kinds_total "));
    assert_non_null(strstr(b.data, " counter   Never used. [kind]\n"));
    assert_null(strstr(b.data, "guildhall_test"));
    metrics_help(NULL, &b);
    assert_non_null(strstr(b.data, "guildhall_test_sessions "));
}

static void bounds_the_series(void **state)
{
    char labels[32];
    struct metric *last = NULL;

    (void)state;
    for (int i = 0; i < LIMIT_METRIC_SERIES + 10; i++) {
        snprintf(labels, sizeof(labels), "n=\"%d\"", i);
        last = metric_with(&many, labels);
    }
    assert_string_equal(last->labels, "overflow=\"1\"");
    assert_ptr_equal(last, metric_with(&many, "n=\"another\""));
    assert_ptr_not_equal(last, metric_with(&many, "n=\"1\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_page),
        cmocka_unit_test(shows_a_component_from_the_start),
        cmocka_unit_test(lists_the_definitions),
        cmocka_unit_test(bounds_the_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
