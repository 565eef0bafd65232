/* The audit log: handlers that administrate add an entry to their commit, which is stored and dispatched with the rest.
 * Source: Discord API documentation, "Audit Log". */
#pragma once

#include "platform/api/api.h"

/* An entry by the caller, with its X-Audit-Log-Reason. changes, options: JSON of the documented form, STR_NONE for
 * none; both must live in the commit's arena. */
void audit_add(struct api_ctx *x, struct commit *c, uint64_t guild_id, int action, uint64_t target_id,
               struct str changes, struct str options);

/* What differs between two objects (NULL: none), as changes; an update that changes nothing adds no entry. */
void audit_guild(struct api_ctx *x, struct commit *c, const struct guild *before, const struct guild *after);
void audit_role(struct api_ctx *x, struct commit *c, const struct role *before, const struct role *after);
void audit_channel(struct api_ctx *x, struct commit *c, const struct channel *before, const struct channel *after);
/* MEMBER_UPDATE, and MEMBER_ROLE_UPDATE where its roles differ. `snap` knows the roles' names. */
void audit_member(struct api_ctx *x, struct commit *c, const struct guild_snapshot *snap, const struct member *before,
                  const struct member *after);
void audit_overwrite(struct api_ctx *x, struct commit *c, const struct guild_snapshot *snap, const struct channel *ch,
                     const struct overwrite *before, const struct overwrite *after);
void audit_invite(struct api_ctx *x, struct commit *c, const struct invite *before, const struct invite *after);
