/* IDENTIFY's d, from the text a stranger sends to what the gateway believes of it: presence and properties, too. */
#include "tests/fuzz/fuzz.h"

#include "gateway/server/presence_read.h"
#include "gateway/server/requests.h"
#include "platform/base/check.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/gateway.h"
#include "platform/protocol/intents.h"
#include "platform/protocol/json_read.h"

#include <jansson.h>

static void identify(const json_t *d)
{
    struct arena a = {0};
    struct identify_request r;
    int close = identify_read(d, &a, &r);

    CHECK(close == 0 || close == GATEWAY_CLOSE_DECODE_ERROR || close == GATEWAY_CLOSE_INVALID_SHARD ||
          close == GATEWAY_CLOSE_INVALID_INTENTS);
    if (!close) {
        CHECK(r.token.p && r.shard_count >= 1 && r.shard < r.shard_count);
        CHECK(r.large_threshold >= 50 && r.large_threshold <= 250);
        CHECK((r.intents & ~(uint32_t)INTENTS_ALL) == 0 && (r.has_intents || r.intents == 0));
    }
    arena_done(&a);
}

/* What is kept of a presence is written into other people's events: it must be JSON. */
static void presence(const json_t *d, bool is_bot)
{
    struct buf activities = BUF_INIT(0);
    const struct presence_source from = {.is_bot = is_bot, .now_ms = 1};
    enum presence_status status;
    json_t *tree;

    if (presence_read(json_object_get(d, "presence"), &from, &status, &activities) == 0 && !buf_failed(&activities) &&
        activities.len) {
        CHECK(json_read(buf_str(&activities), &tree, NULL) == 0 && json_is_array(tree));
        json_decref(tree);
    }
    (void)presence_device_read(json_object_get(d, "properties"), is_bot);
    buf_done(&activities);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct buf payload = BUF_INIT(0);
    struct envelope e;
    json_t *d = NULL;

    /* as conn.c does it: the scanner finds d, jansson reads it */
    buf_adds(&payload, "{\"op\":2,\"d\":");
    buf_add_str(&payload, text);
    buf_addc(&payload, '}');
    if (size && envelope_scan(buf_str(&payload), &e) == 0 && e.data.n && json_read(e.data, &d, NULL) == 0) {
        identify(d);
        presence(d, true);
        presence(d, false);
    }
    json_decref(d);
    buf_done(&payload);
    return 0;
}
