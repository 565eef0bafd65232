/* The outbox's two ends inside a process: what commits confirm, and the coroutine that publishes what was left. */
#pragma once

#include "platform/ports/commit.h"

/* The bus confirmed this event: its row is marked with the next batch. */
void outbox_confirmed(uint64_t event_id);

/* Numbers and publishes events; the confirmed ones are reported to outbox_confirmed. 0, or the first error (the others
 * were still tried). Coroutine only. */
int commit_publish(const struct ports *p, struct event *events, unsigned count);
