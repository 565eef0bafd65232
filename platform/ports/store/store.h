/* Port `store`: rows in transactions, SQLite or PostgreSQL (platform/io/sql.h). Reads are functions of their own; what
 * changes something is added to a commit (platform/ports/commit.h), which is one transaction and then its events.
 * One file for each entity. Coroutine only. Reads return 0, -ENOENT, or sql_read's errors. */
#pragma once

#include "platform/io/sql.h"
#include "platform/model/model.h"
#include "platform/ports/commit.h"
#include "platform/protocol/event.h"

/* --- schema (migrate.c) ------------------------------------------------------------------------------------------- */
/* Brings the schema to this binary's version; several processes at once are fine. 0, -EPROTO (the database is newer
 * than this binary), sql errors. */
int store_migrate(struct sql *db);
/* 0: current. -ESTALE: older, migrate first. -EPROTO: newer. */
int store_schema_check(struct sql *db);
int store_schema_version(void); /* this binary's */

/* --- outbox (outbox.c) -------------------------------------------------------------------------------------------- */
void store_outbox_insert(struct commit *c, const struct event *e);
/* That it happened, and nothing to publish: for who reads a snapshot beside it (struct guild_snapshot, `counted`). */
void store_outbox_note(struct commit *c, const struct event *e);
/* Confirmed by the bus: the rows are deleted `LIMIT_OUTBOX_KEEP_MS` after this, in batches. */
int store_outbox_confirmed(struct sql *db, const uint64_t *event_ids, unsigned count);
/* About `most` of them; more: there are others. */
int store_outbox_sweep(struct sql *db, int64_t confirmed_before_ms, unsigned most, bool *ret_more);
/* Unconfirmed events made before `before_ms`, oldest first. */
int store_outbox_pending(struct sql *db, struct arena *a, int64_t before_ms, unsigned limit, struct event **ret,
                         unsigned *ret_count);
/* Those of the events that are there, confirmed or not, in no order. */
int store_outbox_list(struct sql *db, struct arena *a, const uint64_t *event_ids, unsigned count, struct event **ret,
                      unsigned *ret_count);
/* An event by its id: refills gaps. -ENOENT. */
int store_outbox_get(struct sql *db, struct arena *a, uint64_t event_id, struct event *ret);

/* --- users, tokens (users.c) -------------------------------------------------------------------------------------- */
void store_user_insert(struct commit *c,
                       const struct user *u); /* -EEXIST from the commit: id, email or username taken */
void store_user_update(struct commit *c, const struct user *u); /* username and display name as they were */
void store_user_rename(struct commit *c, const struct user *u); /* the same, also where they changed */
int store_user_get(struct sql *db, struct arena *a, uint64_t id, struct user *ret);
int store_user_get_by_email(struct sql *db, struct arena *a, struct str email, struct user *ret);
int store_user_get_by_username(struct sql *db, struct arena *a, struct str username, struct user *ret);
/* In the order asked for; unknown ids are left out. */
int store_users_get(struct sql *db, struct arena *a, const uint64_t *ids, unsigned count, struct user **ret,
                    unsigned *ret_count);
/* "1,2,3" in the arena: a parameter for sql_ids. */
struct str store_ids(struct arena *a, const uint64_t *ids, unsigned count);

/* Adds one to the version (the first statement's result: one row, the new version): every older token is void, and so
 * are the user's fixed tokens. */
void store_token_version_bump(struct commit *c, uint64_t user_id);
int store_token_versions(struct sql *db, struct arena *a, uint64_t **ret_users, uint64_t **ret_versions,
                         unsigned *ret_count);
void store_fixed_token_put(struct commit *c, struct str token, uint64_t user_id);
int store_fixed_tokens(struct sql *db, struct arena *a, struct str **ret_tokens, uint64_t **ret_users,
                       unsigned *ret_count);

/* --- applications (applications.c) ---------------------------------------------------------------------------------
 */
