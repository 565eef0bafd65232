/* What a stranger sends to the gateway, up to where it would act on it; and the redaction of messages, which must never
 * let the content through. */
#include "tests/fuzz/fuzz.h"

#include "gateway/server/presence_read.h"
#include "gateway/server/redact.h"
#include "gateway/server/requests.h"
#include "platform/base/check.h"
#include "platform/base/limits.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/json_read.h"

#include <jansson.h>

/* What a bot or a person sends comes out as JSON that is read back. */
static void presence(const json_t *d)
{
    for (int bot = 0; bot < 2; bot++) {
        struct presence_source from = {.is_bot = bot, .now_ms = 1};
        enum presence_status status;
        struct buf out = BUF_INIT(0);
        json_t *read;
        if (presence_read(d, &from, &status, &out) == 0) {
            CHECK(status <= PRESENCE_DND && json_read(buf_str(&out), &read, NULL) == 0);
            CHECK(json_array_size(read) <= LIMIT_PRESENCE_ACTIVITIES);
            json_decref(read);
        }
        buf_done(&out);
    }
}

static void requests(const json_t *d)
{
    struct arena a = {0};
    struct identify_request identify;
    struct resume_request resume;
    struct members_request members;
    struct voice_state_request voice;

    if (identify_read(d, &a, &identify) == 0)
        CHECK(identify.shard < identify.shard_count && identify.large_threshold >= 50 && identify.token.p);
    if (resume_read(d, &a, &resume) == 0)
        CHECK(resume.token.p && resume.session_id.p);
    if (members_request_read(d, &a, &members) == 0)
        CHECK(members.guild_id && members.user_count <= MEMBERS_REQUEST_USERS_MAX && members.limit <= 100);
    presence(d);
    (void)voice_state_read(d, &voice);
    arena_done(&a);
}

static void redaction(struct str message)
{
    struct buf out = BUF_INIT(0);
    json_t *o, *redacted;

    if (json_read(message, &o, NULL) == 0) {
        if (json_is_object(o)) {
            int r = redact_message(message, true, &out);
            if (r == 0 && !memchr(message.p, '\\', message.n)) {
                CHECK(json_read(buf_str(&out), &redacted, NULL) == 0);
                const json_t *content = json_object_get(redacted, "content");
                CHECK(!content || json_string_length(content) == 0);
                json_decref(redacted);
            }
        }
        json_decref(o);
    }
    (void)redact_exempt(message, 1);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct envelope e;
    json_t *d = NULL;

    if (!size || envelope_scan(text, &e) < 0 || !e.data.n)
        return 0;
    (void)json_read(e.data, &d, NULL);
    requests(d);
    json_decref(d);
    redaction(e.data);
    return 0;
}
