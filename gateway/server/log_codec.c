/* Entries of session logs. Pure. */
#include "gateway/server/log_codec.h"

#include <errno.h>

#define VERSION         1
#define NO_DATA         UINT32_MAX
#define RECIPIENT_BYTES 13

static void add_int(struct buf *out, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        buf_addc(out, (char)(v >> (8 * i)));
}

static uint64_t int_at(const char *p, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = bytes; i-- > 0;)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

void log_entry_begin(struct buf *out, bool anew)
{
    buf_addc(out, VERSION);
    buf_addc(out, anew);
}

void log_event_write(struct buf *out, uint64_t id, struct str name, struct str data, uint32_t recipients)
{
    add_int(out, id, 8);
    add_int(out, name.n, 1);
    buf_add_str(out, name);
    add_int(out, data.p ? data.n : NO_DATA, 4);
    if (data.p)
        buf_add_str(out, data);
    add_int(out, recipients, 4);
}

void log_recipient_write(struct buf *out, const struct log_recipient *r)
{
    add_int(out, r->session, 4);
    add_int(out, r->seq, 8);
    add_int(out, r->redaction, 1);
}

int log_entry_open(struct str bytes, struct log_cursor *ret)
{
    if (bytes.n < 2 || bytes.p[0] != VERSION)
        return -EINVAL;
    *ret = (struct log_cursor){.rest = {bytes.p + 2, bytes.n - 2}, .anew = bytes.p[1] != 0};
    return 0;
}

static const char *take(struct log_cursor *c, uint64_t n)
{
    const char *p = c->rest.p;

    if (c->broken || n > c->rest.n) {
        c->broken = true;
        return NULL;
    }
    c->rest.p += n;
    c->rest.n -= (size_t)n;
    return p;
}

static uint64_t take_int(struct log_cursor *c, unsigned bytes)
{
    const char *p = take(c, bytes);

    return p ? int_at(p, bytes) : 0;
}

static struct str take_str(struct log_cursor *c, uint64_t n)
{
    const char *p = take(c, n);

    return p ? (struct str){p, (size_t)n} : STR_NONE;
}

bool log_event_next(struct log_cursor *c, struct log_event *ret)
{
    if (!c->rest.n || c->broken)
        return false;
    struct log_event e = {.id = take_int(c, 8)};
    e.name = take_str(c, take_int(c, 1));
    uint64_t data = take_int(c, 4);
    if (data != NO_DATA)
        e.data = take_str(c, data);
    e.recipient_count = (uint32_t)take_int(c, 4);
    e.recipients = take(c, (uint64_t)e.recipient_count * RECIPIENT_BYTES);
    if (c->broken)
        return false;
    *ret = e;
    return true;
}

struct log_recipient log_recipient_at(const struct log_event *e, uint32_t i)
{
    const char *p = e->recipients + (size_t)i * RECIPIENT_BYTES;

    return (struct log_recipient){(uint32_t)int_at(p, 4), int_at(p + 4, 8), (uint8_t)p[12]};
}
