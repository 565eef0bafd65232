/* Embeds: checked against the documented limits and kept in a normal form that holds only documented members.
 * Source: "Message: Embed Object", "Embed Limits". Coroutine. */
#include "platform/api/form.h"
#include "platform/api/messages/messages.h"

#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"

#include <jansson.h>
#include <stdio.h>

struct embed_reader {
    struct api_ctx *x;
    struct buf *out;
    char path[64]; /* "embeds.3" or "embeds.3.fields.1" */
    int64_t chars; /* of all texts that count towards LIMIT_EMBED_CHARS */
};

static void embed_error(struct embed_reader *r, const char *key, const char *code, const char *message)
{
    char path[128];
    snprintf(path, sizeof path, "%s.%s", r->path, key);
    form_error(r->x, path, code, message);
}

static bool text_read(struct embed_reader *r, json_t *obj, const char *key, int64_t max, bool required, bool counts)
{
    json_t *v = json_object_get(obj, key);
    if (!v || json_is_null(v)) {
        if (required)
            embed_error(r, key, "BASE_TYPE_REQUIRED", "This field is required");
        return false;
    }
    if (!json_is_string(v)) {
        embed_error(r, key, "STRING_TYPE_CONVERT", "Could not interpret value as string.");
        return false;
    }
    struct str s = {json_string_value(v), json_string_length(v)};
    int64_t n = utf8_count(s);
    if (n > max) {
        char message[64];
        snprintf(message, sizeof message, "Must be %lld or fewer in length.", (long long)max);
        embed_error(r, key, "BASE_TYPE_MAX_LENGTH", message);
        return false;
    }
    if (required && n == 0) {
        embed_error(r, key, "BASE_TYPE_REQUIRED", "This field is required");
        return false;
    }
    if (counts)
        r->chars += n;
    jw_kstr(r->out, key, s);
    return true;
}

static void url_read(struct embed_reader *r, json_t *obj, const char *key, bool attachment_allowed)
{
    json_t *v = json_object_get(obj, key);
    if (!v || json_is_null(v))
        return;
    struct str s = json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)} : STR("");
    bool ok = str_starts(s, STR("http://")) || str_starts(s, STR("https://")) ||
              (attachment_allowed && str_starts(s, STR("attachment://")));
    if (!ok || s.n > 2048)
        embed_error(r, key, "URL_TYPE_INVALID_SCHEME", "Scheme must be one of ('http', 'https').");
    else if (str_starts(s, STR("attachment://")))
        jw_kstr(r->out, key, attachment_reference(r->x->arena, s));
    else
        jw_kstr(r->out, key, s);
}

