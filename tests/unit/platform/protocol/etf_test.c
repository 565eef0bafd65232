#include "platform/protocol/etf.h"

#include "platform/base/limits.h"
#include "tests/support/cm.h"

#include <errno.h>
#include <stdio.h>

#define BYTES(literal) ((struct str){literal, sizeof(literal) - 1})

static void assert_term(struct str got, struct str wanted)
{
    assert_int_equal(got.n, wanted.n);
    assert_memory_equal(got.p, wanted.p, wanted.n);
}

/* The bytes of `json` as the d of a payload without its head. */
static void assert_written(const char *json, struct str wanted)
{
    static const char before[] = "d\0\1td\0\1Xd\0\2opa\0d\0\1d";
    BUF_AUTO struct buf tail = BUF_INIT(0), out = BUF_INIT(0);

    buf_addf(&tail, "\"t\":\"X\",\"op\":0,\"d\":%s}", json);
    assert_int_equal(etf_tail(buf_str(&tail), &out), 0);
    assert_true(out.len >= sizeof before - 1);
    assert_memory_equal(out.data, before, sizeof before - 1);
    assert_term((struct str){out.data + sizeof before - 1, out.len - (sizeof before - 1)}, wanted);
}

static void assert_read(struct str term, const char *json)
{
    BUF_AUTO struct buf out = BUF_INIT(0);

    assert_int_equal(etf_read(term, &out), 0);
    assert_buf(&out, json);
}

static void assert_refused(struct str term, int error)
{
    BUF_AUTO struct buf out = BUF_INIT(1 << 16);

    assert_int_equal(etf_read(term, &out), error);
}

static void every_kind_of_value(void **state)
{
    (void)state;
    assert_written("null", BYTES("d\0\3nil"));
    assert_written("true", BYTES("d\0\4true"));
    assert_written("false", BYTES("d\0\5false"));
    assert_written("0", BYTES("a\0"));
    assert_written("-0", BYTES("a\0"));
    assert_written("255", BYTES("a\xFF"));
    assert_written("256", BYTES("b\0\0\1\0"));
    assert_written("-1", BYTES("b\xFF\xFF\xFF\xFF"));
    assert_written("2147483647", BYTES("b\x7F\xFF\xFF\xFF"));
    assert_written("-2147483648", BYTES("b\x80\0\0\0"));
    assert_written("2147483648", BYTES("n\4\0\0\0\0\x80"));
    assert_written("-2147483649", BYTES("n\4\1\1\0\0\x80"));
    assert_written("1700000000123", BYTES("n\6\0\x7B\x68\xE5\xCF\x8B\1"));
    assert_written("18446744073709551615", BYTES("n\x08\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"));
    assert_written("1.5", BYTES("F\x3F\xF8\0\0\0\0\0\0"));
    assert_written("18446744073709551616", BYTES("F\x43\xF0\0\0\0\0\0\0"));
    assert_written("-0.50000000000000000000000000000000000000000000000000000000000000000000000",
                   BYTES("F\xBF\xE0\0\0\0\0\0\0"));
    assert_written("\"\"", BYTES("m\0\0\0\0"));
    assert_written("\"h\xC3\xA9\"", BYTES("m\0\0\0\3h\xC3\xA9"));
    assert_written("[]", BYTES("j"));
    assert_written(" [ 1 , \"a\" ] ", BYTES("l\0\0\0\2a\1m\0\0\0\1aj"));
    assert_written("{}", BYTES("t\0\0\0\0"));
    assert_written("{\"a\":{\"b\":[[]]}}", BYTES("t\0\0\0\1m\0\0\0\1at\0\0\0\1m\0\0\0\1bl\0\0\0\1jj"));
}

static void escapes(void **state)
{
    (void)state;
    assert_written("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", BYTES("m\0\0\0\x08\"\\/\b\f\n\r\t"));
    assert_written("\"\\u0041\\u00e9\\u20AC\\ud83d\\udc4b\"", BYTES("m\0\0\0\x0A"
                                                                    "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x91\x8B"));
    assert_written("\"\\ud83d!\"", BYTES("m\0\0\0\4\xEF\xBF\xBD!")); /* half a pair */
    assert_written("{\"a\\nb\":1}", BYTES("t\0\0\0\1m\0\0\0\3a\nba\1"));
}

#define ID_TEXT  "\"1258291200000000001\""
#define ID_TERM  "n\x08\0\1\0\0\0\x2E\x59\x76\x11"
#define TEXT_KEY "m\0\0\0"

