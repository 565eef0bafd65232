/* HTTP JSON bodies: the first line is "METHOD PATH CONTENT-TYPE", the rest the body. Whatever comes is read by the
 * router, as JSON or multipart, and by the readers that handlers use; what is wrong becomes an `errors` tree. */
#include "tests/fuzz/fuzz.h"

#include "platform/api/api_private.h"
#include "platform/api/channels/channels.h"
#include "platform/api/form.h"
#include "platform/api/messages/messages.h"
#include "platform/base/check.h"
#include "platform/base/mem.h"

#include <stdlib.h>

static void read_channel(struct api_ctx *x)
{
    struct overwrite old = {.id = 5, .allow = 1024};
    struct channel ch = {.id = 1, .guild_id = 2, .overwrites = &old, .overwrite_count = 1};
    struct channel category = {.id = 7, .guild_id = 2, .type = CHANNEL_GUILD_CATEGORY};
    struct api_access access = {.permissions = 1024 | PERMISSION_MANAGE_ROLES};

    ch.type = x->body && json_is_string(json_object_get(x->body, "voice")) ? CHANNEL_GUILD_VOICE : CHANNEL_GUILD_TEXT;
    channel_read(x, &ch, &category, 1);
    if (channel_overwrites_read(x, &access, &ch) == API_OK)
        for (unsigned i = 0; i < ch.overwrite_count; i++)
            CHECK(ch.overwrites[i].id && ((ch.overwrites[i].allow | ch.overwrites[i].deny) & ~PERMISSIONS_ALL) == 0);
}

static void read_members(struct api_ctx *x)
{
    static const enum form_need needs[] = {FORM_OPTIONAL, FORM_REQUIRED, FORM_NULLABLE};
    static const char *const keys[] = {"name", "content", "nick", "roles", "flags", "id", "permissions", "tts"};
    struct str s;
    int64_t n;
    uint64_t id, *ids;
    unsigned count;
    bool b;

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        enum form_need need = needs[i % 3];
        if (form_str(x, keys[i], need, 1, 100, &s))
            CHECK(s.p == NULL || (utf8_count(s) >= 1 && utf8_count(s) <= 100));
        if (form_i64(x, keys[i], need, -5, 5, &n))
            CHECK(n >= -5 && n <= 5);
        (void)form_bool(x, keys[i], need, &b);
        (void)form_id(x, keys[i], need, &id);
        (void)form_bits(x, keys[i], need, &id);
        if (form_ids(x, keys[i], need, 20, &ids, &count))
            CHECK(count <= 20);
        (void)form_object(x, keys[i], need);
        (void)query_i64(x, keys[i], 1, 100, &n);
        (void)query_id(x, keys[i], &id);
    }
    (void)embeds_read(x);
}

static void check_errors(struct api_ctx *x)
{
    json_t *tree = form_errors_tree(&x->form_errors);
    char *text = json_dumps(tree, JSON_COMPACT);

    CHECK(text);
    free(text);
    json_decref(tree);
}

static void serve(struct http_request *req, const struct route *route)
{
    struct api_ctx x = {.req = req, .arena = &req->arena, .form_errors = BUF_INIT(64 << 10)};

    if (body_read(&x, route) == API_OK) {
        for (unsigned i = 0; i < x.file_count; i++)
            CHECK(x.files[i].bytes.p >= req->body.p &&
                  x.files[i].bytes.p + x.files[i].bytes.n <= req->body.p + req->body.n);
        read_members(&x);
        read_channel(&x);
    }
    check_errors(&x);
    json_decref(x.body);
    buf_done(&x.form_errors);
}

static struct str word_next(struct str *line)
{
    const char *blank = line->n ? memchr(line->p, ' ', line->n) : NULL;
    struct str word = {line->p, blank ? (size_t)(blank - line->p) : line->n};

    line->p += word.n + (blank != NULL);
    line->n -= word.n + (blank != NULL);
    return word;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct router *router;
    const char *text = (const char *)data, *eol = size ? memchr(text, '\n', size) : NULL;
    struct str line = {text, eol ? (size_t)(eol - text) : size};
    struct http_request req = {.method = HTTP_METHOD_OTHER};
    struct http_header type = {.name = STR("Content-Type")};
    struct route_match m;

    if (!router)
        router = router_new();
    req.body = (struct str){text + line.n + (eol != NULL), size - line.n - (eol != NULL)};
    struct str method = word_next(&line);
    for (enum http_method i = HTTP_METHOD_GET; i < HTTP_METHOD_OTHER; i++)
        if (str_eq(method, str_c(http_method_name(i))))
            req.method = i;
    req.path = word_next(&line);
    const char *mark = req.path.n ? memchr(req.path.p, '?', req.path.n) : NULL;
    if (mark) {
        req.query = (struct str){mark + 1, req.path.n - (size_t)(mark + 1 - req.path.p)};
        req.path.n = (size_t)(mark - req.path.p);
    }
    type.value = line;
    req.headers = &type;
    req.header_count = 1;
    if (router_match(router, req.method, req.path, &req.arena, &m) == API_OK)
        serve(&req, m.route);
    arena_done(&req.arena);
    return 0;
}
