/* ws_parser.c: frames cut at every byte, fragments with control frames between, and each way to be wrong. */
#include "tests/support/cm.h"
#include "tests/support/ws_frames.h"

#include "platform/base/mem.h"
#include "platform/io/ws_parser.h"

static struct buf seen;
static int stop_after;

static void maybe_stop(struct ws_parser *p)
{
    if (stop_after && --stop_after == 0)
        ws_parser_stop(p);
}

static void on_message(struct ws_parser *p, struct str data, bool binary)
{
    if (data.n > 100)
        buf_addf(&seen, "%s(%zu bytes) ", binary ? "bin" : "text", data.n);
    else
        buf_addf(&seen, "%s(%.*s) ", binary ? "bin" : "text", STR_ARG(data));
    maybe_stop(p);
}

static void on_ping(struct ws_parser *p, struct str payload)
{
    buf_addf(&seen, "ping(%.*s) ", STR_ARG(payload));
    maybe_stop(p);
}

static void on_close(struct ws_parser *p, int code, struct str reason)
{
    (void)p;
    buf_addf(&seen, "close(%d %.*s) ", code, STR_ARG(reason));
}

static const struct ws_parser_callbacks callbacks = {on_message, on_ping, on_close};

/* Fed in two parts, then byte by byte; the same must come out each time. */
static void feed_cut(struct str frames, size_t cut, size_t step, const char *want, int want_code)
{
    struct ws_parser p;
    int code = 0;

    ws_parser_init(&p, &callbacks, 70000, 4002);
    buf_clear(&seen);
    for (size_t at = 0; at < frames.n && code == 0;) {
        size_t n = at < cut ? cut - at : step;
        if (n > frames.n - at)
            n = frames.n - at;
        /* a copy of its own size: the sanitizer then sees reads beyond */
        char *part = mem_alloc(n);
        memcpy(part, frames.p + at, n);
        code = ws_parser_feed(&p, part, n);
        mem_free(part);
        at += n;
    }
    ws_parser_done(&p);
    assert_buf(&seen, want);
    assert_int_equal(code, want_code);
}

static void reads(struct buf *frames, const char *want, int want_code)
{
    size_t cuts = frames->len < 400 ? frames->len : 400;

    for (size_t cut = 0; cut <= cuts; cut++)
        feed_cut(buf_str(frames), cut, frames->len, want, want_code);
    feed_cut(buf_str(frames), 0, 1, want, want_code);
    buf_done(frames);
}

static void reads_whole_messages(void **state)
{
    struct buf b = BUF_INIT(0);
    static char big[70000];

    (void)state;
    memset(big, 'x', sizeof(big));
    ws_frame_add(&b, 0x81, STR("{\"op\":1}"));
    ws_frame_add(&b, 0x82, STR("12345678901234567890"));
    ws_frame_add(&b, 0x81, STR(""));
    ws_frame_add(&b, 0x8A, STR("unasked"));
    ws_frame_add(&b, 0x81, (struct str){big, 126});
    ws_frame_add(&b, 0x81, (struct str){big, sizeof(big)});
    reads(&b, "text({\"op\":1}) bin(12345678901234567890) text() text(126 bytes) text(70000 bytes) ", 0);
}

static void joins_fragments_around_control_frames(void **state)
{
    struct buf b = BUF_INIT(0);

    (void)state;
    ws_frame_add(&b, 0x01, STR("one \xE2\x82"));
    ws_frame_add(&b, 0x89, STR("p1"));
    ws_frame_add(&b, 0x00, STR(""));
    ws_frame_add(&b, 0x00, STR("\xAC two"));
    ws_frame_add(&b, 0x89, STR(""));
    ws_frame_add(&b, 0x80, STR(" three"));
    ws_frame_add(&b, 0x02, STR(""));
    ws_frame_add(&b, 0x80, STR(""));
    ws_frame_add(&b, 0x88, STR("\x0F\xA0gone"));
    ws_frame_add(&b, 0x81, STR("after the close"));
    reads(&b, "ping(p1) ping() text(one \xE2\x82\xAC two three) bin() close(4000 gone) ", 0);
}