void store_application_insert(struct commit *c, const struct application *app);
void store_application_update(struct commit *c, const struct application *app); /* but for the identify limits */
void store_application_limits_set(struct commit *c, uint64_t id, int64_t max_concurrency, int64_t session_starts);
int store_application_get(struct sql *db, struct arena *a, uint64_t id, struct application *ret);
/* An application that a person installed for itself. */
struct user_install {
    uint64_t application_id;
    struct str scopes_json;
};
void store_user_install_put(struct commit *c, uint64_t user_id, uint64_t application_id, struct str scopes_json);
void store_user_install_delete(struct commit *c, uint64_t user_id, uint64_t application_id); /* -ENODATA: none */
int store_user_install_get(struct sql *db, struct arena *a, uint64_t user_id, uint64_t application_id); /* -ENOENT */
int store_user_installs(struct sql *db, struct arena *a, uint64_t user_id, struct user_install **ret,
                        unsigned *ret_count);
int store_applications_of(struct sql *db, struct arena *a, uint64_t owner_id, struct application **ret,
                          unsigned *ret_count);

/* --- guilds (guilds.c), roles (roles.c), channels (channels.c), members (members.c), invites (invites.c) -------------
 */
/* member_count starts at 0 and follows store_member_insert and store_member_delete. */
void store_guild_insert(struct commit *c, const struct guild *g);
void store_guild_update(struct commit *c, const struct guild *g);
void store_guild_delete(struct commit *c, uint64_t guild_id); /* and all that is in it */
int store_guild_get(struct sql *db, struct arena *a, uint64_t guild_id, struct guild *ret);
/* Guild ids of a user, rising. */
int store_user_guild_ids(struct sql *db, struct arena *a, uint64_t user_id, uint64_t **ret, unsigned *ret_count);
/* Guild, roles, channels and up to members_max members (rising ids; `always` is among them when a member, 0 = nobody).
 * -ENOENT. */
int store_guild_snapshot(struct sql *db, struct arena *a, uint64_t guild_id, unsigned members_max, uint64_t always,
                         struct guild_snapshot *ret);
/* The same for many guilds in one batch, by rising id; unknown ones are left out. Members: the user's own, and of
 * guilds of at most list_max members all of them. */
int store_guild_snapshots(struct sql *db, struct arena *a, const uint64_t *guild_ids, unsigned count, uint64_t user_id,
                          unsigned list_max, struct guild_snapshot **ret, unsigned *ret_count);
/* A page of a user's guilds by rising id, with those roles only that count for the user (@everyone and its own). before
 * 0: no bound; before without after: the highest ones below it. */
int store_user_guilds(struct sql *db, struct arena *a, uint64_t user_id, uint64_t after, uint64_t before,
                      unsigned limit, struct guild_snapshot **ret, unsigned *ret_count);
/* What a permission check needs: guild, roles, the one channel (0: none) with overwrites, the member (members[0];
 * member_count 0 when the user is no member). One batch. -ENOENT: no such guild or no such channel in it. */
int store_guild_for_member(struct sql *db, struct arena *a, uint64_t guild_id, uint64_t channel_id, uint64_t user_id,
                           struct guild_snapshot *ret);
/* The same by the channel alone: channels[0] with overwrites and recipients; a DM has guild.id 0. -ENOENT. */
int store_channel_for_member(struct sql *db, struct arena *a, uint64_t channel_id, uint64_t user_id,
                             struct guild_snapshot *ret);

void store_role_insert(struct commit *c, const struct role *r);
void store_role_update(struct commit *c, const struct role *r);
void store_role_delete(struct commit *c, uint64_t guild_id, uint64_t role_id);

void store_channel_insert(struct commit *c, const struct channel *ch);
/* With its overwrites; last_message_id and last_pin_ms are the messages' own. */
void store_channel_update(struct commit *c, const struct channel *ch);
void store_channel_delete(struct commit *c, uint64_t channel_id);
int store_channel_get(struct sql *db, struct arena *a, uint64_t channel_id,
                      struct channel *ret); /* overwrites, recipients too */
