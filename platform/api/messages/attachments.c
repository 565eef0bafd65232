/* Attachments: files of a multipart body put into `objects` before the message is committed (what a failed commit
 * leaves behind is only an unreachable file). Their stored form has no links: those are signed whenever they are
 * written. Coroutine. Limits: LIMIT_ATTACHMENTS, LIMIT_ATTACHMENT_BYTES. Source: "Reference: Uploading Files". */
#include "platform/api/form.h"
#include "platform/api/messages/messages.h"

#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/snowflake.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

/* What an object key and a link can carry; everything else becomes an underscore. */
static struct str filename_clean(struct arena *a, struct str name)
{
    if (!name.n)
        return STR("unknown");
    if (name.n > 128)
        name = (struct str){name.p + name.n - 128, 128};
    char *out = arena_strdup(a, name);
    for (char *c = out; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '-' ||
              *c == '_' || *c == '.'))
            *c = '_';
    for (char *c = out; *c == '.'; c++)
        *c = '_';
    for (char *dots; (dots = strstr(out, ".."));)
        *dots = '_';
    return str_c(out);
}

struct str attachment_reference(struct arena *a, struct str url)
{
    size_t scheme = strlen("attachment://");
    struct str name = filename_clean(a, (struct str){url.p + scheme, url.n - scheme});
    return arena_printf(a, "attachment://%.*s", STR_ARG(name));
}

static struct str object_key(struct arena *a, uint64_t channel_id, uint64_t id, struct str filename)
{
    return arena_printf(a, "attachments/%llu/%llu/%.*s", (unsigned long long)channel_id, (unsigned long long)id,
                        STR_ARG(filename));
}

static uint32_t be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Width and height of PNG, GIF and JPEG from their headers. */
static bool image_size(struct str bytes, uint32_t *ret_width, uint32_t *ret_height)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    if (bytes.n >= 24 && memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0) {
        *ret_width = be32(p + 16);
        *ret_height = be32(p + 20);
        return true;
    }
    if (bytes.n >= 10 && (memcmp(p, "GIF87a", 6) == 0 || memcmp(p, "GIF89a", 6) == 0)) {
        *ret_width = (uint32_t)p[6] | (uint32_t)p[7] << 8;
        *ret_height = (uint32_t)p[8] | (uint32_t)p[9] << 8;
        return true;
    }
    if (bytes.n < 4 || p[0] != 0xFF || p[1] != 0xD8)
        return false;
    for (size_t i = 2; i + 9 < bytes.n && p[i] == 0xFF;) {
        if (p[i + 1] >= 0xC0 && p[i + 1] <= 0xCF && p[i + 1] != 0xC4 && p[i + 1] != 0xC8 && p[i + 1] != 0xCC) {
            *ret_height = (uint32_t)p[i + 5] << 8 | p[i + 6];
            *ret_width = (uint32_t)p[i + 7] << 8 | p[i + 8];
            return true;
        }
        i += 2 + ((size_t)p[i + 2] << 8 | p[i + 3]);
    }
    return false;
}

/* The entry of the body's `attachments` that speaks of file `index`; NULL when there is none. */
static json_t *entry_of_file(json_t *list, int index)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *entry = json_array_get(list, i), *id = json_object_get(entry, "id");
        int64_t n;
        if (json_is_integer(id) ? json_integer_value(id) == index
                                : str_to_i64(str_c(json_string_value(id)), &n) == 0 && n == index)
            return entry;
    }
    return NULL;
}

/* Some libraries name no type, or send every file as bytes: then the name tells. */
static struct str content_type_of(const struct api_file *f, struct str name)
{
    static const struct {
        const char *end, *type;
    } known[] = {{".png", "image/png"},         {".jpg", "image/jpeg"},     {".jpeg", "image/jpeg"},
                 {".gif", "image/gif"},         {".webp", "image/webp"},    {".txt", "text/plain; charset=utf-8"},
                 {".mp3", "audio/mpeg"},        {".ogg", "audio/ogg"},      {".wav", "audio/x-wav"},
                 {".mp4", "video/mp4"},         {".webm", "video/webm"},    {".mov", "video/quicktime"},
                 {".json", "application/json"}, {".pdf", "application/pdf"}};
    if (f->content_type.n && !str_eq_nocase(f->content_type, STR("application/octet-stream")))
        return f->content_type;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct str end = str_c(known[i].end);
        if (name.n > end.n && str_eq_nocase((struct str){name.p + name.n - end.n, end.n}, end))
            return str_c(known[i].type);
    }
    return STR("application/octet-stream");
}

