/* What encodings and compressions cost, in processor time. First in this process, for MESSAGE_CREATE events of about
 * 770 bytes that differ as people's messages do: once for each event (splice), or once for each session and event (a
 * compressor of its own), with ratio and memory. Then in gateway processes, as fanout.c does it: processor time for
 * each recipient with each wire, side by side in one run, beside plain JSON. */
#include "tests/bench/bench.h"

#include "platform/base/buf.h"
#include "platform/protocol/etf.h"
#include "platform/protocol/stream_context.h"
#include "platform/protocol/zlib_splice.h"
#include "platform/protocol/zstd_splice.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS     2000
#define CONTEXTS   200
#define ROUNDS     15
#define DELIVERIES 16000 /* of a sender in a round, about */

/* --- in this process --- */

static struct buf events[EVENTS], terms[EVENTS];

static void message_write(struct buf *b, unsigned i)
{
    static const char *const words[] = {"has",   "anybody", "seen",  "the",   "release", "notes",   "of",
                                        "today", "I",       "think", "limit", "went",    "up",      "again",
                                        "maybe", "not",     "sure",  "lol",   "why",     "gateway", "message",
                                        "test",  "bot",     "works", "fine",  "here",    "now"};
    unsigned long long id = 1258291200000000000ull + (unsigned long long)rand() * 4096, author = 1003456789012000000ull;
    unsigned who = (unsigned)rand() % 50, count = 4 + (unsigned)rand() % 24;
    buf_addf(
        b,
        "\"t\":\"MESSAGE_CREATE\",\"op\":0,\"d\":{\"id\":\"%llu\",\"type\":0,\"channel_id\":\"%llu\",\"author\":{"
        "\"id\":\"%llu\",\"username\":\"person%u\",\"discriminator\":\"0\",\"global_name\":\"Person %u\",\"avatar\":"
        "\"a_d5efa99b3eeaa7dd43acca82f56%05x\",\"bot\":false,\"public_flags\":0},\"content\":\"",
        id, author + who % 7, author + who * 977, who, who, who * 7919);
    for (unsigned k = 0; k < count; k++)
        buf_addf(b, k ? " %s" : "%s", words[(unsigned)rand() % (sizeof words / sizeof *words)]);
    buf_addf(
        b,
        "\",\"timestamp\":\"2026-01-02T03:%02u:%02u.%03u000+00:00\",\"edited_timestamp\":null,\"tts\":false,"
        "\"mention_everyone\":false,\"mentions\":[],\"mention_roles\":[],\"attachments\":[],\"embeds\":[],\"pinned\":"
        "false,\"flags\":0,\"nonce\":\"%llu\",\"guild_id\":\"8388608\",\"member\":{\"roles\":[\"%llu\"],"
        "\"joined_at\":\"2024-01-02T03:04:05.678000+00:00\",\"nick\":null,\"deaf\":false,\"mute\":false}}}",
        i / 60 % 60, i % 60, (unsigned)rand() % 1000, id - 4194304, author + who % 5);
}

static size_t total(const struct buf *texts)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < EVENTS; i++)
        bytes += texts[i].len;
    return bytes;
}

static void tell_once(const char *name, uint64_t ns, size_t bytes)
{
    printf("encodings once-per-event %-22s %6.2f us, %4zu bytes, ratio to JSON %.2f\n", name, (double)ns / 1e3 / EVENTS,
           bytes / EVENTS, (double)total(events) / (double)bytes);
}

static void once_etf(void)
{
    uint64_t begun = process_cpu_ns(getpid());
    for (unsigned i = 0; i < EVENTS; i++) {
        buf_clear(&terms[i]);
        if (etf_tail(buf_str(&events[i]), &terms[i]) < 0)
            exit(1);
    }
    tell_once("etf", process_cpu_ns(getpid()) - begun, total(terms));
}

static void once_zlib(const char *name, const struct buf *texts)
{
    struct zlib_splice *z = zlib_splice_new();
    struct buf out = {0};
    size_t bytes = 0;
    uint64_t begun = process_cpu_ns(getpid());
    for (unsigned i = 0; i < EVENTS; i++, bytes += out.len) {
        buf_clear(&out);
        (void)zlib_splice_run(z, buf_str(&texts[i]), &out);
    }
    tell_once(name, process_cpu_ns(getpid()) - begun, bytes);
    buf_done(&out);
    zlib_splice_free(z);
}

static void once_zstd(const char *name, const struct buf *texts)
{
    struct zstd_splice *z = zstd_splice_new();
    struct buf out = {0};
    size_t bytes = 0;
    uint64_t begun = process_cpu_ns(getpid());
    for (unsigned i = 0; i < EVENTS; i++, bytes += out.len) {
        buf_clear(&out);
        (void)zstd_splice_run(z, buf_str(&texts[i]), &out);
    }
    tell_once(name, process_cpu_ns(getpid()) - begun, bytes);
    if (zstd_splice_refused(z))
        printf("encodings %s: %llu of %d events sent raw\n", name, (unsigned long long)zstd_splice_refused(z), EVENTS);
    buf_done(&out);
    zstd_splice_free(z);
}

