/* What operators and tests do to a node's sessions: list them, close them, misbehave towards them (DESIGN: "the local
 * twin can misbehave on request"). The actions are reached through platform/control. Loop thread. */
#pragma once

#include "platform/base/list.h"

struct gateway;
struct conn;

/* Names the node's actions. */
void gateway_control_start(struct gateway *g);
/* Takes them back; forgets the rules. */
void gateway_control_stop(struct gateway *g);

/* Answers a heartbeat: at once, unless a rule says otherwise (dropped, or later). */
void gateway_control_ack(struct conn *c);