static enum api_error file_store(struct api_ctx *x, uint64_t channel_id, const struct api_file *f, json_t *entry,
                                 struct buf *out)
{
    if (f->bytes.n > LIMIT_ATTACHMENT_BYTES)
        return API_ERROR_REQUEST_TOO_LARGE;
    uint64_t id = snowflake_next();
    const char *renamed = json_string_value(json_object_get(entry, "filename"));
    struct str name = filename_clean(x->arena, renamed ? str_c(renamed) : f->filename);
    struct str type = content_type_of(f, name);
    int r = objects_put(x->ports->objects, object_key(x->arena, channel_id, id, name), f->bytes,
                        arena_strdup(x->arena, type));
    if (r < 0) {
        LOG_ERROR("attachment not stored", "channel=%llu bytes=%zu error=%d", (unsigned long long)channel_id,
                  f->bytes.n, -r);
        return api_port_error(r, API_ERROR_INTERNAL);
    }
    jw_obj(out);
    jw_kid(out, "id", id);
    jw_kstr(out, "filename", name);
    jw_ku64(out, "size", f->bytes.n);
    jw_kstr(out, "content_type", type);
    const char *description = json_string_value(json_object_get(entry, "description"));
    if (description)
        jw_kcstr(out, "description", description);
    uint32_t width, height;
    if (image_size(f->bytes, &width, &height)) {
        jw_ku64(out, "width", width);
        jw_ku64(out, "height", height);
    }
    jw_obj_end(out);
    return API_OK;
}

/* Of the stored ones, those that `list` names by id; all of them when the body has no list. */
static void kept_write(struct buf *out, struct str before, json_t *list)
{
    json_t *stored = before.n ? json_loadb(before.p, before.n, 0, NULL) : NULL;
    for (size_t i = 0; i < json_array_size(stored); i++) {
        json_t *a = json_array_get(stored, i);
        bool kept = !list;
        for (size_t k = 0; !kept && k < json_array_size(list); k++) {
            uint64_t wanted, id;
            kept = json_to_id(json_object_get(json_array_get(list, k), "id"), &wanted) &&
                   json_to_id(json_object_get(a, "id"), &id) && wanted == id;
        }
        char *text = kept ? json_dumps(a, JSON_COMPACT) : NULL;
        if (text)
            jw_raw(out, str_c(text));
        free(text);
    }
    json_decref(stored);
}