static void refuses(unsigned first, struct str payload, int code)
{
    struct buf b = BUF_INIT(0);

    ws_frame_add(&b, 0x81, STR("ok"));
    ws_frame_add(&b, first, payload);
    ws_frame_add(&b, 0x81, STR("never"));
    reads(&b, "text(ok) ", code);
}

static void refuses_what_the_protocol_forbids(void **state)
{
    static char big[70001];

    (void)state;
    refuses(0xC1, STR("rsv1"), 1002);
    refuses(0x91, STR("rsv3"), 1002);
    refuses(0x83, STR("reserved opcode"), 1002);
    refuses(0x8B, STR("reserved control"), 1002);
    refuses(0x09, STR("fragmented ping"), 1002);
    refuses(0x80, STR("nothing to continue"), 1002);
    refuses(0x89, (struct str){big, 126}, 1002);
    refuses(0x81, STR("\xFF"), 1007);
    refuses(0x81, STR("cut \xE2\x82"), 1007);
    refuses(0x82, (struct str){big, sizeof(big)}, 4002);
    refuses(0x88, STR("x"), 1002);
    refuses(0x88, STR("\x03\xEDno code may be 1005"), 1002);
    refuses(0x88, STR("\x03\xE7"), 1002);
    refuses(0x88, STR("\x13\x88"), 1002);
    refuses(0x88, STR("\x03\xE8\xFF"), 1007);
}

static void refuses_a_message_inside_another(void **state)
{
    struct buf b = BUF_INIT(0);

    (void)state;
    ws_frame_add(&b, 0x01, STR("begun"));
    ws_frame_add(&b, 0x81, STR("another"));
    reads(&b, "", 1002);
}

static void refuses_fragments_that_add_up_to_too_much(void **state)
{
    struct buf b = BUF_INIT(0);
    static char half[40000];

    (void)state;
    ws_frame_add(&b, 0x02, (struct str){half, sizeof(half)});
    ws_frame_add(&b, 0x80, (struct str){half, sizeof(half)});
    reads(&b, "", 4002);
}

static void refuses_frames_without_a_mask(void **state)
{
    struct buf b = BUF_INIT(0);

    (void)state;
    buf_add(&b, "\x81\x02hi", 4);
    reads(&b, "", 1002);
    /* a length with its highest bit set */
    buf_add(&b, "\x82\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 10);
    buf_add(&b, "mask", 4);
    reads(&b, "", 1002);
}

static void reads_close_frames(void **state)
{
    struct buf b = BUF_INIT(0);

    (void)state;
    ws_frame_add(&b, 0x88, STR(""));
    reads(&b, "close(1005 ) ", 0);
    ws_frame_add(&b, 0x88, STR("\x03\xE9"));
    reads(&b, "close(1001 ) ", 0);
}

static void stops_where_it_is_told(void **state)
{
    struct buf b = BUF_INIT(0);

    (void)state;
    ws_frame_add(&b, 0x81, STR("1"));
    ws_frame_add(&b, 0x89, STR("2"));
    ws_frame_add(&b, 0x81, STR("3"));
    stop_after = 2;
    feed_cut(buf_str(&b), 0, b.len, "text(1) ping(2) ", 0);
    buf_done(&b);
    buf_done(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_whole_messages),
        cmocka_unit_test(joins_fragments_around_control_frames),
        cmocka_unit_test(refuses_what_the_protocol_forbids),
        cmocka_unit_test(refuses_a_message_inside_another),
        cmocka_unit_test(refuses_fragments_that_add_up_to_too_much),
        cmocka_unit_test(refuses_frames_without_a_mask),
        cmocka_unit_test(reads_close_frames),
        cmocka_unit_test(stops_where_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
