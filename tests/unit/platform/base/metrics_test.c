/* metrics.c: the page that Prometheus reads. */
#include "tests/support/cm.h"

#include "platform/base/limits.h"
#include "platform/base/metrics.h"
#include <stdio.h>

METRIC_DEFINE(requests, METRIC_COUNTER, "guildhall_test_requests_total", "Requests.");
METRIC_DEFINE(sessions, METRIC_GAUGE, "guildhall_test_sessions", "Sessions.");
METRIC_DEFINE(latency, METRIC_HISTOGRAM, "guildhall_test_latency_seconds", "Latency.");
METRIC_DEFINE(many, METRIC_COUNTER, "guildhall_test_many_total", "Many.");

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
        cmocka_unit_test(bounds_the_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
