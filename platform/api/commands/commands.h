/* Application commands: reading what applications define (definition.c), the routes (commands.c), who may use them
 * (permissions.c). */
#pragma once

#include "platform/api/api.h"
#include "platform/ports/store/commands.h"

/* Checks the command object x->body (whose errors are told at x->form_path) and fills type, name and definition_json.
 * guild: one of a guild, which has no contexts. What is wrong is in the form. */
void command_read(struct api_ctx *x, bool guild, struct application_command *ret);

/* May this member use the command here? access: the caller's, of the channel. overwrites:
 * store_command_permissions_list of the application. */
bool command_allowed(const struct api_access *access, const struct application_command *cmd,
                     const struct command_permissions *overwrites, unsigned overwrite_count);
