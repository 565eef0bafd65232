/* What a worker has the shards send to the gateway: over RabbitMQ to whoever holds the shard, in order, within the
 * gateway's budget; while the shard is away it waits. 0: the broker has it (whether the gateway liked it, only its
 * events tell). -EAGAIN (the shard's queue is full), -EHOSTDOWN (no broker), -EMSGSIZE (over 4,096 bytes). Source:
 * Discord API documentation, "Gateway Events: Send Events". */
#ifndef GUILDHALL_GATEWAY_H
#define GUILDHALL_GATEWAY_H

#include <guildhall/bot.h>

GH_BEGIN_DECLS

/* On all shards. status: online, idle, dnd, invisible. activity: name, type, state, url; may be NULL. */
GH_API int gh_presence_set(struct gh_context *c, const char *status, const struct gh_activity *activity);
/* channel_id 0: leaves. The answer is VOICE_STATE_UPDATE, and VOICE_SERVER_UPDATE when it joined. */
GH_API int gh_voice_set(struct gh_context *c, uint64_t guild_id, uint64_t channel_id, bool self_mute, bool self_deaf);
/* The answers are GUILD_MEMBERS_CHUNK events with this nonce (at most 32 bytes; may be NULL). Either user_ids, or those
 * whose name begins with query ("": all), at most `limit` (0: all). */
GH_API int gh_members_request(struct gh_context *c, uint64_t guild_id, const char *query, int64_t limit,
                              const uint64_t *user_ids, size_t user_ids_count, bool presences, const char *nonce);
/* Any payload the shards take: {"op":43,"d":{"guild_id":...}}. guild_id 0: to every shard. */
GH_API int gh_gateway_send(struct gh_context *c, uint64_t guild_id, const struct gh_json *payload);

GH_END_DECLS
#endif
