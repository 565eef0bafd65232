/* Frames as a WebSocket client makes them, and a reader of a server's frames. */
#pragma once

#include "platform/base/buf.h"

/* A masked frame. first: FIN, RSV and opcode bits. */
void ws_frame_add(struct buf *b, unsigned first, struct str payload);
/* Takes one whole unmasked frame off the front of b. False: there is none yet. payload: the caller's buf, replaced. */
bool ws_frame_take(struct buf *b, unsigned *ret_first, struct buf *payload);

/* Opens /gateway on a connected socket and reads the 101; what came behind it stays in `ahead`. */
bool ws_client_handshake(int fd, struct buf *ahead);
/* Reads one frame; false when the connection ended. */
bool ws_client_frame(int fd, struct buf *ahead, unsigned *ret_first, struct buf *payload);
