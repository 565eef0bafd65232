/* How dispatches change users, members, presences and voice states. Loop thread. */
#include "cache/apply.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/protocol/envelope.h"
#include "platform/protocol/intents.h"

#define SEEN_USERS 65536 /* a power of two */

/* --- users: a script of their own, because they are in no guild --- */

/* KEYS[1] the user; ARGV shard, epoch, generation, seq, received ms, ttl, JSON, shards remembered. The value is the
 * time of what was received last, the place of the last event of each shard, and the JSON: "1732200000000 0/4:5:6:7
 * {...}". Answers 1, 0 older than what is there, 2 removed because Redis is full. */
static const char user_script[] =
    "local shard, ms = ARGV[1], tonumber(ARGV[5])\n"
    "local v = redis.pcall('GET', KEYS[1])\n"
    "if type(v) == 'table' then\n"
    "  redis.call('UNLINK', KEYS[1])\n"
    "  v = false\n"
    "end\n"
    "local head = shard .. ':' .. ARGV[2] .. ':' .. ARGV[3] .. ':' .. ARGV[4] .. ' '\n"
    "if v then\n"
    "  local old, count = string.sub(v, 1, (string.find(v, '{', 1, true) or #v + 1) - 1), 1\n"
    "  for at, e, g, s in string.gmatch(old, '(%d+/%d+):(%d+):(%d+):(%d+)') do\n"
    "    if at == shard then\n"
    "      local E, G, S = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])\n"
    "      e, g, s = tonumber(e), tonumber(g), tonumber(s)\n"
    "      if E < e or G < g or (G == g and S <= s) then return 0 end\n"
    "    elseif count < tonumber(ARGV[8]) then\n"
    "      head = head .. at .. ':' .. e .. ':' .. g .. ':' .. s .. ' '\n"
    "      count = count + 1\n"
    "    end\n"
    "  end\n"
    "  if ms < tonumber(string.match(old, '^%d+') or 0) then return 0 end\n"
    "end\n"
    "head = ARGV[5] .. ' ' .. head\n"
    "local said = redis.pcall('SET', KEYS[1], head .. ARGV[7], 'EX', ARGV[6])\n"
    "if not said.err then return 1 end\n"
    "if not string.find(said.err, 'OOM', 1, true) then return said end\n"
    "redis.call('UNLINK', KEYS[1])\n"
    "redis.call('SET', KEYS[1], head, 'EX', ARGV[6])\n"
    "return 2\n";

/* The users written last, so that the same bytes are not written for every message of somebody. Not for long: another
 * process may have written something else meanwhile. */
struct seen_user {
    uint64_t id, hash;
    int64_t written_ms;
};

static uint64_t hash_bytes(struct str s)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    return h;
}

void apply_users_forget(struct cache_writer *w)
{
    if (w->seen)
        memset(w->seen, 0, sizeof(*w->seen) * SEEN_USERS);
}

/* Notes the user's bytes; false: the same ones were written not long ago. */
static bool user_is_news(struct cache_writer *w, uint64_t id, struct str json)
{
    uint64_t hash = hash_bytes(json);
    int64_t now = clock_mono_ms();

    if (!w->seen)
        w->seen = mem_zalloc(sizeof(*w->seen) * SEEN_USERS);
    struct seen_user *seen = &w->seen[(id >> 22 ^ id) % SEEN_USERS];
    if (seen->id == id && seen->hash == hash && now - seen->written_ms < LIMIT_CACHE_USER_AGAIN_MS)
        return false;
    *seen = (struct seen_user){id, hash, now};
    return true;
}

void apply_user_put(struct call *c, struct str user)
{
    struct cache_writer *w = c->w;
    struct batch *b = &w->batch;
    struct buf BUF_AUTO key = BUF_INIT(256);
    uint64_t id = apply_id_of(apply_member_of(user, "id"));

    if (!id || !apply_keeps(w, CACHE_USERS) || !user_is_news(w, id, user))
        return;
    cache_key(&key, w->o.application, id, CACHE_USERS);
    const struct cache_place *at = c->at;
    int64_t ms = at->received_ms ? at->received_ms : clock_wall_ms();
    struct str words[] = {
        buf_str(&key),
        arena_printf(&b->arena, "%u/%u", at->shard, at->shard_count),
        batch_id(b, at->epoch),
        batch_id(b, at->generation),
        batch_id(b, at->seq),
        batch_id(b, (uint64_t)ms),
        batch_id(b, LIMIT_CACHE_USER_TTL_S),
        apply_kept(c, CACHE_USERS, user, NULL),
        batch_id(b, LIMIT_CACHE_USER_SHARDS),
    };
    apply_script(c, user_script, sizeof(words) / sizeof(words[0]), words);
}

void apply_user_update(struct call *c)
{
    apply_user_put(c, c->data);
}

void apply_user_ready(struct call *c)
{
    c->w->own_user = apply_id_of(apply_member_of(c->f.user, "id"));
    apply_user_put(c, c->f.user);
    apply_ready_compare(c);
}

