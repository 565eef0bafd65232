/* Private: one HTTP call, in parts that a test can look at. Coroutine. */
#pragma once

#include "worker-sdk/src/sdk.h"

#define REST_JSON "Content-Type: application/json"

struct rest_body {
    struct str bytes;
    const char *content_type; /* a header line; NULL: no body */
};

enum rest_form {
    REST_PAYLOAD, /* payload_json and files[n], as messages are sent */
    REST_FIELDS,  /* a part for each member and one named `file`, as stickers are */
};
/* JSON, or where call has files multipart/form-data. o may be NULL, and is not given up; bytes holds what ret points
 * to. A message's `attachments` name the files, unless it has its own. */
void rest_body_make(struct gh_context *c, json_t *o, const struct gh_call *call, enum rest_form form, struct buf *bytes,
                    struct rest_body *ret);
/* call and response may be NULL. */
int rest_call(struct gh_context *c, const char *method, const char *path, const struct rest_body *body,
              const struct gh_call *call, struct gh_response *response);

/* --- keys.c: the rest-proxy carries out once what has the same key --- */
#define REST_KEY_HEADER "X-Guildhall-Idempotency-Key"
struct rest_key {
    const char *given; /* the caller's, used as it is; */
    char made[33];     /* or of the event, path and body. Both empty: none */
    unsigned turn;     /* the same request again, meant as another one */
    unsigned generation;
};
void rest_key_make(struct gh_context *c, const char *method, const char *path, struct str body,
                   const struct gh_call *call, struct rest_key *ret);
bool rest_key_is(const struct rest_key *k);
const char *rest_key_line(struct gh_context *c, const struct rest_key *k); /* the whole header */
/* The worker group's event, by which its repetitions are known. c is no task's. */
void event_identity(const struct gh_context *c, char *out, size_t size);

int rest_error_of_status(int status);
enum rest_verdict {
    REST_DONE,
    REST_AGAIN, /* the same again: with its key it is not carried out twice */
    REST_ANEW,  /* under the next key: this one's outcome is unknown for good */
    REST_SKIP,  /* the same, at once: what the proxy keeps under this key is an earlier call's failure */
    REST_BARE,  /* without the key */
};
struct rest_terms {
    bool harmless; /* sent twice it changes nothing */
    bool keyed;
    bool fresh; /* not sent yet under this key by this call */
};
enum rest_verdict rest_judge(const struct http_result *r, struct rest_terms terms);
void rest_percent_encode(struct buf *b, const char *s);

/* Adds `nonce` and `enforce_nonce`, made from the event and the call's place in its handler, unless it has a nonce:
 * the handler's next try sends nothing twice. */
void message_nonce_add(struct gh_context *c, json_t *message);
