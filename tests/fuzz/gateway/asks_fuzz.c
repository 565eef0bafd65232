/* What a session asks: the d of op 8, 31 and 43. */
#include "tests/fuzz/fuzz.h"

#include "gateway/server/requests.h"
#include "platform/base/check.h"
#include "platform/base/jw.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/gateway.h"
#include "platform/protocol/json_read.h"

#include <jansson.h>

static void is_json(struct buf *b)
{
    json_t *tree;

    CHECK(!buf_failed(b) && json_read(buf_str(b), &tree, NULL) == 0);
    json_decref(tree);
}

static void members(const json_t *d)
{
    struct arena a = {0};
    struct members_request r;
    struct buf answer = BUF_INIT(0);
    int close = members_request_read(d, &a, &r);

    CHECK(close == 0 || close == GATEWAY_CLOSE_UNKNOWN_OPCODE);
    if (!close) {
        CHECK(r.guild_id && r.user_count <= MEMBERS_REQUEST_USERS_MAX && r.limit <= 100);
        CHECK(r.by_query ? r.query.p != NULL && r.user_count == 0 : r.query.p == NULL);
        CHECK(!r.by_query || r.limit || r.query.n == 0); /* only everybody has no limit */
        CHECK(!r.nonce.p || r.nonce.n <= 32);
        for (unsigned i = 0; i < r.user_count; i++)
            CHECK(r.user_ids[i]);
        jw_obj(&answer); /* the chunk says the nonce again */
        jw_kid(&answer, "guild_id", r.guild_id);
        if (r.nonce.p)
            jw_kstr(&answer, "nonce", r.nonce);
        jw_obj_end(&answer);
        is_json(&answer);
    }
    buf_done(&answer);
    arena_done(&a);
}

static void others(const json_t *d)
{
    struct guilds_request guilds;
    struct channel_info_request info;

    if (sounds_request_read(d, &guilds) == 0)
        CHECK(guilds.guild_count <= GUILDS_REQUEST_MAX);
    if (channel_info_request_read(d, &info) == 0)
        CHECK(info.guild_id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct buf payload = BUF_INIT(0);
    struct envelope e;
    json_t *d = NULL;

    buf_adds(&payload, "{\"op\":8,\"d\":");
    buf_add_str(&payload, text);
    buf_addc(&payload, '}');
    if (size && envelope_scan(buf_str(&payload), &e) == 0 && e.data.n && json_read(e.data, &d, NULL) == 0) {
        members(d);
        others(d);
    }
    json_decref(d);
    buf_done(&payload);
    return 0;
}
