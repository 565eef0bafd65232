/* Slots shared by a group of processes. Loop thread; LIMIT_SHARE_SLOTS slots at most. */
#include "cache/share.h"

#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/io/loop.h"
#include <stdio.h>

#define WORDS_FIXED 10
#define UNKNOWN     (-1)

/* KEYS members, caps, slots; ARGV member, ttl, slots, cap, mode, number held, the server's run, then the slots to
 * release; modes: take, hold, quit, and claim, where instead slot and epoch of all that is held follow.
 * Answers the member's target, then slot, epoch, 1 where it is to be given up, for each slot held; or -1 alone, nothing
 * done: the member holds slots and is not known, as after a Redis that forgot everything, and should claim them. Then,
 * and in each new run of the server, nobody takes what seems free until all have had the time to claim. It
 * begins with a write that takes no memory: then a Redis that is full takes the others, too. */
static const char *const share_script =
    "redis.call('PEXPIRE', KEYS[1], 604800000)\n"
    "local t = redis.call('TIME')\n"
    "local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)\n"
    "local me, ttl, n, cap, mode = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]\n"
    "local function parse(v)\n"
    "  if not v then return 0, 0, '' end\n"
    "  local e, x, o = string.match(v, '^(%d+):(%d+):(.*)$')\n"
    "  return tonumber(e), tonumber(x), o\n"
    "end\n"
    "local function put(s, e, x, o) redis.call('HSET', KEYS[3], s, string.format('%.0f:%.0f:%s', e, x, o)) end\n"
    "local held, run, known = tonumber(ARGV[6]), ARGV[7], redis.call('HGET', KEYS[3], 'run')\n"
    "local function reborn() redis.call('HSET', KEYS[3], 'reborn', now) end\n"
    "if (held > 0 or mode == 'take') and redis.call('EXISTS', KEYS[1], KEYS[3]) == 0 then reborn() end\n"
    /* Leases ended while the server was away, though whoever has them works on. */
    "if run ~= '' and mode ~= 'quit' and known ~= run then\n"
    "  redis.call('HSET', KEYS[3], 'run', run)\n"
    "  if known then reborn() end\n"
    "end\n"
    "if held > 0 and mode ~= 'claim' and not redis.call('ZSCORE', KEYS[1], me) then return {-1} end\n"
    "if mode == 'claim' then\n"
    "  for i = 8, #ARGV, 2 do\n"
    "    local mine = tonumber(ARGV[i + 1])\n"
    "    if mine >= parse(redis.call('HGET', KEYS[3], ARGV[i])) then put(ARGV[i], mine, now + ttl, me) end\n"
    "  end\n"
    "else\n"
    "  for i = 8, #ARGV do\n"
    "    local e, x, o = parse(redis.call('HGET', KEYS[3], ARGV[i]))\n"
    "    if o == me then put(ARGV[i], e, 0, '') end\n"
    "  end\n"
    "end\n"
    "for _, m in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now))) do\n"
    "  redis.call('ZREM', KEYS[1], m)\n"
    "  redis.call('HDEL', KEYS[2], m)\n"
    "end\n"
    "if mode == 'quit' then\n"
    "  redis.call('ZREM', KEYS[1], me)\n"
    "  redis.call('HDEL', KEYS[2], me)\n"
    "  return {0}\n"
    "end\n"
    "redis.call('ZADD', KEYS[1], string.format('%.0f', now + ttl), me)\n"
    "redis.call('HSET', KEYS[2], me, cap)\n"
    /* Everybody's share: the one with the smallest cap first, so that what it cannot hold goes to the others. */
    "local caps, list = redis.call('HGETALL', KEYS[2]), {}\n"
    "for i = 1, #caps, 2 do list[#list + 1] = {caps[i], tonumber(caps[i + 1])} end\n"
    "table.sort(list, function(a, b) if a[2] ~= b[2] then return a[2] < b[2] end return a[1] < b[1] end)\n"
    "local left, target = n, 0\n"
    "for i, m in ipairs(list) do\n"
    "  local fair = math.min(m[2], math.floor(left / (#list - i + 1)))\n"
    "  left = left - fair\n"
    "  if m[1] == me then target = fair end\n"
    "end\n"
    "local all, slots, mine, free = redis.call('HGETALL', KEYS[3]), {}, {}, {}\n"
    "for i = 1, #all, 2 do slots[all[i]] = all[i + 1] end\n"
    "for s = 0, n - 1 do\n"
    "  local e, x, o = parse(slots[tostring(s)])\n"
    "  if o == me then\n"
    "    mine[#mine + 1] = {s, e}\n"
    "    put(s, e, now + ttl, me)\n"
    "  elseif o == '' or x < now then\n"
    "    free[#free + 1] = {s, e}\n"
    "  end\n"
    "end\n"
    "local keep = #mine\n"
    "if mode == 'take' and now >= tonumber(slots['reborn'] or 0) + ttl then\n"
    "  for _, f in ipairs(free) do\n"
    "    if #mine >= target then break end\n"
    "    local e = math.max(f[2] + 1, now)\n"
    "    put(f[1], e, now + ttl, me)\n"
    "    mine[#mine + 1] = {f[1], e}\n"
    "  end\n"
    "end\n"
    "if mode == 'take' then keep = target end\n"
    "for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], 604800000) end\n"
    "local answer = {target}\n"
    "for i, m in ipairs(mine) do\n"
    "  answer[#answer + 1] = m[1]\n"
    "  answer[#answer + 1] = string.format('%.0f', m[2])\n"
    "  answer[#answer + 1] = i > keep and 1 or 0\n"
    "end\n"
    "return answer\n";