/* --- members --- */

/* Without the GUILD_MEMBERS intent nobody tells of changes, so only the bot's own member is kept. */
static bool member_is_kept(const struct cache_writer *w, uint64_t user)
{
    return apply_keeps(w, CACHE_MEMBERS) && ((w->o.intents & INTENT_GUILD_MEMBERS) || user == w->own_user);
}

void apply_member_put(struct call *c, struct str key, struct str member, bool with_user)
{
    struct batch *b = &c->w->batch;
    struct str user = apply_member_of(member, "user");
    uint64_t id = apply_id_of(apply_member_of(user, "id"));

    if (!id)
        return;
    if (with_user)
        apply_user_put(c, user);
    if (member_is_kept(c->w, id))
        batch_set(b, key, batch_id(b, id), apply_kept(c, CACHE_MEMBERS, member, NULL));
}

static int put_member(struct str value, void *arg)
{
    struct put *p = arg;

    apply_member_put(p->c, p->key, value, p->count++ < LIMIT_CACHE_EVENT_USERS);
    return 0;
}

void apply_members_put(struct call *c, struct str members)
{
    if (!apply_keeps(c->w, CACHE_MEMBERS) && !apply_keeps(c->w, CACHE_USERS))
        return;
    struct put p = apply_put_begin(c, CACHE_MEMBERS);
    json_elements_scan(members, put_member, &p);
}

/* It also comes for those who are members already: they do not count again. */
void apply_member_add(struct call *c)
{
    struct batch *b = &c->w->batch;
    uint64_t id = apply_id_of(apply_member_of(c->f.user, "id"));

    if (!id)
        return;
    apply_user_put(c, c->f.user);
    if (member_is_kept(c->w, id))
        batch_set_count(b, batch_key(b, CACHE_MEMBERS), batch_id(b, id), apply_kept(c, CACHE_MEMBERS, c->data, NULL),
                        batch_key(b, CACHE_GUILDS), STR("member_count"), 1);
    else if (apply_keeps(c->w, CACHE_GUILDS))
        batch_add(b, batch_key(b, CACHE_GUILDS), STR("member_count"), 1);
}

void apply_member_update(struct call *c)
{
    apply_member_put(c, batch_key(&c->w->batch, CACHE_MEMBERS), c->data, true);
}

void apply_member_remove(struct call *c)
{
    struct batch *b = &c->w->batch;
    uint64_t id = apply_id_of(apply_member_of(c->f.user, "id"));

    apply_del_one(c, CACHE_MEMBERS, id);
    apply_del_one(c, CACHE_PRESENCES, id);
    apply_del_one(c, CACHE_VOICE_STATES, id);
    if (apply_keeps(c->w, CACHE_GUILDS))
        batch_add(b, batch_key(b, CACHE_GUILDS), STR("member_count"), -1);
}

void apply_members_chunk(struct call *c)
{
    apply_members_put(c, c->f.members);
    apply_presences_put(c, c->f.presences);
}

/* --- presences: who is offline is not there --- */

static int put_presence(struct str value, void *arg)
{
    struct put *p = arg;
    struct batch *b = &p->c->w->batch;
    uint64_t id = apply_id_of(apply_member_of(apply_member_of(value, "user"), "id"));

    if (id && str_eq(apply_member_of(value, "status"), STR("\"offline\"")))
        batch_del(b, p->key, batch_id(b, id));
    else
        apply_put_field(p, id, value, NULL);
    return 0;
}

void apply_presences_put(struct call *c, struct str presences)
{
    if (!apply_keeps(c->w, CACHE_PRESENCES))
        return;
    struct put p = apply_put_begin(c, CACHE_PRESENCES);
    json_elements_scan(presences, put_presence, &p);
}

void apply_presence_update(struct call *c)
{
    struct put p = apply_put_begin(c, CACHE_PRESENCES);

    if (c->guild)
        put_presence(c->data, &p);
}

/* --- voice states: who is in no channel is not there --- */

static int put_voice_state(struct str value, void *arg)
{
    struct put *p = arg;
    struct batch *b = &p->c->w->batch;
    uint64_t id = apply_id_of(apply_member_of(value, "user_id"));

    if (id && !apply_id_of(apply_member_of(value, "channel_id")))
        batch_del(b, p->key, batch_id(b, id));
    else
        apply_put_field(p, id, value, NULL);
    return 0;
}

void apply_voice_states_put(struct call *c, struct str states)
{
    if (!apply_keeps(c->w, CACHE_VOICE_STATES))
        return;
    struct put p = apply_put_begin(c, CACHE_VOICE_STATES);
    json_elements_scan(states, put_voice_state, &p);
}

void apply_voice_state_update(struct call *c)
{
    struct put p = apply_put_begin(c, CACHE_VOICE_STATES);

    if (c->guild)
        put_voice_state(c->data, &p);
}
