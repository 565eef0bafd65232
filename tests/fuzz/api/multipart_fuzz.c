/* multipart/form-data: the first line is the Content-Type, the rest the body. Every part lies within the body, and a
 * body that is put together anew from the parts reads the same. */
#include "tests/fuzz/fuzz.h"

#include "platform/api/multipart.h"
#include "platform/base/buf.h"
#include "platform/base/check.h"

static void check_within(struct str part, struct str body)
{
    CHECK(part.p >= body.p && part.p + part.n <= body.p + body.n);
}

static bool has(struct str s, char c)
{
    return s.n && memchr(s.p, c, s.n);
}

/* True when the value can stand between quotes as it is. */
static bool is_plain(struct str s)
{
    return !has(s, '\r') && !has(s, '\n') && !has(s, '"') && !has(s, '\\');
}

static void again(struct arena *a, struct str boundary, const struct multipart_part *parts, unsigned count)
{
    struct buf b = BUF_INIT(1 << 24);
    struct multipart_part *read;
    unsigned n;

    for (unsigned i = 0; i < count; i++) {
        if (!is_plain(parts[i].name)) {
            buf_done(&b);
            return;
        }
        buf_adds(&b, "--");
        buf_add_str(&b, boundary);
        buf_adds(&b, "\r\nContent-Disposition: form-data; name=\"");
        buf_add_str(&b, parts[i].name);
        buf_adds(&b, "\"\r\n\r\n");
        buf_add_str(&b, parts[i].bytes);
        buf_adds(&b, "\r\n");
    }
    buf_adds(&b, "--");
    buf_add_str(&b, boundary);
    buf_adds(&b, "--");
    CHECK(multipart_parse(buf_str(&b), boundary, a, &read, &n) == 0);
    CHECK(n == count);
    for (unsigned i = 0; i < n; i++)
        CHECK(str_eq(read[i].bytes, parts[i].bytes) && str_eq(read[i].name, parts[i].name));
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    const char *text = (const char *)data, *eol = size ? memchr(text, '\n', size) : NULL;
    struct str type = {text, eol ? (size_t)(eol - text) : size};
    struct str body = {text + type.n + (eol != NULL), size - type.n - (eol != NULL)};
    struct multipart_part *parts;
    unsigned count;
    struct str boundary = multipart_boundary(&a, type);

    if (boundary.p && multipart_parse(body, boundary, &a, &parts, &count) == 0) {
        for (unsigned i = 0; i < count; i++)
            check_within(parts[i].bytes, body);
        again(&a, boundary, parts, count);
    }
    arena_done(&a);
    return 0;
}
