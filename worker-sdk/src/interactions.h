/* Private: commands that the bot declares, and which handler an interaction goes to. Loop thread. */
#pragma once

#include "worker-sdk/src/sdk.h"

#include <guildhall/interactions.h>

struct router;

struct router *router_new(void);
void router_free(struct router *r);
/* The handler's result; 0 where nothing is registered for it. Coroutine. */
int router_run(struct router *r, struct gh_context *c, const struct gh_interaction *i);
/* A command's choices carry the value's own type. */
json_t *choice_write(const struct gh_command_choice *choice, int64_t option_type);
json_t *command_write(const struct gh_command *command);

/* Registers what was declared, trying until it works or the bot stops. Coroutine. */
void commands_register(struct gh_bot *bot);
