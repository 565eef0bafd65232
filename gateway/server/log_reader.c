/* Decoded logs of other nodes. Loop thread. */
#include "gateway/server/log_reader.h"

#include "gateway/server/log_codec.h"
#include "gateway/server/server.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/co.h"
#include "platform/ports/kv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ENTRIES_A_READ 16

struct log_seen {
    struct log_seen *next;
    uint64_t id;
    enum event_type type;
    bool has_data;
    struct encoded *encoded; /* made when the first session needs it */
    size_t len;
    char data[];
};

struct lines {
    struct log_line *lines;
    unsigned count, cap;
};

struct log_reader {
    struct list item; /* in gateway.readers, by last use */
    struct gateway *g;
    char run[40];
    bool reading, broken;
    unsigned refs;
    int64_t used_ms;
    uint64_t first, last; /* entries read; 0: none */
    uint64_t gap, anew;   /* the last entry that is missing between them, and the last that says anew */
    struct map sessions;  /* index + 1 -> struct lines */
    struct past *past;
    struct log_seen *events;
};

static void reader_free(struct log_reader *r)
{
    size_t cursor = 0;

    for (struct lines *l; (l = map_next(&r->sessions, &cursor));) {
        mem_free(l->lines);
        mem_free(l);
    }
    map_done(&r->sessions);
    for (struct log_seen *e; (e = r->events);) {
        r->events = e->next;
        encoded_unref(e->encoded);
        mem_free(e);
    }
    past_unref(r->past);
    list_remove(&r->item);
    mem_free(r);
}

static void line_add(struct log_reader *r, uint64_t entry, const struct log_recipient *to, struct log_seen *event)
{
    struct lines *l = map_get(&r->sessions, (uint64_t)to->session + 1);

    if (!l) {
        l = MEM_NEW(struct lines);
        (void)map_put(&r->sessions, (uint64_t)to->session + 1, l);
    }
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 4;
        l->lines = mem_realloc(l->lines, sizeof *l->lines * l->cap);
    }
    l->lines[l->count++] = (struct log_line){entry, to->seq, to->redaction == LOG_ENDED ? NULL : event, to->redaction};
}

static struct log_seen *event_add(struct log_reader *r, const struct log_event *e)
{
    enum event_type type = EVENT_READY;
    bool known = event_type_find(e->name, &type) == 0;
    struct log_seen *seen = mem_zalloc(sizeof *seen + e->data.n);

    *seen = (struct log_seen){.next = r->events, .id = e->id, .type = type, .len = e->data.n};
    seen->has_data = known && e->data.p;
    if (e->data.n)
        memcpy(seen->data, e->data.p, e->data.n);
    return r->events = seen;
}

static int entry_take(struct log_reader *r, const struct kv_log_entry *entry)
{
    struct log_cursor c;
    struct log_event e;

    if (log_entry_open(entry->bytes, &c) < 0)
        return -EINVAL;
    if (!r->first)
        r->first = entry->number;
    else if (entry->number != r->last + 1)
        r->gap = entry->number - 1;
    r->last = entry->number;
    if (c.anew)
        r->anew = entry->number;
    while (log_event_next(&c, &e)) {
        past_add(r->past, e.id, entry->number);
        if (!e.recipient_count)
            continue;
        struct log_seen *seen = event_add(r, &e);
        for (uint32_t i = 0; i < e.recipient_count; i++) {
            struct log_recipient to = log_recipient_at(&e, i);
            line_add(r, entry->number, &to, seen);
        }
    }
    return c.broken ? -EINVAL : 0;
}

static int read_on(struct log_reader *r)
{
    unsigned count = ENTRIES_A_READ;
    int error = 0;

    while (error == 0 && count == ENTRIES_A_READ) {
        struct arena a = {0};
        struct kv_log_entry *entries;
        error = kv_log_read(r->g->ports->kv, &a, r->run, r->last + 1, ENTRIES_A_READ, &entries, &count);
        for (unsigned i = 0; error == 0 && i < count; i++)
            error = entry_take(r, &entries[i]);
        arena_done(&a);
    }
    return error;
}

