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

int rest_error_of_status(int status);
enum rest_verdict { REST_DONE, REST_AGAIN };
enum rest_verdict rest_judge(const struct http_result *r, bool may_repeat);
void rest_percent_encode(struct buf *b, const char *s);

/* Adds `nonce` and `enforce_nonce`, made from the event and the call's place in its handler, unless it has a nonce:
 * the handler's next try sends nothing twice. */
void message_nonce_add(struct gh_context *c, json_t *message);