static size_t resident_kb(void)
{
    unsigned long all = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f || fscanf(f, "%lu %lu", &all, &resident) != 2)
        exit(1);
    fclose(f);
    return resident * 4;
}

/* All events to each of some sessions; each session in turn, so that its memory is as cold as it would be. */
static void own(const char *name, enum stream_kind kind, const struct buf *texts)
{
    struct stream_context *sessions[CONTEXTS];
    struct buf out = {0};
    size_t bytes = 0, kb = resident_kb();
    unsigned count = EVENTS / 10;
    for (unsigned s = 0; s < CONTEXTS; s++) {
        sessions[s] = stream_context_new(kind);
        (void)stream_context_write(sessions[s], STR(""), buf_str(&texts[0]), &out); /* libzstd allocates at first use */
    }
    uint64_t begun = process_cpu_ns(getpid());
    for (unsigned i = 0; i < count; i++)
        for (unsigned s = 0; s < CONTEXTS; s++, bytes += out.len) {
            buf_clear(&out);
            (void)stream_context_write(sessions[s], STR("{\"s\":1234,"), buf_str(&texts[i]), &out);
        }
    double each = (double)(process_cpu_ns(getpid()) - begun) / 1e3 / count / CONTEXTS;
    size_t plain = 0;
    for (unsigned i = 0; i < count; i++)
        plain += events[i].len + strlen("{\"s\":1234,");
    printf("encodings own-compressor %-22s %6.2f us for each recipient, %4zu bytes, ratio to JSON %.2f, %zu KB "
           "resident each\n",
           name, each, bytes / count / CONTEXTS, (double)plain * CONTEXTS / (double)bytes,
           (resident_kb() - kb) / CONTEXTS);
    for (unsigned s = 0; s < CONTEXTS; s++)
        stream_context_free(sessions[s]);
    buf_done(&out);
}

static void in_process(void)
{
    srand(1);
    for (unsigned i = 0; i < EVENTS; i++) {
        message_write(&events[i], i);
        if (etf_tail(buf_str(&events[i]), &terms[i]) < 0)
            exit(1);
    }
    printf("encodings events=%d, %zu bytes of JSON each\n", EVENTS, total(events) / EVENTS);
    once_etf();
    once_zlib("zlib-stream", events);
    once_zlib("etf, zlib-stream", terms);
    once_zstd("zstd-stream", events);
    once_zstd("etf, zstd-stream", terms);
    own("zlib-stream", STREAM_ZLIB, events);
    own("etf, zlib-stream", STREAM_ZLIB, terms);
    own("zstd-stream", STREAM_ZSTD, events);
    own("etf, zstd-stream", STREAM_ZSTD, terms);
    fflush(stdout);
}

/* --- gateway processes --- */

static const struct {
    const char *name, *query;
} wires[] = {
    {"json", ""},
    {"zlib-stream", "&compress=zlib-stream"},
    {"zstd-stream", "&compress=zstd-stream"},
    {"etf", "&encoding=etf"},
    {"etf, zlib-stream", "&encoding=etf&compress=zlib-stream"},
    {"etf, zstd-stream", "&encoding=etf&compress=zstd-stream"},
};
#define WIRES (sizeof wires / sizeof *wires)

static double turn(struct sender *s, int sessions, int burst)
{
    int bursts = DELIVERIES / sessions / burst;
    bursts = bursts ? bursts : 1;
    uint64_t cpu = process_cpu_ns(s->pid);
    for (int i = 0; i < bursts; i++) {
        sender_send(s, burst);
        sender_take(s, burst);
    }
    return (double)(process_cpu_ns(s->pid) - cpu) / ((double)bursts * burst * sessions * 1e3);
}

static void compare(struct sender *senders, int sessions, int burst)
{
    static double us[WIRES][ROUNDS], more[WIRES][ROUNDS];
    for (size_t i = 0; i < WIRES; i++)
        turn(&senders[i], sessions, burst);
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < WIRES; i++) {
            size_t k = (i + round) % WIRES; /* nobody is always the first */
            us[k][round] = turn(&senders[k], sessions, burst);
        }
        for (size_t i = 0; i < WIRES; i++)
            more[i][round] = us[i][round] - us[0][round];
    }
    for (size_t i = 0; i < WIRES; i++)
        printf("encodings sessions=%d burst=%d %-18s %4zu bytes: %5.2f us of processor time for each recipient, %+.2f "
               "us to "
               "JSON in the same round\n",
               sessions, burst, wires[i].name, senders[i].frame_bytes, median(us[i], ROUNDS), median(more[i], ROUNDS));
    fflush(stdout);
}

void bench_encodings(int sessions)
{
    static struct sender senders[WIRES];
    signal(SIGPIPE, SIG_IGN);
    in_process();
    for (size_t i = 0; i < WIRES; i++)
        sender_gateway(&senders[i], wires[i].name, sessions, wires[i].query);
    compare(senders, sessions, 1);
    compare(senders, sessions, 16);
    for (size_t i = 0; i < WIRES; i++)
        sender_stop(&senders[i]);
}
