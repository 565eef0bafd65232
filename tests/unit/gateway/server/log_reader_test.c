/* What a session log says about a session: its entries, the holes in it, where it was cut; and the entries' form. */
#include "tests/support/co_test.h"

#include "gateway/server/log_codec.h"
#include "gateway/server/log_reader.h"
#include "gateway/server/server.h"
#include "platform/ports/kv.h"

#include <errno.h>

enum { S = 7, OTHER = 8 };

static struct ports ports;
static struct gateway g;
static bool done;

static void on_appended(int error, void *arg)
{
    (void)arg;
    expect_int(error, 0);
    done = true;
}

/* One entry: `session` (0: none) got dispatch `seq`. */
static void put(uint64_t number, uint64_t oldest, bool anew, uint32_t session, uint64_t seq, struct str data)
{
    BUF_AUTO struct buf entry = {0};
    struct log_recipient to = {session, seq, REDACTION_NONE};

    log_entry_begin(&entry, anew);
    if (session) {
        log_event_write(&entry, 1000 + seq, STR("MESSAGE_CREATE"), data, 1);
        log_recipient_write(&entry, &to);
    }
    struct kv_log_append l = {
        .log = "run", .number = number, .oldest = oldest, .entry = buf_str(&entry), .ttl_ms = 60000};
    done = false;
    kv_log_append(ports.kv, &l, on_appended, NULL);
    while (!done)
        co_sleep(1);
}

static void ended(uint64_t number)
{
    BUF_AUTO struct buf entry = {0};
    struct log_recipient to = {S, 9, LOG_ENDED};

    log_entry_begin(&entry, false);
    log_event_write(&entry, 0, STR(""), STR_NONE, 1);
    log_recipient_write(&entry, &to);
    struct kv_log_append l = {.log = "run", .number = number, .oldest = 1, .entry = buf_str(&entry), .ttl_ms = 60000};
    done = false;
    kv_log_append(ports.kv, &l, on_appended, NULL);
    while (!done)
        co_sleep(1);
}

static void begin(void)
{
    ports.kv = kv_open(NULL, NULL);
    g = (struct gateway){.ports = &ports};
    list_init(&g.readers);
    list_init(&g.pasts);
    encoded_log_init(&g.log, 1 << 20);
}

static void end(void)
{
    log_readers_free(&g);
    encoded_log_done(&g.log);
    kv_close(ports.kv);
}

/* -ENODATA, or the last number; *ret_count lines lead up to it. */
static int64_t last_of(uint64_t seq, uint64_t entry, unsigned *ret_count)
{
    struct session_record rec = {.index = S, .seq = seq, .entry = entry};
    struct log_reader *r = NULL;
    const struct log_line *lines;
    uint64_t last = 0;

    expect_int(log_reader_open(&g, "run", &r), 0);
    if (!r)
        return -EIO;
    int error = log_reader_session(r, &rec, &lines, ret_count, &last);
    if (error == 0 && *ret_count)
        expect_true(lines[*ret_count - 1].seq == last && log_line_encoded(r, &lines[0]) != NULL);
    log_reader_release(r);
    return error ? error : (int64_t)last;
}

static void the_tail_without_a_hole(void)
{
    unsigned count = 0;

    begin();
    put(1, 1, false, S, 3, STR("{}")), put(2, 1, false, OTHER, 50, STR("{}"));
    put(3, 1, false, S, 5, STR("{}")), put(4, 1, false, S, 6, STR("{}")), put(5, 1, false, 0, 0, STR_NONE);
    expect_int(last_of(2, 0, &count), 6);
    expect_int(count, 2); /* 5 and 6: 4 is not there */
    put(6, 1, false, S, 7, STR("{}"));
    expect_int(last_of(6, 5, &count), 7); /* read on from where it was */
    expect_int(count, 3);
    end();
}

static void quiet_since_its_record(void)
{
    unsigned count = 9;

    begin();
    put(1, 1, false, 0, 0, STR_NONE), put(2, 1, false, OTHER, 1, STR("{}"));
    expect_int(last_of(4, 1, &count), 4);
    expect_int(count, 0);
    end();
}

static void a_hole(void)
{
    unsigned count = 0;

    begin();
    put(1, 1, false, S, 3, STR("{}")), put(2, 1, false, S, 4, STR("{}"));
    put(4, 1, false, OTHER, 1, STR("{}")); /* 3 is missing */
    expect_int(last_of(4, 2, &count), -ENODATA);
    expect_int(last_of(4, 3, &count), 4); /* the record is of after the hole */
    put(5, 1, false, S, 6, STR("{}"));
    expect_int(last_of(4, 2, &count), -ENODATA); /* not every number is there again */
    put(6, 1, true, 0, 0, STR_NONE);
    expect_int(last_of(4, 2, &count), 6);
    expect_int(count, 1);
    end();
}

static void cut_off(void)
{
    unsigned count = 0;

    begin();
    put(1, 1, false, S, 3, STR("{}")), put(2, 1, false, S, 4, STR("{}")), put(3, 3, false, OTHER, 1, STR("{}"));
    expect_int(last_of(2, 0, &count), -ENODATA); /* what was cut off may have been its own */
    expect_int(last_of(4, 2, &count), 4);
    put(4, 3, false, S, 5, STR("{}"));
    expect_int(last_of(2, 0, &count), 5);
    expect_int(count, 1);
    end();
}

static void over(void)
{
    unsigned count;

    begin();
    put(1, 1, false, S, 3, STR("{}")), ended(2);
    expect_int(last_of(3, 1, &count), -ENODATA);
    end();
}

static void gone(void)
{
    unsigned count;

    begin();
    expect_int(last_of(3, 1, &count), -ENODATA); /* Redis came back empty */
    end();
}

static void what_is_no_entry(void)
{
    struct log_cursor c;
    struct log_event e;
    BUF_AUTO struct buf entry = {0};

    expect_int(log_entry_open(STR(""), &c), -EINVAL);
    expect_int(log_entry_open(STR("\2\0"), &c), -EINVAL);
    log_entry_begin(&entry, true);
    log_event_write(&entry, UINT64_MAX, STR("X"), STR(""), 1);
    expect_int(log_entry_open(buf_str(&entry), &c), 0);
    expect_true(c.anew && !log_event_next(&c, &e) && c.broken); /* its recipient is missing */
    log_recipient_write(&entry, &(struct log_recipient){UINT32_MAX, UINT64_MAX, 2});
    expect_int(log_entry_open(buf_str(&entry), &c), 0);
    expect_true(log_event_next(&c, &e));
    expect_true(e.id == UINT64_MAX && str_eq(e.name, STR("X")) && e.data.p && !e.data.n);
    struct log_recipient to = log_recipient_at(&e, 0);
    expect_true(to.session == UINT32_MAX && to.seq == UINT64_MAX && to.redaction == 2);
    expect_true(!log_event_next(&c, &e) && !c.broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CO_TEST(the_tail_without_a_hole),
                                       CO_TEST(quiet_since_its_record),
                                       CO_TEST(a_hole),
                                       CO_TEST(cut_off),
                                       CO_TEST(over),
                                       CO_TEST(gone),
                                       CO_TEST(what_is_no_entry)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