struct slot {
    uint64_t epoch; /* 0: not held */
    bool leaving, released;
    bool giving_back; /* named in the question under way */
    unsigned told;    /* the tick whose answer named it */
};

struct share {
    struct share_options o;
    char *keys[3];
    char *member;
    struct slot *slots;
    unsigned held, tick, target;
    struct loop_timer *timer;
    int64_t started_ms, good_until_ms, asked_ms;
    bool asking, again, claiming, stopping, quitting, freed;
    char run[48], asked_run[48]; /* Redis' run in which our slots were told last, and that of the question under way */
    void (*stopped)(void *arg);
    void *stopped_arg;
};

static void share_ask(struct share *s);

static void share_destroy(struct share *s)
{
    for (int i = 0; i < 3; i++)
        mem_free(s->keys[i]);
    mem_free(s->member);
    mem_free(s->slots);
    mem_free(s);
}

static void slot_gone(struct share *s, unsigned n)
{
    s->slots[n] = (struct slot){0};
    s->held--;
}

static void slot_told(struct share *s, unsigned n, uint64_t epoch, bool give_up)
{
    struct slot *slot = &s->slots[n];

    if (slot->released && slot->epoch == epoch)
        return; /* on its way back; the next tick says so */
    if (slot->epoch && slot->epoch != epoch) {
        slot_gone(s, n);
        s->o.lost(n, s->o.arg);
    }
    slot->told = s->tick;
    if (!slot->epoch) {
        slot->epoch = epoch;
        s->held++;
        s->o.gained(n, epoch, s->o.arg);
    }
    if ((give_up || s->stopping) && !slot->leaving) {
        slot->leaving = true;
        s->o.leave(n, s->o.arg);
    }
}

/* What was held and was not named is another's. */
static void slots_sweep(struct share *s)
{
    for (unsigned n = 0; n < s->o.slots; n++) {
        struct slot *slot = &s->slots[n];

        if (!slot->epoch || slot->told == s->tick || slot->released)
            continue;
        slot_gone(s, n);
        s->o.lost(n, s->o.arg);
    }
}

static void apply(struct share *s, const struct redis_reply *reply)
{
    size_t count = redis_reply_count(reply);

    s->tick++;
    s->good_until_ms = s->asked_ms + s->o.ttl_ms;
    s->target = count ? (unsigned)redis_reply_int(redis_reply_at(reply, 0)) : 0;
    for (size_t i = 1; i + 2 < count; i += 3) {
        unsigned n = (unsigned)redis_reply_int(redis_reply_at(reply, i));
        if (n < s->o.slots)
            slot_told(s, n, (uint64_t)redis_reply_int(redis_reply_at(reply, i + 1)),
                      redis_reply_int(redis_reply_at(reply, i + 2)) != 0);
    }
    slots_sweep(s);
}

/* The slots that the last question gave back are free now. */
static void forget_released(struct share *s)
{
    for (unsigned n = 0; n < s->o.slots; n++)
        if (s->slots[n].giving_back)
            slot_gone(s, n);
}

static bool is_unknown(const struct redis_reply *reply)
{
    return redis_reply_count(reply) == 1 && redis_reply_int(redis_reply_at(reply, 0)) == UNKNOWN;
}

static void on_answer(int error, const struct redis_reply *reply, void *arg)
{
    struct share *s = arg;

    s->asking = false;
    if (s->freed) {
        share_destroy(s);
        return;
    }
    if (error == 0 && redis_reply_type(reply) == REDIS_ERROR)
        LOG_ERROR("share_failed", "name=%s error=\"%.*s\"", s->o.name, STR_ARG(redis_reply_str(reply)));
    bool good = error == 0 && redis_reply_type(reply) == REDIS_ARRAY;
    s->claiming = good && is_unknown(reply);
    if (good && !s->claiming) {
        memcpy(s->run, s->asked_run, sizeof s->run);
        forget_released(s);
        apply(s, reply);
    } else {
        for (unsigned n = 0; n < s->o.slots; n++)
            s->slots[n].giving_back = false;
    }
    if (s->quitting) {
        /* Also when Redis is away: the leases expire. */
        void (*stopped)(void *) = s->stopped;
        void *stopped_arg = s->stopped_arg;
        share_free(s);
        stopped(stopped_arg);
    } else if (s->again || s->claiming || (s->stopping && s->held == 0)) {
        share_ask(s);
    }
}