enum api_error attachments_read(struct api_ctx *x, uint64_t channel_id, struct str before, struct str *ret)
{
    json_t *list = form_array(x, "attachments", FORM_NULLABLE, LIMIT_ATTACHMENTS);
    if (x->file_count > LIMIT_ATTACHMENTS)
        form_error(x, "files", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.");
    if (form_result(x) != API_OK)
        return API_ERROR_INVALID_FORM_BODY;
    struct buf out = BUF_INIT(1u << 20);
    jw_arr(&out);
    kept_write(&out, before, list);
    enum api_error e = API_OK;
    for (unsigned i = 0; e == API_OK && i < x->file_count; i++) {
        const struct api_file *f = &x->files[i];
        e = file_store(x, channel_id, f, f->index >= 0 ? entry_of_file(list, f->index) : NULL, &out);
    }
    jw_arr_end(&out);
    *ret = out.len > 2 ? arena_str(x->arena, buf_str(&out)) : STR_NONE;
    buf_done(&out);
    return e;
}

/* "http://host:port" of "http://host:port/api". */
static struct str public_base(const struct api_options *o)
{
    struct str url = str_c(o->public_api_url);
    while (url.n && url.p[url.n - 1] == '/')
        url.n--;
    if (url.n > 4 && memcmp(url.p + url.n - 4, "/api", 4) == 0)
        url.n -= 4;
    return url;
}

static struct str attachment_url(struct api_ctx *x, uint64_t channel_id, json_t *a)
{
    uint64_t id = 0;
    struct str name = str_c(json_string_value(json_object_get(a, "filename")));
    (void)json_to_id(json_object_get(a, "id"), &id);
    struct str key = object_key(x->arena, channel_id, id, name);
    struct str sign = objects_sign(x->arena, x->options->secret, key, clock_wall_ms(), LIMIT_ATTACHMENT_URL_MS);
    return arena_printf(x->arena, "%.*s/%.*s%.*s", STR_ARG(public_base(x->options)), STR_ARG(key), STR_ARG(sign));
}

static void attachment_write(struct api_ctx *x, struct buf *b, uint64_t channel_id, json_t *a)
{
    struct str url = attachment_url(x, channel_id, a);
    char *text = json_dumps(a, JSON_COMPACT);
    if (!text)
        return;
    jw_raw(b, (struct str){text, strlen(text) - 1}); /* the object stays open for its links */
    free(text);
    jw_kstr(b, "url", url);
    jw_kstr(b, "proxy_url", url);
    jw_obj_end(b);
}

void attachments_write(struct api_ctx *x, struct buf *b, uint64_t channel_id, struct str stored)
{
    jw_arr(b);
    json_t *list = stored.n ? json_loadb(stored.p, stored.n, 0, NULL) : NULL;
    for (size_t i = 0; i < json_array_size(list); i++)
        attachment_write(x, b, channel_id, json_array_get(list, i));
    json_decref(list);
    jw_arr_end(b);
}

/* `text` with each occurrence of `what` replaced. */
static struct str replaced(struct arena *a, struct str text, struct str what, struct str with)
{
    const char *at;
    while ((at = memmem(text.p, text.n, what.p, what.n))) {
        size_t before = (size_t)(at - text.p), after = text.n - before - what.n;
        text = arena_printf(a, "%.*s%.*s%.*s", (int)before, text.p, STR_ARG(with), (int)after, at + what.n);
    }
    return text;
}

struct str attachments_in_embeds(struct api_ctx *x, uint64_t channel_id, struct str stored, struct str embeds)
{
    if (!stored.n || !embeds.n || !memmem(embeds.p, embeds.n, "\"attachment://", 14))
        return embeds;
    json_t *list = json_loadb(stored.p, stored.n, 0, NULL);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *a = json_array_get(list, i);
        struct str what =
            arena_printf(x->arena, "\"attachment://%s\"", json_string_value(json_object_get(a, "filename")));
        struct str url = attachment_url(x, channel_id, a);
        embeds = replaced(x->arena, embeds, what, arena_printf(x->arena, "\"%.*s\"", STR_ARG(url)));
    }
    json_decref(list);
    return embeds;
}

static const char *name_of(struct api_ctx *x, const struct api_file *f, json_t *list)
{
    json_t *entry = f->index >= 0 ? entry_of_file(list, f->index) : NULL;
    const char *renamed = json_string_value(json_object_get(entry, "filename"));

    return filename_clean(x->arena, renamed ? str_c(renamed) : f->filename).p;
}

/* The stored attachment of this cleaned name; borrowed. NULL. */
static json_t *stored_find(json_t *stored, const char *name)
{
    json_t *a;
    size_t i;

    json_array_foreach(stored, i, a)
    {
        const char *own = json_string_value(json_object_get(a, "filename"));
        if (own && strcmp(own, name) == 0)
            return a;
    }
    return NULL;
}

bool attachment_named(struct api_ctx *x, json_t *list, struct str stored, struct str url)
{
    const char *name = attachment_reference(x->arena, url).p + strlen("attachment://");
    json_t *kept = stored.n ? json_loadb(stored.p, stored.n, 0, NULL) : NULL;
    bool found = stored_find(kept, name) != NULL;

    for (unsigned i = 0; !found && i < x->file_count; i++)
        found = strcmp(name_of(x, &x->files[i], list), name) == 0;
    json_decref(kept);
    return found;
}

/* --- in components ---------------------------------------------------------------------------------------------------
 */
struct showing {
    struct api_ctx *x;
    uint64_t channel_id;
    json_t *stored;
};

static void own_show(struct showing *s, json_t *media, json_t *a)
{
    static const char *const keys[] = {"content_type", "width", "height"};

    json_object_set_new(media, "url", json_string(attachment_url(s->x, s->channel_id, a).p));
    json_object_set(media, "attachment_id", json_object_get(a, "id"));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(a, keys[i]))
            json_object_set(media, keys[i], json_object_get(a, keys[i]));
}

