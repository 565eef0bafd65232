/* Encoded events. Loop thread. Limit: the log's bytes_max over all forms of all events. */
#include "gateway/server/encoded.h"

#include "gateway/server/redact.h"
#include "platform/base/check.h"
#include "platform/base/mem.h"
#include "platform/io/ws.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/json_text.h"

#define TAIL_HEAD "\"t\":\"%s\",\"op\":0,\"d\":"

struct encoded {
    struct encoded_log *log;
    struct list item; /* in the log; alone when emptied */
    int refs;
    enum event_type type;
    unsigned data_at; /* where d begins in the JSON form */
    size_t json_bytes, bytes;
    struct ws_shared *forms[REDACTION_COUNT][ENCODER_COUNT];
    bool reference_known, has_reference;
    uint64_t event_id, log_entry;
    uint32_t log_slot;
};

void encoded_log_init(struct encoded_log *log, size_t bytes_max)
{
    *log = (struct encoded_log){.bytes_max = bytes_max};
    list_init(&log->events);
    encoder_context_init(&log->encoders);
}

void encoded_log_done(struct encoded_log *log)
{
    CHECK(list_empty(&log->events));
    encoder_context_done(&log->encoders);
}

static void encoded_empty(struct encoded *e)
{
    for (unsigned r = 0; r < REDACTION_COUNT; r++)
        for (unsigned k = 0; k < ENCODER_COUNT; k++)
            if (e->forms[r][k]) {
                ws_shared_unref(e->forms[r][k]);
                e->forms[r][k] = NULL;
            }
    e->log->bytes -= e->bytes;
    e->bytes = 0;
    list_remove(&e->item);
}

static struct ws_shared *form_put(struct encoded *e, enum encoder_kind kind, enum redaction redaction,
                                  struct ws_shared *form)
{
    if (!form)
        return NULL;
    e->forms[redaction][kind] = form;
    e->bytes += form->len;
    e->log->bytes += form->len;
    /* the event itself is the last to go, so that it can be sent at least once */
    while (e->log->bytes > e->log->bytes_max && e->log->events.next != &e->item)
        encoded_empty(LIST_ENTRY(e->log->events.next, struct encoded, item));
    return form;
}

struct encoded *encoded_new(struct encoded_log *log, enum event_type type, struct str data)
{
    struct encoded *e = MEM_NEW(struct encoded);
    struct buf *tail = &log->encoders.scratch;

    e->log = log;
    e->refs = 1;
    e->type = type;
    list_append(&log->events, &e->item);
    buf_clear(tail);
    buf_addf(tail, TAIL_HEAD, event_name(type));
    e->data_at = (unsigned)tail->len;
    buf_add_str(tail, data);
    buf_addc(tail, '}');
    if (!buf_failed(tail))
        form_put(e, ENCODER_JSON, REDACTION_NONE, ws_shared_new(tail->data, tail->len));
    e->json_bytes = tail->len;
    return e;
}

struct encoded *encoded_ref(struct encoded *e)
{
    e->refs++;
    return e;
}

void encoded_unref(struct encoded *e)
{
    if (!e || --e->refs > 0)
        return;
    encoded_empty(e);
    mem_free(e);
}

size_t encoded_bytes(const struct encoded *e)
{
    return e->json_bytes;
}

enum event_type encoded_type(const struct encoded *e)
{
    return e->type;
}

struct str encoded_data(const struct encoded *e)
{
    const struct ws_shared *json = e->forms[REDACTION_NONE][ENCODER_JSON];

    return json ? (struct str){json->data + e->data_at, json->len - e->data_at - 1} : STR_NONE;
}

static struct ws_shared *json_redacted(struct encoded *e, enum redaction redaction)
{
    BUF_AUTO struct buf tail = BUF_INIT(0);

    buf_addf(&tail, TAIL_HEAD, event_name(e->type));
    if (redact_message(encoded_data(e), redaction == REDACTION_KEEP_REFERENCE, &tail) < 0)
        return NULL;
    buf_addc(&tail, '}');
    return buf_failed(&tail) ? NULL : ws_shared_new(tail.data, tail.len);
}

struct ws_shared *encoded_share(struct encoded *e, enum encoder_kind kind, enum redaction redaction)
{
    struct ws_shared *form = e->forms[redaction][kind];

    if (form || !e->forms[REDACTION_NONE][ENCODER_JSON])
        return form;
    struct ws_shared *json = e->forms[redaction][ENCODER_JSON];
    if (!json)
        json = form_put(e, ENCODER_JSON, redaction, json_redacted(e, redaction));
    if (!json || kind == ENCODER_JSON)
        return json;
    return form_put(e, kind, redaction, encoder_share(&e->log->encoders, kind, (struct str){json->data, json->len}));
}

uint64_t encoded_event_id(const struct encoded *e)
{
    return e->event_id;
}

void encoded_event_id_put(struct encoded *e, uint64_t id)
{
    e->event_id = id;
}

bool encoded_slot(const struct encoded *e, uint64_t entry, uint32_t *ret)
{
    if (e->log_entry != entry)
        return false;
    *ret = e->log_slot;
    return true;
}

void encoded_slot_put(struct encoded *e, uint64_t entry, uint32_t slot)
{
    e->log_entry = entry;
    e->log_slot = slot;
}

enum redaction encoded_redaction_for(struct encoded *e, uint64_t user_id)
{
    if (e->reference_known && !e->has_reference)
        return REDACTION_ALL;
    struct str reference = redact_reference(encoded_data(e));
    e->reference_known = true;
    e->has_reference = reference.p != NULL;
    return e->has_reference && redact_exempt(reference, user_id) ? REDACTION_KEEP_REFERENCE : REDACTION_ALL;
}