static json_t *part(struct embed_reader *r, json_t *embed, const char *key)
{
    json_t *v = json_object_get(embed, key);
    if (!v || json_is_null(v))
        return NULL;
    if (json_is_object(v))
        return v;
    embed_error(r, key, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType");
    return NULL;
}

/* Errors name the path from here on; path_leave takes what path_enter returned. */
static size_t path_enter(struct embed_reader *r, const char *key)
{
    size_t base = strlen(r->path);
    snprintf(r->path + base, sizeof r->path - base, ".%s", key);
    return base;
}

static void path_leave(struct embed_reader *r, size_t base)
{
    r->path[base] = '\0';
}

static void media_read(struct embed_reader *r, json_t *embed, const char *key)
{
    json_t *v = part(r, embed, key);
    if (!v)
        return;
    size_t base = path_enter(r, key);
    jw_kobj(r->out, key);
    url_read(r, v, "url", true);
    jw_obj_end(r->out);
    path_leave(r, base);
}

static void footer_author_read(struct embed_reader *r, json_t *embed)
{
    json_t *footer = part(r, embed, "footer"), *author = part(r, embed, "author");
    if (footer) {
        size_t base = path_enter(r, "footer");
        jw_kobj(r->out, "footer");
        text_read(r, footer, "text", 2048, true, true);
        url_read(r, footer, "icon_url", true);
        jw_obj_end(r->out);
        path_leave(r, base);
    }
    if (author) {
        size_t base = path_enter(r, "author");
        jw_kobj(r->out, "author");
        text_read(r, author, "name", 256, true, true);
        url_read(r, author, "url", false);
        url_read(r, author, "icon_url", true);
        jw_obj_end(r->out);
        path_leave(r, base);
    }
}

static void fields_read(struct embed_reader *r, json_t *embed)
{
    json_t *fields = json_object_get(embed, "fields");
    if (!fields || json_is_null(fields))
        return;
    if (!json_is_array(fields) || json_array_size(fields) > 25) {
        embed_error(r, "fields", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.");
        return;
    }
    size_t base = strlen(r->path);
    jw_karr(r->out, "fields");
    for (size_t i = 0; i < json_array_size(fields); i++) {
        json_t *field = json_array_get(fields, i);
        snprintf(r->path + base, sizeof r->path - base, ".fields.%zu", i);
        jw_obj(r->out);
        text_read(r, field, "name", 256, true, true);
        text_read(r, field, "value", 1024, true, true);
        jw_kbool(r->out, "inline", json_is_true(json_object_get(field, "inline")));
        jw_obj_end(r->out);
    }
    r->path[base] = '\0';
    jw_arr_end(r->out);
}

static void color_time_read(struct embed_reader *r, json_t *embed)
{
    json_t *color = json_object_get(embed, "color"), *timestamp = json_object_get(embed, "timestamp");
    if (color && !json_is_null(color)) {
        if (!json_is_integer(color) || json_integer_value(color) < 0 || json_integer_value(color) > 0xFFFFFF)
            embed_error(r, "color", "NUMBER_TYPE_MAX", "int value should be less than or equal to 16777215.");
        else
            jw_ki64(r->out, "color", json_integer_value(color));
    }
    if (timestamp && !json_is_null(timestamp)) {
        int64_t ms;
        if (!json_is_string(timestamp) || clock_parse_iso(str_c(json_string_value(timestamp)), &ms) < 0)
            embed_error(r, "timestamp", "DATE_TIME_TYPE_PARSE", "Could not parse the timestamp. Should be ISO8601.");
        else
            jw_ktime_ms(r->out, "timestamp", ms);
    }
}

/* An embed that shows nothing. */
static bool is_blank(const json_t *embed)
{
    static const char *const shown[] = {"title", "description", "footer", "author", "image", "thumbnail", "fields"};
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        const json_t *v = json_object_get(embed, shown[i]);
        if (v && !json_is_null(v) && !(json_is_array(v) && !json_array_size(v)) &&
            !(json_is_string(v) && !json_string_length(v)))
            return false;
    }
    return true;
}

static void embed_read(struct embed_reader *r, json_t *embed)
{
    if (is_blank(embed))
        embed_error(r, "description", "BASE_TYPE_REQUIRED", "This field is required");
    jw_obj(r->out);
    jw_kcstr(r->out, "type", "rich");
    text_read(r, embed, "title", 256, false, true);
    text_read(r, embed, "description", 4096, false, true);
    url_read(r, embed, "url", false);
    color_time_read(r, embed);
    footer_author_read(r, embed);
    media_read(r, embed, "image");
    media_read(r, embed, "thumbnail");
    fields_read(r, embed);
    jw_obj_end(r->out);
}

struct str embeds_read(struct api_ctx *x)
{
    json_t *embeds = form_array(x, "embeds", FORM_NULLABLE, LIMIT_EMBEDS);
    if (!embeds || !json_array_size(embeds))
        return STR_NONE;
    struct buf out = BUF_INIT(1u << 20);
    struct embed_reader r = {.x = x, .out = &out};
    jw_arr(&out);
    for (size_t i = 0; i < json_array_size(embeds); i++) {
        json_t *embed = json_array_get(embeds, i);
        snprintf(r.path, sizeof r.path, "embeds.%zu", i);
        if (json_is_object(embed))
            embed_read(&r, embed);
        else
            form_error(x, r.path, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType");
    }
    jw_arr_end(&out);
    if (r.chars > LIMIT_EMBED_CHARS)
        form_error(x, "embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000");
    return message_payload(x->arena, &out);
}
