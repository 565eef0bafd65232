/* Images of users, guilds, roles and applications. Coroutine. Limit: LIMIT_IMAGE_BYTES. */
#include "platform/api/images.h"

#include "platform/api/form.h"
#include "platform/base/limits.h"

#include <errno.h>
#include <sodium.h>

static const struct image_type {
    const char *mime, *extension, *magic;
    unsigned magic_bytes;
} types[] = {
    {"image/png", "png", "\x89PNG", 4},
    {"image/jpeg", "jpg", "\xFF\xD8\xFF", 3},
    {"image/gif", "gif", "GIF8", 4},
    {"image/webp", "webp", "RIFF", 4},
};

#define KINDS_COUNT 6
static const char *const kinds[KINDS_COUNT] = {"avatars", "banners", "icons", "splashes", "role-icons", "app-icons"};

/* What the bytes are, whatever the URI says. NULL: nothing known. */
static const struct image_type *type_of(struct str bytes)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (bytes.n > types[i].magic_bytes && memcmp(bytes.p, types[i].magic, types[i].magic_bytes) == 0)
            return &types[i];
    return NULL;
}

/* The bytes of "data:image/png;base64,...". STR_NONE when it is nothing of the kind. */
static struct str data_uri_decode(struct arena *a, struct str uri)
{
    const char *comma = memchr(uri.p, ',', uri.n < 64 ? uri.n : 64);
    size_t n;

    if (!str_starts(uri, STR("data:image/")) || !comma)
        return STR_NONE;
    struct str text = {comma + 1, uri.n - (size_t)(comma + 1 - uri.p)};
    unsigned char *out = arena_alloc(a, text.n / 4 * 3 + 4);
    if (sodium_base642bin(out, text.n / 4 * 3 + 4, text.p, text.n, "\r\n", &n, NULL, sodium_base64_VARIANT_ORIGINAL) <
        0)
        return STR_NONE;
    return (struct str){(char *)out, n};
}

static struct str hash_of(struct arena *a, struct str bytes)
{
    unsigned char digest[16];
    char hex[33];

    crypto_generichash(digest, sizeof digest, (const unsigned char *)bytes.p, bytes.n, NULL, 0);
    sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
    return arena_str(a, str_c(hex));
}

bool image_read(struct api_ctx *x, const char *key, const char *kind, uint64_t owner_id, struct str *ret,
                enum api_error *ret_error)
{
    struct str uri;

    if (!form_str(x, key, FORM_NULLABLE, 0, LIMIT_IMAGE_BYTES * 2, &uri))
        return false;
    if (!uri.n) {
        *ret = STR_NONE;
        return true;
    }
    struct str bytes = data_uri_decode(x->arena, uri);
    const struct image_type *type = bytes.p ? type_of(bytes) : NULL;
    if (!type || bytes.n > LIMIT_IMAGE_BYTES) {
        form_error(x, key, type ? "FILE_TOO_LARGE" : "IMAGE_INVALID",
                   type ? "File cannot be larger than 10240.0 kb." : "Invalid image data");
        return false;
    }
    struct str hash = hash_of(x->arena, bytes);
    struct str name =
        arena_printf(x->arena, "%s/%llu/%.*s.%s", kind, (unsigned long long)owner_id, STR_ARG(hash), type->extension);
    int r = objects_put(x->ports->objects, name, bytes, type->mime);
    if (r < 0) {
        *ret_error = api_port_error(r, API_ERROR_INTERNAL);
        return false;
    }
    *ret = hash;
    return true;
}

static bool is_image_path(struct str path)
{
    for (int i = 0; i < KINDS_COUNT; i++)
        if (str_starts(path, str_c(kinds[i])) && path.n > strlen(kinds[i]) && path.p[strlen(kinds[i])] == '/')
            return true;
    return false;
}

/* Clients ask for .png or .webp of anything: the image is found by its hash, in the type it was given. */
static int image_get(const struct api_options *o, struct arena *a, struct str path, struct buf *out,
                     struct str *ret_type)
{
    const char *dot = memrchr(path.p, '.', path.n);
    struct str stem = {path.p, dot ? (size_t)(dot - path.p) : path.n};
    int r = -ENOENT;

    for (size_t i = 0; r == -ENOENT && i < sizeof types / sizeof *types; i++)
        r = objects_get(o->ports->objects, arena_printf(a, "%.*s.%s", STR_ARG(stem), types[i].extension), out, a,
                        ret_type);
    return r;
}

bool image_serve(struct http_request *req, struct http_response *res, const struct api_options *o)
{
    struct str path = req->path.n ? (struct str){req->path.p + 1, req->path.n - 1} : STR(""), type;

    if (req->method != HTTP_METHOD_GET || !is_image_path(path))
        return false;
    int r = image_get(o, &req->arena, path, &res->body, &type);
    if (r < 0) {
        res->status = r == -ENOENT || r == -EINVAL ? 404 : 503;
        return true;
    }
    res->status = 200;
    res->content_type = arena_strdup(&req->arena, type.n ? type : STR("application/octet-stream"));
    http_response_header(res, "Cache-Control", "public, max-age=31536000, immutable");
    return true;
}