int store_guild_channels(struct sql *db, struct arena *a, uint64_t guild_id, struct channel **ret, unsigned *ret_count);
/* The DM channel of two users; -ENOENT. */
int store_dm_find(struct sql *db, struct arena *a, uint64_t user_a, uint64_t user_b, struct channel *ret);
/* recipients are both users. -EEXIST: made by somebody else meanwhile. */
void store_dm_insert(struct commit *c, const struct channel *ch);
int store_user_dms(struct sql *db, struct arena *a, uint64_t user_id, struct channel **ret, unsigned *ret_count);

void store_member_insert(struct commit *c, const struct member *m); /* -EEXIST: is one already */
void store_member_update(struct commit *c, const struct member *m); /* with its roles */
void store_member_delete(struct commit *c, uint64_t guild_id, uint64_t user_id);
void store_member_role_add(struct commit *c, uint64_t guild_id, uint64_t user_id, uint64_t role_id);
void store_member_role_remove(struct commit *c, uint64_t guild_id, uint64_t user_id, uint64_t role_id);
int store_member_get(struct sql *db, struct arena *a, uint64_t guild_id, uint64_t user_id, struct member *ret);
int store_members_list(struct sql *db, struct arena *a, uint64_t guild_id, uint64_t after, unsigned limit,
                       struct member **ret, unsigned *ret_count);
/* A user's memberships, by rising guild. */
int store_user_members(struct sql *db, struct arena *a, uint64_t user_id, unsigned limit, struct member **ret,
                       unsigned *ret_count);
/* Those of the ids that are members, by rising id. */
int store_members_get(struct sql *db, struct arena *a, uint64_t guild_id, const uint64_t *ids, unsigned count,
                      struct member **ret, unsigned *ret_count);
/* Ids, rising, of members with a role or a nick: at most max. */
int store_members_marked(struct sql *db, struct arena *a, uint64_t guild_id, unsigned max, uint64_t **ret,
                         unsigned *ret_count);
/* Username, display name or nick begins with prefix, whatever its case: the first by name, in order of rising id. */
int store_members_search(struct sql *db, struct arena *a, uint64_t guild_id, struct str prefix, unsigned limit,
                         struct member **ret, unsigned *ret_count);

void store_invite_insert(struct commit *c, const struct invite *i);
void store_invite_delete(struct commit *c, struct str code);
void store_invite_use(struct commit *c, struct str code); /* fails the commit (-ENODATA) when it is used up */
int store_invite_get(struct sql *db, struct arena *a, struct str code, struct invite *ret);
int store_guild_invites(struct sql *db, struct arena *a, uint64_t guild_id, struct invite **ret, unsigned *ret_count);

/* --- bans, audit log (moderation.c)
 * ---------------------------------------------------------------------------------- */
void store_ban_insert(struct commit *c, uint64_t guild_id, uint64_t user_id, struct str reason); /* -EEXIST */
void store_ban_delete(struct commit *c, uint64_t guild_id, uint64_t user_id);                    /* -ENODATA */
int store_ban_get(struct sql *db, struct arena *a, uint64_t guild_id, uint64_t user_id, struct ban *ret);
/* By rising user id: the last ones below `before`, or (0) the first above `after`. */
int store_bans_list(struct sql *db, struct arena *a, uint64_t guild_id, uint64_t before, uint64_t after, unsigned limit,
                    struct ban **ret, unsigned *ret_count);
/* An author's messages in all channels of a guild since then: channel, id and attachments only; by channel. */
int store_messages_by_author(struct sql *db, struct arena *a, uint64_t guild_id, uint64_t author_id, int64_t since_ms,
                             unsigned limit, struct message **ret, unsigned *ret_count);