static void snowflakes_are_integers(void **state)
{
    (void)state;
    assert_written("{\"id\":" ID_TEXT "}", BYTES("t\0\0\0\1" TEXT_KEY "\2id" ID_TERM));
    assert_written("{\"guild_id\":" ID_TEXT "}", BYTES("t\0\0\0\1" TEXT_KEY "\x08guild_id" ID_TERM));
    assert_written("{\"roles\":[" ID_TEXT "]}", BYTES("t\0\0\0\1" TEXT_KEY "\5rolesl\0\0\0\1" ID_TERM "j"));
    assert_written("{\"user_ids\":[" ID_TEXT "]}", BYTES("t\0\0\0\1" TEXT_KEY "\x08user_idsl\0\0\0\1" ID_TERM "j"));
    /* what people and developers wrote, permissions, and what is no 64-bit id, stay text */
    assert_written("{\"content\":" ID_TEXT "}", BYTES("t\0\0\0\1" TEXT_KEY "\7contentm\0\0\0\x13"
                                                      "1258291200000000001"));
    assert_written("{\"custom_id\":" ID_TEXT "}", BYTES("t\0\0\0\1" TEXT_KEY "\x09"
                                                        "custom_idm\0\0\0\x13"
                                                        "1258291200000000001"));
    assert_written("{\"id\":\"4294967295\"}", BYTES("t\0\0\0\1" TEXT_KEY "\2idm\0\0\0\x0A"
                                                    "4294967295"));
    assert_written("{\"id\":\"9223372036854775808\"}", BYTES("t\0\0\0\1" TEXT_KEY "\2idm\0\0\0\x13"
                                                             "9223372036854775808"));
    assert_written("{\"session_id\":\"01258291200000000\"}", BYTES("t\0\0\0\1" TEXT_KEY "\x0Asession_idm\0\0\0\x11"
                                                                   "01258291200000000"));
}

static void head_and_tail_are_one_term(void **state)
{
    (void)state;
    static const struct {
        uint64_t seq;
        const char *text;
    } seqs[] = {{1, "1"}, {255, "255"}, {256, "256"}, {2147483648, "2147483648"}, {UINT64_MAX, "18446744073709551615"}};
    char head[ETF_HEAD_BYTES], wanted[128];

    for (size_t i = 0; i < sizeof seqs / sizeof *seqs; i++) {
        BUF_AUTO struct buf whole = BUF_INIT(0), out = BUF_INIT(0);
        buf_add(&whole, head, etf_head(seqs[i].seq, head));
        assert_int_equal(etf_tail(STR("\"t\":\"READY\",\"op\":0,\"d\":{\"v\":10}}"), &whole), 0);
        /* atoms are no keys for the reader, who reads what clients send: make them binaries */
        BUF_AUTO struct buf binaries = BUF_INIT(0);
        for (size_t at = 0; at < whole.len;) {
            bool key =
                whole.data[at] == 'd' && !whole.data[at + 1] && (whole.data[at + 2] == 1 || whole.data[at + 2] == 2);
            buf_add(&binaries, key ? "m\0\0" : whole.data + at, key ? 3 : 1);
            at++;
        }
        assert_int_equal(etf_read(buf_str(&binaries), &out), 0);
        (void)snprintf(wanted, sizeof wanted, "{\"s\":%s,\"t\":\"READY\",\"op\":0,\"d\":{\"v\":10}}", seqs[i].text);
        assert_buf(&out, wanted);
    }
}

static void payloads(void **state)
{
    (void)state;
    BUF_AUTO struct buf out = BUF_INIT(0);

    assert_int_equal(etf_payload(STR("{\"t\":null,\"s\":null,\"op\":11,\"d\":null}"), &out), 0);
    assert_term(buf_str(&out), BYTES("\x83t\0\0\0\4d\0\1td\0\3nild\0\1sd\0\3nild\0\2opa\x0B"
                                     "d\0\1dd\0\3nil"));
}

static void broken_json_is_refused(void **state)
{
    (void)state;
    static const char *const broken[] = {"",      "{",         "[1",    "[1,]", "{\"a\"}",     "{\"a\":}",
                                         "{a:1}", "nul",       "truE",  "\"a",  "\"\\x\"",     "\"\\u12\"",
                                         "1x",    "--1",       "1e999", "[1]]", "\"\\u12g4\"", "{\"a\":1,}",
                                         "\"\\",  "1,\"x\":2", "."};

    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        BUF_AUTO struct buf tail = BUF_INIT(0), out = BUF_INIT(0);
        buf_addf(&tail, "\"t\":\"X\",\"op\":0,\"d\":%s}", broken[i]);
        if (etf_tail(buf_str(&tail), &out) != -EINVAL)
            fail_msg("taken: %s", broken[i]);
    }
    BUF_AUTO struct buf deep = BUF_INIT(0), out = BUF_INIT(0), small = BUF_INIT(16);
    buf_adds(&deep, "\"t\":\"X\",\"op\":0,\"d\":");
    for (unsigned i = 0; i < LIMIT_JSON_DEPTH; i++)
        buf_addc(&deep, '[');
    assert_int_equal(etf_tail(buf_str(&deep), &out), -E2BIG);
    assert_int_equal(etf_tail(STR("\"t\":\"X\",\"op\":0,\"d\":{\"content\":\"0123456789\"}}"), &small), -ENOBUFS);
}

/* As erlpack.pack writes {op: 2, d: {token: 'x', intents: 513, shard: [0, 1], since: 1700000000123, afk: false,
 * status: null, list: []}}. */
