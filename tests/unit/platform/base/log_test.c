/* log.c: both forms of a line, read back from the descriptor it wrote to. */
#include "tests/support/cm.h"

#include "platform/base/log.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Standard error goes to a temporary file between begin and end. */
static int saved_stderr, capture;

static void capture_begin(void)
{
    char path[] = "/tmp/guildhall-log-XXXXXX";

    capture = mkstemp(path);
    assert_true(capture >= 0);
    unlink(path);
    saved_stderr = dup(STDERR_FILENO);
    dup2(capture, STDERR_FILENO);
}

static void capture_end(char *text, size_t size)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    ssize_t n = pread(capture, text, size - 1, 0);
    close(capture);
    assert_true(n >= 0);
    text[n] = 0;
}

static void writes_logfmt(void **state)
{
    char text[1024];

    (void)state;
    log_init("gateway", LOG_LEVEL_INFO, false);
    capture_begin();
    LOG_DEBUG("hidden", "x=%d", 1);
    LOG_WARN("session_cut", "session=%s reason=\"%s\"", "abc", "two\nlines");
    capture_end(text, sizeof(text));
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "Z warn  gateway session_cut session=abc reason=\"two\\x0alines\"\n"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void writes_json(void **state)
{
    char text[1024];

    (void)state;
    log_init("api", LOG_LEVEL_DEBUG, true);
    capture_begin();
    LOG_DEBUG("request", "route=\"%s\" status=%d path=%s said=\"%s\"", "GET /users/{id}", 200, "/a=b", "a \"b\" c\n");
    capture_end(text, sizeof(text));
    assert_non_null(strstr(text, "\"level\":\"debug\",\"component\":\"api\",\"event\":\"request\""));
    assert_non_null(strstr(text, ",\"route\":\"GET /users/{id}\",\"status\":200,\"path\":\"/a=b\",\"said\":\"a \\\"b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_logfmt),
        cmocka_unit_test(writes_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