static const char *mode(const struct share *s)
{
    if (s->stopping)
        return s->held == 0 ? "quit" : "hold";
    return clock_mono_ms() - s->started_ms >= s->o.settle_ms ? "take" : "hold";
}

/* The numbers among the words, and the words themselves. */
struct question {
    struct str *words;
    char (*numbers)[24];
    int count, number_count;
};

static void word_number(struct question *q, uint64_t n)
{
    char *text = q->numbers[q->number_count++];

    snprintf(text, sizeof(q->numbers[0]), "%llu", (unsigned long long)n);
    q->words[q->count++] = str_c(text);
}

static void words_claim(struct share *s, struct question *q)
{
    for (unsigned n = 0; n < s->o.slots; n++) {
        if (!s->slots[n].epoch || s->slots[n].released)
            continue;
        word_number(q, n);
        word_number(q, s->slots[n].epoch);
    }
}

static void words_release(struct share *s, struct question *q)
{
    for (unsigned n = 0, releases = 0; n < s->o.slots && releases < LIMIT_SHARE_RELEASES; n++) {
        if (!s->slots[n].released)
            continue;
        s->slots[n].giving_back = true;
        word_number(q, n);
        releases++;
    }
}

static void share_ask(struct share *s)
{
    s->again = s->asking;
    if (s->asking)
        return;
    snprintf(s->asked_run, sizeof s->asked_run, "%s", redis_run_id(s->o.redis));
    if (s->held && strcmp(s->run, s->asked_run) != 0)
        s->claiming = true;
    size_t most = WORDS_FIXED + 2 * s->held + LIMIT_SHARE_RELEASES;
    struct question q = {.words = mem_alloc(sizeof(*q.words) * most), .numbers = mem_alloc(sizeof(*q.numbers) * most)};
    for (int i = 0; i < 3; i++)
        q.words[q.count++] = str_c(s->keys[i]);
    q.words[q.count++] = str_c(s->member);
    word_number(&q, (uint64_t)s->o.ttl_ms);
    word_number(&q, s->o.slots);
    word_number(&q, s->o.slots_max);
    q.words[q.count++] = str_c(s->claiming ? "claim" : mode(s));
    word_number(&q, s->held);
    q.words[q.count++] = str_c(s->asked_run);
    if (s->claiming)
        words_claim(s, &q);
    else
        words_release(s, &q);
    s->asking = true;
    s->quitting = s->stopping && s->held == 0;
    s->asked_ms = clock_mono_ms();
    redis_script(s->o.redis, share_script, 3, q.count, q.words, (int)s->o.ttl_ms, on_answer, s);
    mem_free(q.words);
    mem_free(q.numbers);
}

static void on_tick(void *arg)
{
    share_ask(arg);
}

struct share *share_new(const struct share_options *o)
{
    static const char *const parts[] = {"members", "caps", "slots"};
    struct share *s = MEM_NEW(struct share);
    char key[256];

    CHECK(o->slots <= LIMIT_SHARE_SLOTS);
    s->o = *o;
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof(key), "{%s}:%s", o->name, parts[i]);
        s->keys[i] = mem_strdup(key);
    }
    s->o.name = NULL;
    s->member = mem_strdup(o->member);
    s->slots = mem_zalloc(sizeof(struct slot) * (o->slots ? o->slots : 1));
    s->started_ms = clock_mono_ms();
    s->timer = loop_timer_new(on_tick, s);
    s->o.name = s->keys[0];
    loop_timer_start(s->timer, 0, o->tick_ms);
    return s;
}

bool share_known(const struct share *s)
{
    return clock_mono_ms() < s->good_until_ms;
}

bool share_holds(const struct share *s, unsigned slot)
{
    return slot < s->o.slots && s->slots[slot].epoch != 0 && !s->slots[slot].released && share_known(s);
}

unsigned share_held(const struct share *s)
{
    return s->held;
}

bool share_settled(const struct share *s)
{
    return share_known(s) && s->held == s->target && clock_mono_ms() - s->started_ms > s->o.settle_ms + s->o.tick_ms;
}

void share_released(struct share *s, unsigned slot)
{
    if (slot >= s->o.slots || !s->slots[slot].epoch || s->slots[slot].released)
        return;
    s->slots[slot].released = true;
    share_ask(s);
}

void share_stop(struct share *s, void (*done)(void *arg), void *arg)
{
    s->stopping = true;
    s->stopped = done;
    s->stopped_arg = arg;
    for (unsigned n = 0; n < s->o.slots; n++) {
        if (!s->slots[n].epoch || s->slots[n].leaving)
            continue;
        s->slots[n].leaving = true;
        s->o.leave(n, s->o.arg);
    }
    share_ask(s);
}

void share_free(struct share *s)
{
    loop_timer_free(s->timer);
    s->timer = NULL;
    if (s->asking)
        s->freed = true;
    else
        share_destroy(s);
}
