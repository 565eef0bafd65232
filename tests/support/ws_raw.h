/* A WebSocket server written by hand, on a thread: one connection, one conversation, which may break every rule. */
#pragma once

#include "platform/base/str.h"

/* Listens on a free port; talk runs on the thread with the accepted socket, which is closed afterwards. */
int ws_raw_serve(void (*talk)(int fd));
int ws_raw_port(void);
void ws_raw_stop(void); /* cuts the conversation short and waits for its end */

/* For talk. Nothing here asserts. */
void ws_raw_answer(int fd, const char *text); /* reads the request's head, then sends this */
/* Answers the handshake rightly, with `more` in the same segment. request may be NULL. */
void ws_raw_handshake(int fd, char *request, size_t size, const char *more);
void ws_raw_send(int fd, struct str bytes);
size_t ws_raw_read(int fd, char *to, size_t size);
void ws_raw_wait_end(int fd); /* reads until the peer ends */
bool ws_raw_stopping(void);