/* Also drops the guild's entries that are older than LIMIT_AUDIT_KEEP_MS. */
void store_audit_insert(struct commit *c, const struct audit_entry *e);
struct audit_query {
    uint64_t guild_id, user_id; /* user_id, action 0: any */
    int action;
    bool rising;   /* those above `from`, oldest first; else those below it, newest first */
    uint64_t from; /* an entry's id */
    unsigned limit;
};
int store_audit_list(struct sql *db, struct arena *a, const struct audit_query *q, struct audit_entry **ret,
                     unsigned *ret_count);

/* --- messages (messages.c), reactions (reactions.c) -----------------------------------------------------------------
 */
/* A channel's last_message_id is read from the messages themselves (max(id) by primary key), so that a busy channel's
 * row is not written for each message. */
void store_message_insert(struct commit *c, const struct message *m);
/* The same on condition that guild and author are as they were when store_channel_for_member read these versions: the
 * commit fails with -EINVAL when the guild's owner, roles, channels or overwrites, or the author's profile, membership
 * or roles have changed since. */
void store_message_insert_checked(struct commit *c, const struct message *m, uint64_t guild_version,
                                  uint64_t user_version);
void store_message_update(struct commit *c, const struct message *m);
void store_message_delete(struct commit *c, uint64_t channel_id, uint64_t message_id);
void store_messages_delete(struct commit *c, uint64_t channel_id, const uint64_t *ids, unsigned count);
int store_message_get(struct sql *db, struct arena *a, uint64_t channel_id, uint64_t message_id, struct message *ret);
enum store_list { STORE_LATEST, STORE_BEFORE, STORE_AFTER, STORE_AROUND };
/* Newest first, as the documentation has it. */
int store_messages_list(struct sql *db, struct arena *a, uint64_t channel_id, enum store_list how, uint64_t id,
                        unsigned limit, struct message **ret, unsigned *ret_count);
int store_messages_get(struct sql *db, struct arena *a, uint64_t channel_id, const uint64_t *ids, unsigned count,
                       struct message **ret, unsigned *ret_count);
/* enforce_nonce: the commit fails with -EEXIST when (channel, author, nonce) made a message in the last minutes. */
void store_message_nonce_put(struct commit *c, uint64_t channel_id, uint64_t author_id, struct str nonce,
                             uint64_t message_id);
int store_message_nonce_get(struct sql *db, uint64_t channel_id, uint64_t author_id, struct str nonce,
                            uint64_t *ret_id);
int store_message_nonce_sweep(struct sql *db, int64_t before_ms);

void store_pin_set(struct commit *c, uint64_t channel_id, uint64_t message_id, bool pinned, int64_t now_ms);
/* Latest pin first, pinned before `before_ms`. */
int store_pins_list(struct sql *db, struct arena *a, uint64_t channel_id, int64_t before_ms, unsigned limit,
                    struct message **ret, int64_t **ret_pinned_ms, unsigned *ret_count);

struct reaction_count {
    struct str emoji_name;
    uint64_t emoji_id;
    int64_t count;
    bool me;
};
void store_reaction_add(struct commit *c, uint64_t channel_id, uint64_t message_id, uint64_t user_id,
                        struct str emoji_name, uint64_t emoji_id); /* -ENODATA: is there already */
void store_reaction_remove(struct commit *c, uint64_t channel_id, uint64_t message_id, uint64_t user_id,
                           struct str emoji_name, uint64_t emoji_id); /* -ENODATA: was not there */
/* emoji_name STR_NONE: all of the message. */
void store_reactions_clear(struct commit *c, uint64_t channel_id, uint64_t message_id, struct str emoji_name,
                           uint64_t emoji_id);
/* Grouped, in order of first use; ret[i] belongs to message_ids[i]. */
int store_reactions_of(struct sql *db, struct arena *a, uint64_t channel_id, const uint64_t *message_ids,
                       unsigned count, uint64_t viewer, struct reaction_count **ret, unsigned *ret_counts);
int store_reaction_users(struct sql *db, struct arena *a, uint64_t channel_id, uint64_t message_id,
                         struct str emoji_name, uint64_t emoji_id, uint64_t after, unsigned limit, struct user **ret,
                         unsigned *ret_count);