static struct log_reader *reader_of(struct gateway *g, const char *run)
{
    LIST_FOREACH(it, &g->readers)
    {
        struct log_reader *r = LIST_ENTRY(it, struct log_reader, item);
        if (strcmp(r->run, run) == 0 && !r->broken)
            return r;
    }
    struct log_reader *r = MEM_NEW(struct log_reader);
    r->g = g;
    snprintf(r->run, sizeof r->run, "%s", run);
    r->past = past_new(g, run);
    list_init(&r->item);
    return r;
}

int log_reader_open(struct gateway *g, const char *run, struct log_reader **ret)
{
    struct log_reader *r = reader_of(g, run);

    r->refs++;
    list_remove(&r->item);
    list_append(&g->readers, &r->item);
    while (r->reading)
        co_sleep(1);
    r->reading = true;
    int error = r->broken ? -EINVAL : read_on(r);
    r->reading = false;
    if (error == -EINVAL)
        r->broken = true;
    if (error < 0)
        log_reader_release(r);
    else
        *ret = r;
    return error;
}

void log_reader_release(struct log_reader *r)
{
    r->used_ms = clock_mono_ms();
    r->refs--;
}

void log_readers_tick(struct gateway *g, int64_t now_ms)
{
    LIST_FOREACH_SAFE(it, &g->readers)
    {
        struct log_reader *r = LIST_ENTRY(it, struct log_reader, item);
        if (r->refs == 0 && (r->broken || now_ms - r->used_ms > LIMIT_SESSION_LOG_READ_MS))
            reader_free(r);
    }
}

void log_readers_free(struct gateway *g)
{
    LIST_FOREACH_SAFE(it, &g->readers)
    reader_free(LIST_ENTRY(it, struct log_reader, item));
}

/* The lines are in the order of their numbers: entries are, and within one a session's dispatches are sorted here. */
static int by_seq(const void *a, const void *b)
{
    const struct log_line *x = a, *y = b;

    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* A session that came from elsewhere brought copies. */
static void lines_unique(struct lines *l)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < l->count; i++)
        if (!kept || l->lines[kept - 1].seq != l->lines[i].seq)
            l->lines[kept++] = l->lines[i];
    l->count = kept;
}

int log_reader_session(const struct log_reader *r, const struct session_record *rec, const struct log_line **ret_lines,
                       unsigned *ret_count, uint64_t *ret_last)
{
    struct lines *l = map_get(&r->sessions, (uint64_t)rec->index + 1);
    uint64_t last = rec->seq, newest = 0;

    for (unsigned i = 0; l && i < l->count; i++) {
        if (!l->lines[i].event)
            return -ENODATA; /* told to identify again */
        newest = l->lines[i].entry > newest ? l->lines[i].entry : newest;
        last = l->lines[i].seq > last ? l->lines[i].seq : last;
    }
    /* a hole behind the record: what came in it is not known, unless the session had more afterwards */
    if (r->gap > rec->entry && (r->anew <= r->gap || newest <= r->gap))
        return -ENODATA;
    /* the log was cut behind the record, or is gone */
    if ((r->first ? r->first > rec->entry + 1 : rec->entry > 0 && !rec->released) && newest == 0)
        return -ENODATA;
    *ret_last = last;
    *ret_count = 0;
    if (!l)
        return 0;
    qsort(l->lines, l->count, sizeof *l->lines, by_seq);
    lines_unique(l);
    unsigned at = l->count;
    for (uint64_t wanted = last; at > 0 && l->lines[at - 1].seq == wanted; wanted--)
        at--;
    *ret_lines = l->lines + at;
    *ret_count = l->count - at;
    return 0;
}

uint64_t log_reader_last(const struct log_reader *r)
{
    return r->last;
}

struct past *log_reader_past(const struct log_reader *r)
{
    return r->past;
}

struct encoded *log_line_encoded(struct log_reader *r, const struct log_line *line)
{
    struct log_seen *e = line->event;

    if (!e->has_data)
        return NULL;
    if (!e->encoded) {
        e->encoded = encoded_new(&r->g->log, e->type, (struct str){e->data, e->len});
        encoded_event_id_put(e->encoded, e->id);
    }
    return e->encoded;
}
