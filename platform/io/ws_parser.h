/* Takes a client's WebSocket frames apart: unmasks, joins fragments, checks. No I/O, so that it can be fuzzed. Internal
 * to platform/io. Source: RFC 6455, section 5. */
#pragma once

#include "platform/base/buf.h"

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

struct ws_parser;
struct ws_partial;
struct ws_parser_callbacks {
    /* Bytes are valid during the call. The parser may be stopped inside, not freed. */
    void (*on_message)(struct ws_parser *p, struct str data, bool binary);
    void (*on_ping)(struct ws_parser *p, struct str payload);
    /* code 1005: the frame had none. Nothing is called afterwards. */
    void (*on_close)(struct ws_parser *p, int code, struct str reason);
};

struct ws_parser {
    const struct ws_parser_callbacks *cb;
    size_t payload_max;
    int payload_max_code;
    unsigned char header[14];
    unsigned char header_have;
    unsigned char message_opcode; /* of the message whose fragments are being joined; 0 = none */
    bool in_payload, stopped;
    uint64_t left;              /* of the frame's payload */
    unsigned mask_at;           /* which byte of the mask comes next */
    struct ws_partial *partial; /* NULL while nothing is incomplete */
};

void ws_parser_init(struct ws_parser *p, const struct ws_parser_callbacks *cb, size_t payload_max,
                    int payload_max_code);
void ws_parser_done(struct ws_parser *p);
/* Nothing is called any more; further bytes are swallowed. */
void ws_parser_stop(struct ws_parser *p);

/* data is unmasked in place. 0, or the close code of what is wrong (1002, 1007, payload_max_code); then the parser has
 * stopped. */
int ws_parser_feed(struct ws_parser *p, char *data, size_t len);
