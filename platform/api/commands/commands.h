/* Application commands: reading what applications define (definition.c), the routes (commands.c), who may use them
 * (permissions.c). */
#pragma once

#include "platform/api/api.h"
#include "platform/ports/store/commands.h"

/* Checks the command object x->body (whose errors are told at x->form_path) and fills type, name and definition_json.
 * guild: one of a guild, which has no contexts. supported: the application's integration_types_config. What is wrong is
 * in the form. */
void command_read(struct api_ctx *x, bool guild, struct str supported, struct application_command *ret);

enum installed_to { INSTALLED_TO_GUILD, INSTALLED_TO_USER };
enum interaction_context { CONTEXT_GUILD, CONTEXT_BOT_DM, CONTEXT_PRIVATE };
/* Its integration_types, its contexts. A command of a guild is for it and for nothing else. */
bool command_for(const struct application_command *cmd, enum installed_to installed);
bool command_fits(const struct application_command *cmd, enum interaction_context context);

/* May this member use the command here? access: the caller's, of the channel, or of the guild: somewhere in it.
 * overwrites: store_command_permissions_list of the application. */
bool command_allowed(const struct api_access *access, const struct application_command *cmd,
                     const struct command_permissions *overwrites, unsigned overwrite_count);
