/* HTTP misbehaviour on request: the next N requests that fit are answered with an error, late, or not at all, so that
 * people can test their bots. Rules are made over the control endpoint (POST /http). Loop thread. At most
 * FAULT_RULES_MAX rules; one that is used up goes. */
#pragma once

#include "platform/api/router.h"

#define FAULT_RULES_MAX 256

struct faults;
struct faults *faults_new(void);
void faults_free(struct faults *f);

enum fault_kind { FAULT_NONE, FAULT_ANSWER, FAULT_CUT };

/* What befalls one request: a copy, since its rule may go while the request waits. */
struct fault {
    enum fault_kind kind;
    int status;        /* of FAULT_ANSWER */
    const char *scope; /* of a 429: "user", "global", "shared" */
    int64_t retry_ms;  /* of a 429 */
    bool reset, after; /* of FAULT_CUT; after: the request is carried out first */
    int64_t delay_ms;  /* before anything else */
};

void faults_forget(struct faults *f);
/* Names the actions that make rules; taken back by control_remove(api). */
void faults_control(struct api *api);

/* The first rule that fits the request, used once; FAULT_NONE without delay where none does. path: below /api/vN. */
void faults_take(struct faults *f, const struct api_ctx *x, struct str path, struct fault *ret);

/* Coroutine. Waits, and does what comes before the handler. True: the request is dealt with. */
bool fault_before(const struct fault *f, struct api_ctx *x, const struct route *route);
/* What comes after it: the answer in x->res is replaced, or never sent. */
void fault_after(const struct fault *f, struct api_ctx *x, const struct route *route);
