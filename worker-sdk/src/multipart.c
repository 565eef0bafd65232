/* Bodies: JSON, or a form where there are files. Source: RFC 7578; Discord API documentation, "Uploading Files". */
#include "worker-sdk/src/rest.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static void quoted(struct buf *b, const char *s)
{
    for (; *s; s++) {
        if (*s == '"')
            buf_adds(b, "%22");
        else if (*s == '\r' || *s == '\n')
            buf_adds(b, *s == '\r' ? "%0D" : "%0A");
        else
            buf_addc(b, *s);
    }
}

static void part(struct buf *b, const char *boundary, const char *name, const char *filename, const char *type,
                 struct str content)
{
    buf_addf(b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"", boundary, name);
    if (filename) {
        buf_adds(b, "; filename=\"");
        quoted(b, filename);
        buf_addc(b, '"');
    }
    if (type)
        buf_addf(b, "\r\nContent-Type: %s", type);
    buf_adds(b, "\r\n\r\n");
    buf_add_str(b, content);
    buf_adds(b, "\r\n");
}

static void attachments_name(json_t *o, const struct gh_call *call)
{
    if (json_object_get(o, "attachments"))
        return;
    json_t *all = json_array();
    for (size_t i = 0; i < call->files_count; i++) {
        json_t *one = json_pack("{s:I,s:s}", "id", (json_int_t)i, "filename", call->files[i].name);
        if (call->files[i].description)
            json_object_set_new(one, "description", json_string(call->files[i].description));
        json_array_append_new(all, one);
    }
    json_object_set_new(o, "attachments", all);
}

/* An interaction's answer has its message in `data`. */
static json_t *message_in(json_t *o)
{
    json_t *data = json_object_get(o, "data");
    return json_is_object(data) ? data : o;
}

static void payload_parts(struct buf *b, const char *boundary, json_t *o, const struct gh_call *call)
{
    attachments_name(message_in(o), call);
    char *text = json_dumps(o, JSON_COMPACT), name[32];
    part(b, boundary, "payload_json", NULL, "application/json", str_c(text));
    free(text);
    for (size_t i = 0; i < call->files_count; i++) {
        const struct gh_file *f = &call->files[i];
        snprintf(name, sizeof name, "files[%zu]", i);
        part(b, boundary, name, f->name, f->content_type ? f->content_type : "application/octet-stream",
             (struct str){f->data, f->size});
    }
}

static void field_parts(struct buf *b, const char *boundary, json_t *o, const struct gh_call *call)
{
    const char *key;
    json_t *v;
    json_object_foreach(o, key, v)
    {
        char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
        part(b, boundary, key, NULL, NULL, str_c(text ? text : json_string_value(v)));
        free(text);
    }
    for (size_t i = 0; i < call->files_count; i++) {
        const struct gh_file *f = &call->files[i];
        part(b, boundary, "file", f->name, f->content_type ? f->content_type : "application/octet-stream",
             (struct str){f->data, f->size});
    }
}

/* Of the content: the same request again has the same bytes. */
static void boundary_make(const json_t *o, const struct gh_call *call, char boundary[33])
{
    unsigned char digest[16];
    crypto_generichash_state h;
    char *text = json_dumps(o, JSON_COMPACT);
    crypto_generichash_init(&h, NULL, 0, sizeof digest);
    crypto_generichash_update(&h, (const unsigned char *)text, strlen(text));
    for (size_t i = 0; i < call->files_count; i++)
        crypto_generichash_update(&h, call->files[i].data, call->files[i].size);
    crypto_generichash_final(&h, digest, sizeof digest);
    sodium_bin2hex(boundary, 33, digest, sizeof digest);
    free(text);
}

static void form_make(struct gh_context *c, json_t *o, const struct gh_call *call, enum rest_form form,
                      struct buf *bytes, struct rest_body *ret)
{
    char boundary[33];
    json_t *own = o ? json_deep_copy(o) : json_object();
    boundary_make(own, call, boundary);
    if (form == REST_PAYLOAD)
        payload_parts(bytes, boundary, own, call);
    else
        field_parts(bytes, boundary, own, call);
    json_decref(own);
    buf_addf(bytes, "--%s--\r\n", boundary);
    ret->content_type = gh_printf(c, "Content-Type: multipart/form-data; boundary=%s", boundary);
}

void rest_body_make(struct gh_context *c, json_t *o, const struct gh_call *call, enum rest_form form, struct buf *bytes,
                    struct rest_body *ret)
{
    *ret = (struct rest_body){0};
    if (call && call->files_count) {
        form_make(c, o, call, form, bytes, ret);
    } else if (o) {
        char *text = json_dumps(o, JSON_COMPACT | JSON_ENCODE_ANY);
        buf_adds(bytes, text ? text : "");
        free(text);
        ret->content_type = REST_JSON;
    }
    ret->bytes = buf_str(bytes);
}