/* Returns the attachment it is; NULL for a link to elsewhere. */
static json_t *media_show(struct showing *s, json_t *media)
{
    struct str url = str_c(json_string_value(json_object_get(media, "url")));
    json_t *a = NULL;

    if (str_starts(url, STR("attachment://")))
        a = stored_find(s->stored, attachment_reference(s->x->arena, url).p + strlen("attachment://"));
    if (a)
        own_show(s, media, a);
    json_object_set(media, "proxy_url", json_object_get(media, "url"));
    return a;
}

static void components_show(struct showing *s, json_t *list);

static void component_show(struct showing *s, json_t *c)
{
    json_t *item, *file = json_object_get(c, "file");
    size_t i;

    if (json_is_object(json_object_get(c, "media")))
        (void)media_show(s, json_object_get(c, "media"));
    json_array_foreach(json_object_get(c, "items"), i, item)(void) media_show(s, json_object_get(item, "media"));
    if (json_is_object(file)) {
        json_t *a = media_show(s, file);
        json_object_set(c, "name", a ? json_object_get(a, "filename") : json_object_get(file, "url"));
        if (a)
            json_object_set(c, "size", json_object_get(a, "size"));
    }
    if (json_is_object(json_object_get(c, "accessory")))
        component_show(s, json_object_get(c, "accessory"));
    components_show(s, json_object_get(c, "components"));
}

static void components_show(struct showing *s, json_t *list)
{
    json_t *c;
    size_t i;

    json_array_foreach(list, i, c) component_show(s, c);
}

struct str attachments_in_components(struct api_ctx *x, uint64_t channel_id, struct str stored, struct str components)
{
    /* only media have links of the form {"url":...} */
    if (!components.n || !memmem(components.p, components.n, "{\"url\":", 7))
        return components;
    struct showing s = {x, channel_id, stored.n ? json_loadb(stored.p, stored.n, 0, NULL) : NULL};
    json_t *list = json_loadb(components.p, components.n, 0, NULL);
    components_show(&s, list);
    char *text = json_dumps(list, JSON_COMPACT);
    struct str out = text ? arena_str(x->arena, str_c(text)) : components;
    free(text);
    json_decref(list);
    json_decref(s.stored);
    return out;
}

void attachments_delete(struct api_ctx *x, const struct message *m)
{
    json_t *list = m->attachments_json.n ? json_loadb(m->attachments_json.p, m->attachments_json.n, 0, NULL) : NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *a = json_array_get(list, i);
        uint64_t id = 0;
        (void)json_to_id(json_object_get(a, "id"), &id);
        struct str key =
            object_key(x->arena, m->channel_id, id, str_c(json_string_value(json_object_get(a, "filename"))));
        int r = objects_delete(x->ports->objects, key);
        if (r < 0 && r != -ENOENT)
            LOG_WARN("attachment not deleted", "key=%.*s error=%d", STR_ARG(key), -r);
    }
    json_decref(list);
}

static bool shown_inline(struct str type)
{
    return str_starts(type, STR("image/png")) || str_starts(type, STR("image/jpeg")) ||
           str_starts(type, STR("image/gif")) || str_starts(type, STR("image/webp")) ||
           str_starts(type, STR("text/plain")) || str_starts(type, STR("audio/")) || str_starts(type, STR("video/"));
}

void attachment_serve(struct http_request *req, struct http_response *res, const struct api_options *o)
{
    struct str key = http_percent_decode(&req->arena, req->path, false), type = STR_NONE;
    if (key.n && key.p[0] == '/')
        key = (struct str){key.p + 1, key.n - 1};
    int r = key.n ? objects_check(o->secret, key, req->query, clock_wall_ms()) : -EACCES;
    if (r == 0)
        r = objects_get(o->ports->objects, key, &res->body, &req->arena, &type);
    if (r < 0) {
        res->status = r == -EACCES || r == -ESTALE ? 403 : r == -ENOENT || r == -EINVAL ? 404 : 500;
        res->content_type = "text/plain";
        buf_clear(&res->body);
        buf_adds(&res->body, res->status == 403 ? "This content is no longer available." : "Not found.");
        return;
    }
    res->status = 200;
    res->content_type = type.n ? arena_strdup(&req->arena, type) : "application/octet-stream";
    /* Uploaded pages must never run as ours. */
    http_response_header(res, "X-Content-Type-Options", "nosniff");
    http_response_header(res, "Content-Security-Policy", "default-src 'none'; sandbox");
    http_response_header(res, "Content-Disposition", shown_inline(type) ? "inline" : "attachment");
}
