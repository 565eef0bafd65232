/* A guild with a bot and its commands, used by people: shared by the parts of one test program
 * (interactions_*_test.c). */
#pragma once

#include "tests/contract/api/fixture.h"

#define U(v) (unsigned long long)(v)

extern struct person alice, bob, carol, bot; /* carol is a stranger */
extern uint64_t guild, general, role, ping, ping_version;
/* Of the last heard one; webhook: "/webhooks/ID/TOKEN". */
extern uint64_t interaction;
extern char token[512], webhook[600];

/* alice's guild with her bot, bob and a role in it. */
void start(bool limits);
/* A global command of the bot's. */
uint64_t command_new(const char *json);

int use(const struct person *who, int type, const char *data);
int use_command(const struct person *who, uint64_t id, const char *more);
/* A message of the bot's with a button and a select; one of them is used. Forgets the events. */
uint64_t panel_new(void);
int press(const struct person *who, uint64_t message, const char *data);
/* The i-th INTERACTION_CREATE that has a token: the bot's. Keeps its id and token. */
json_t *heard(void);
int respond(const char *json, const char *query);

/* Of an event's or answer's tree. */
json_t *in(json_t *v, const char *path);
const char *text_in(json_t *v, const char *path);

/* The parts; each has a server of its own. */
void components(void);
void endpoints(void);
void installs(void);
