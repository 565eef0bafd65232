/* Request bodies: JSON, or multipart with payload_json and files. Loop thread. The type a client names is believed for
 * multipart only; everything else is read as JSON. */
#include "platform/api/api_private.h"
#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/api/multipart.h"
#include "platform/protocol/json_read.h"

#include <errno.h>

/* Those whose body is a list: of positions, of commands. */
static bool takes_list(const struct route *route)
{
    return route->handler == guild_channels_reorder || route->handler == guild_roles_reorder ||
           route->handler == application_commands_overwrite || route->handler == guild_commands_overwrite;
}

static enum api_error json_body(struct api_ctx *x, const struct route *route, struct str text)
{
    int r = json_read(text, &x->body, NULL);

    if (r == -ENOMEM)
        return API_ERROR_RESOURCE_OVERLOADED;
    if (r < 0)
        return API_ERROR_INVALID_JSON;
    if (json_is_object(x->body) || (takes_list(route) && json_is_array(x->body)))
        return API_OK;
    form_error(x, "", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType");
    return form_result(x);
}

/* N of "files[N]"; -1 for other names. */
static int file_index(struct str field)
{
    uint64_t n;

    if (field.n < 8 || !str_starts(field, STR("files[")) || field.p[field.n - 1] != ']')
        return -1;
    if (str_to_u64((struct str){field.p + 6, field.n - 7}, &n) < 0 || n > 1000)
        return -1;
    return (int)n;
}

static bool is_text(struct str s)
{
    return utf8_count(s) >= 0 && (!s.n || !memchr(s.p, 0, s.n));
}

static enum api_error multipart_body(struct api_ctx *x, const struct route *route, struct str boundary)
{
    struct multipart_part *parts = NULL;
    unsigned count = 0;
    enum api_error e = API_OK;

    if (multipart_parse(x->req->body, boundary, x->arena, &parts, &count) < 0) {
        form_error(x, "", "MULTIPART_INVALID", "The multipart body could not be read.");
        return form_result(x);
    }
    x->files = ARENA_ARRAY(x->arena, struct api_file, count);
    for (unsigned i = 0; i < count && e == API_OK; i++) {
        if (parts[i].filename.p)
            x->files[x->file_count++] = (struct api_file){
                .field = parts[i].name,
                .index = file_index(parts[i].name),
                .filename = parts[i].filename,
                .content_type = parts[i].content_type,
                .bytes = parts[i].bytes,
            };
        else if (str_eq(parts[i].name, STR("payload_json")) && !x->body)
            e = json_body(x, route, parts[i].bytes);
    }
    if (e != API_OK || x->body)
        return e;
    /* Without payload_json the plain fields are the members, as strings (content=hello). */
    x->body = json_object();
    for (unsigned i = 0; i < count; i++)
        if (!parts[i].filename.p && is_text(parts[i].name) && is_text(parts[i].bytes))
            json_object_setn_new(x->body, parts[i].name.p, parts[i].name.n,
                                 json_stringn(parts[i].bytes.p, parts[i].bytes.n));
    return API_OK;
}

static bool takes_form(const struct route *route)
{
    return route->handler == oauth2_token || route->handler == oauth2_token_revoke;
}

/* a=1&b=2 as members that are texts. Without it x->body stays NULL. */
static enum api_error form_body(struct api_ctx *x)
{
    struct str left = x->req->body;

    if (!str_starts(http_request_header(x->req, "Content-Type"), STR("application/x-www-form-urlencoded")))
        return API_OK;
    x->body = json_object();
    while (left.n) {
        const char *amp = memchr(left.p, '&', left.n);
        struct str pair = {left.p, amp ? (size_t)(amp - left.p) : left.n};
        const char *is = memchr(pair.p, '=', pair.n);
        size_t n = is ? (size_t)(is - pair.p) : pair.n;
        struct str key = http_percent_decode(x->arena, (struct str){pair.p, n}, true);
        struct str value = is ? http_percent_decode(x->arena, (struct str){is + 1, pair.n - n - 1}, true) : STR("");
        if (is_text(key) && is_text(value) && key.n)
            json_object_setn_new(x->body, key.p, key.n, json_stringn(value.p, value.n));
        size_t skip = amp ? pair.n + 1 : pair.n;
        left = (struct str){left.p + skip, left.n - skip};
    }
    return API_OK;
}

enum api_error body_read(struct api_ctx *x, const struct route *route)
{
    struct str boundary;

    if (x->req->body.n == 0 || x->req->method == HTTP_METHOD_GET || x->req->method == HTTP_METHOD_HEAD)
        return API_OK;
    if (takes_form(route))
        return form_body(x);
    boundary = multipart_boundary(x->arena, http_request_header(x->req, "Content-Type"));
    return boundary.p ? multipart_body(x, route, boundary) : json_body(x, route, x->req->body);
}
