/* Gateway nodes on shared embedded ports and WebSocket clients for them, in one process: what is sent, what is
 * expected. Everything runs on the test's coroutine. */
#pragma once

#include "tests/support/on_loop.h"

#include "gateway/server/gateway.h"
#include "platform/ports/bus.h"
#include "platform/ports/kv.h"
#include "platform/ports/store/store.h"
#include "platform/protocol/intents.h"

#include <jansson.h>

/* Seeded: alice owns GUILD, bob is a member, carol is in no guild; `bot` (no privileged intents) and `full` (all of
 * them) are bots in GUILD. GENERAL is for all, SECRET for the role MOD, which nobody has. */
enum {
    ALICE = 101,
    BOB,
    CAROL,
    BOT,
    FULL,
    GUILD = 1 << 23, /* shard 0 of 2 */
    OTHER = 3 << 22, /* alice's and bot's alone; shard 1 of 2 */
    GENERAL = 301,
    SECRET,
    OTHER_GENERAL,
    MOD = 401,
    DM = 501, /* of bob and bot */
};

#define INTENTS_USUAL (INTENT_GUILDS | INTENT_GUILD_MESSAGES | INTENT_DIRECT_MESSAGES)

extern struct ports ports;
extern struct token_registry *tokens;

extern const char *world_redis_url, *world_amqp_url; /* NULL: embedded */
void world_open(void);
void world_close(void);

/* More members of GUILD, ids from 100000 on: "zoe0", and all but each hundredth "member... with a long name". */
void members_make(unsigned count);

struct node {
    struct gateway *gateway;
    struct http_listener *listener;
    char url[64];
};
/* Options are those of a test with short times; change them first where that matters. */
extern struct gateway_options node_options;
void node_open(struct node *n, const char *id);
void node_close(struct node *n); /* its gateway may have been stopped before */

/* --- conversations ---------------------------------------------------------------------------------------------------
 */
/* They follow each other on one loop, each named as it begins: libwebsockets' clients know only one in a process. */
struct conversation {
    const char *name;
    void (*run)(void);
};
#define CONVERSATION(function)                                                                                         \
    {                                                                                                                  \
#function, function                                                                                            \
    }
void conversations_run(const struct conversation *all, size_t count);
/* The program of a file: CONVERSATIONS(CONVERSATION(a), CONVERSATION(b)) */
#define CONVERSATIONS(...)                                                                                             \
    static void conversations(void)                                                                                    \
    {                                                                                                                  \
        static const struct conversation all[] = {__VA_ARGS__};                                                        \
        conversations_run(all, sizeof all / sizeof *all);                                                              \
    }                                                                                                                  \
    ON_LOOP(conversations)                                                                                             \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const struct CMUnitTest tests[] = {cmocka_unit_test(conversations_test)};                                      \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                              \
    }

/* --- clients ---------------------------------------------------------------------------------------------------------
 */
struct client {
    struct ws_client *ws; /* NULL: over */
    json_t *got;          /* array of payloads not looked at */
    int code;             /* what it was closed with; 0: open */
    char session_id[40];
    uint64_t seq;
    bool numbers_wrong; /* s did not rise by exactly one */
};
void client_open(struct client *c, const struct node *n, const char *query);
void client_cut(struct client *c);             /* without a close code that ends the session */
void client_close(struct client *c, int code); /* and waits until it is over */
void client_send(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void client_send_raw(struct client *c, struct str bytes);
/* The next payload; NULL after 15 seconds. Borrowed until the next call. */
json_t *client_next(struct client *c);
/* Skips to the dispatch of this type; fails the test when it does not come. Its d, borrowed. */
json_t *client_event(struct client *c, const char *type);
/* Skips to the next payload with this op. */
json_t *client_op(struct client *c, int op);
/* Waits until it is closed; the code. */
int client_closed(struct client *c);
/* Nothing but heartbeat ACKs and presences (others come and go) comes for this long. */
void client_quiet(struct client *c, int64_t ms);

const char *token_of(uint64_t user); /* good until the next call */
void client_identify(struct client *c, uint64_t user, uint32_t intents, const char *more);
/* Open, HELLO, IDENTIFY, READY, and `guilds` GUILD_CREATEs. */
void client_login(struct client *c, const struct node *n, uint64_t user, uint32_t intents, unsigned guilds);
void client_resume(struct client *c, uint64_t user);

const char *text_at(const json_t *object, const char *key); /* "" when it is none */

/* --- events ----------------------------------------------------------------------------------------------------------
 */
/* Publishes without a change of rows; numbered. Returns the event's id. */
uint64_t tell(enum event_type type, uint64_t topic, bool topic_is_user, uint64_t channel, uint64_t user,
              const char *data);
/* MESSAGE_CREATE of a user in a channel of GUILD. The event's id. */
uint64_t say(uint64_t channel, uint64_t author, const char *content);