static void what_erlpack_sends(void **state)
{
    (void)state;
    assert_read(BYTES("\x83t\0\0\0\2m\0\0\0\2opa\2m\0\0\0\1dt\0\0\0\7m\0\0\0\5tokenm\0\0\0\1x"
                      "m\0\0\0\7intentsb\0\0\2\1m\0\0\0\5shardl\0\0\0\2a\0a\1jm\0\0\0\5sinceFBx\xBC\xFE\x56\x87\xB0\0"
                      "m\0\0\0\3afks\5falsem\0\0\0\6statuss\3nilm\0\0\0\4listj"),
                "{\"op\":2,\"d\":{\"token\":\"x\",\"intents\":513,\"shard\":[0,1],\"since\":1700000000123,"
                "\"afk\":false,\"status\":null,\"list\":[]}}");
}

static void what_erlang_sends(void **state)
{
    (void)state;
    assert_read(BYTES("\x83t\0\0\0\1m\0\0\0\5shardk\0\2\0\1"), "{\"shard\":[0,1]}"); /* a list of bytes */
    assert_read(BYTES("\x83l\0\0\0\4d\0\4truew\4nullv\0\6onlines\5falsej"), "[true,null,\"online\",false]");
    assert_read(BYTES("\x83h\2a\1i\0\0\0\1a\2"), "[1,[2]]");
    assert_read(BYTES("\x83n\x08\0\1\0\0\0\x2E\x59\x76\x11"), "1258291200000000001");
    assert_read(BYTES("\x83n\4\1\1\0\0\x80"), "-2147483649");
    assert_read(BYTES("\x83o\0\0\0\1\0\7"), "7");
    assert_read(BYTES("\x83n\x08\1\0\0\0\0\0\0\0\x80"), "-9223372036854775808");
    assert_read(BYTES("\x83n\x08\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), "18446744073709551615");
    assert_read(BYTES("\x83"
                      "c1.50000000000000000000e+00\0\0\0\0\0"),
                "1.5");
    assert_read(BYTES("\x83m\0\0\0\4\"\\\n\1"), "\"\\\"\\\\\\n\\u0001\"");
}

static void broken_terms_are_refused(void **state)
{
    (void)state;
    static const struct str broken[] = {
        BYTES(""),
        BYTES("\x83"),
        BYTES("\x82"
              "a\1"), /* another version */
        BYTES("\x83"
              "a"), /* cut short */
        BYTES("\x83"
              "a\1a"),                                       /* followed by more */
        BYTES("\x83P\0\0\0\2x\x9C\x4B\x64\0\0\0\xC4\0\x63"), /* compressed */
        BYTES("\x83t\0\0\0\1d\0\2opa\1"),                    /* keys of atoms */
        BYTES("\x83t\0\0\0\1a\1a\1"),                        /* and of numbers */
        BYTES("\x83l\xFF\xFF\xFF\xFF"
              "a\1j"), /* counts of what is not there */
        BYTES("\x83t\xFF\xFF\xFF\xFF"),
        BYTES("\x83m\xFF\xFF\xFF\xFFx"),
        BYTES("\x83l\0\0\0\1a\1a\2"),           /* an improper list */
        BYTES("\x83n\x09\0\1\1\1\1\1\1\1\1\1"), /* more than 64 bits */
        BYTES("\x83n\x08\1\1\0\0\0\0\0\0\x80"),
        BYTES("\x83n\1\2\1"), /* neither sign */
        BYTES("\x83"
              "F\x7F\xF0\0\0\0\0\0\0"), /* infinity */
        BYTES("\x83"
              "F\x7F\xF8\0\0\0\0\0\0"), /* not a number */
        BYTES("\x83"
              "cinf\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        BYTES("\x83m\0\0\0\2\xC3\x28"), /* not UTF-8 */
        BYTES("\x83g"),                 /* a pid */
    };

    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        BUF_AUTO struct buf out = BUF_INIT(1 << 16);
        if (etf_read(broken[i], &out) != -EINVAL)
            fail_msg("taken: number %zu", i);
    }
    char deep[1 + 2 * (LIMIT_JSON_DEPTH + 1)];
    deep[0] = (char)131;
    for (unsigned i = 0; i <= LIMIT_JSON_DEPTH; i++)
        memcpy(deep + 1 + (size_t)2 * i, "h\1", 2);
    assert_refused((struct str){deep, sizeof deep}, -E2BIG);
    BUF_AUTO struct buf small = BUF_INIT(4);
    assert_int_equal(etf_read(BYTES("\x83m\0\0\0\5hello"), &small), -ENOBUFS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value),
        cmocka_unit_test(escapes),
        cmocka_unit_test(snowflakes_are_integers),
        cmocka_unit_test(head_and_tail_are_one_term),
        cmocka_unit_test(payloads),
        cmocka_unit_test(broken_json_is_refused),
        cmocka_unit_test(what_erlpack_sends),
        cmocka_unit_test(what_erlang_sends),
        cmocka_unit_test(broken_terms_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
