/* Store: application commands and their permissions (commands.c). The rules of store.h. */
#pragma once

#include "platform/model/command.h"
#include "platform/ports/store/store.h"

/* Inserts, or changes the one of this id. -EEXIST from the commit: the name is taken in its scope. */
void store_command_put(struct commit *c, const struct application_command *cmd);
/* -ENODATA from the commit: there is none. */
void store_command_delete(struct commit *c, uint64_t application_id, uint64_t guild_id, uint64_t id);
/* All of a scope (guild_id 0: global); what is put afterwards in the same commit replaces them. */
void store_commands_clear(struct commit *c, uint64_t application_id, uint64_t guild_id);
/* By rising id. */
int store_commands_list(struct sql *db, struct arena *a, uint64_t application_id, uint64_t guild_id,
                        struct application_command **ret, unsigned *ret_count);
int store_command_get(struct sql *db, struct arena *a, uint64_t id, struct application_command *ret);
/* What is there to use in a guild: its own, and the global ones of applications whose bot is a member. */
int store_guild_commands(struct sql *db, struct arena *a, uint64_t guild_id, struct application_command **ret,
                         unsigned *ret_count);

/* The global ones of the applications that the person installed. */
int store_user_commands(struct sql *db, struct arena *a, uint64_t user_id, struct application_command **ret,
                        unsigned *ret_count);

void store_command_permissions_put(struct commit *c, const struct command_permissions *p); /* none: "[]" deletes */
/* Those of one command in every guild. */
void store_command_permissions_drop(struct commit *c, uint64_t application_id, uint64_t command_id);
/* Those of commands that are there no longer. */
void store_command_permissions_sweep(struct commit *c, uint64_t application_id);
/* application_id 0: every application's in the guild. */
int store_command_permissions_list(struct sql *db, struct arena *a, uint64_t application_id, uint64_t guild_id,
                                   struct command_permissions **ret, unsigned *ret_count);
