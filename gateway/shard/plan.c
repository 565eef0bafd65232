/* The set of shards that runs, in Redis. Loop thread; LIMIT_SHARE_SLOTS shards. */
#include "gateway/shard/plan.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include <errno.h>
#include <stdio.h>

#define ALIVE_MS 10000

#define PLAN_PRELUDE                                                                                                   \
    "local t = redis.call('TIME')\n"                                                                                   \
    "local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)\n"                                          \
    "local k = KEYS[1]\n"                                                                                              \
    "local function get(f) return tonumber(redis.call('HGET', k, f) or 0) end\n"                                       \
    "local function forget_next()\n"                                                                                   \
    "  for _, f in ipairs(redis.call('HKEYS', k)) do\n"                                                                \
    "    if string.sub(f, 1, 2) == 's:' then redis.call('HDEL', k, f) end\n"                                           \
    "  end\n"                                                                                                          \
    "  redis.call('HDEL', k, 'next_generation', 'next_count', 'phase')\n"                                              \
    "end\n"                                                                                                            \
    "local function endings()\n"                                                                                       \
    "  local all = {}\n"                                                                                               \
    "  for _, f in ipairs(redis.call('HKEYS', k)) do\n"                                                                \
    "    if string.sub(f, 1, 2) == 'e:' then all[#all + 1] = tonumber(string.sub(f, 3)) end\n"                         \
    "  end\n"                                                                                                          \
    "  table.sort(all)\n"                                                                                              \
    "  return all\n"                                                                                                   \
    "end\n"                                                                                                            \
    "local function x(g, s) return string.format('x:%.0f:%.0f', g, s) end\n"                                           \
    "local function e(g) return string.format('e:%.0f', g) end\n"                                                      \
    "local function answer(ready)\n"                                                                                   \
    "  local a = {get('generation'), get('count'), get('next_generation'), get('next_count'), get('queues'),\n"        \
    "             get('phase'), ready, get('alive_until') > now and 1 or 0}\n"                                         \
    "  for _, g in ipairs(endings()) do\n"                                                                             \
    "    local n, ended = get(e(g)), {}\n"                                                                             \
    "    for s = 0, n - 1 do ended[#ended + 1] = redis.call('HEXISTS', k, x(g, s)) end\n"                              \
    "    a[#a + 1], a[#a + 2], a[#a + 3] = g, n, table.concat(ended)\n"                                                \
    "  end\n"                                                                                                          \
    "  return a\n"                                                                                                     \
    "end\n"                                                                                                            \
    "local function progress()\n"                                                                                      \
    "  local ready, publish = 0, 0\n"                                                                                  \
    "  for s = 0, get('next_count') - 1 do\n"                                                                          \
    "    local p = get('s:' .. s)\n"                                                                                   \
    "    if p >= 1 then ready = ready + 1 end\n"                                                                       \
    "    if p >= 2 then publish = publish + 1 end\n"                                                                   \
    "  end\n"                                                                                                          \
    "  return ready, publish\n"                                                                                        \
    "end\n"

/* ARGV: generation, count, told, alive ms, next generation, number of shards of the next set held here, shard and
 * progress of each; then generation and shard of what has ended. */
static const char *const tell_script = PLAN_PRELUDE
    "redis.call('HDEL', k, '')\n" /* takes no memory: then a Redis that is full takes the rest, too */
    "local g, n, mine, count = get('generation'), get('count'), tonumber(ARGV[1]), tonumber(ARGV[2])\n"
    "if g < mine then\n" /* Redis forgot */
    "  redis.call('DEL', k)\n"
    "  redis.call('HSET', k, 'generation', mine, 'count', count)\n"
    "elseif g == 0 or (mine == 0 and ARGV[3] == '1' and n ~= count and now > get('alive_until')) then\n"
    "  forget_next()\n"
    "  redis.call('HSET', k, 'generation', g + 1, 'count', count)\n"
    "end\n"
    "redis.call('HSET', k, 'alive_until', now + tonumber(ARGV[4]),\n"
    "           'queues', math.max(get('queues'), get('count'), get('next_count')))\n"
    "local next = get('next_generation')\n"
    "if next > 0 and next == tonumber(ARGV[5]) then\n"
    "  for i = 7, 5 + 2 * tonumber(ARGV[6]), 2 do redis.call('HSET', k, 's:' .. ARGV[i], ARGV[i + 1]) end\n"
    "end\n"
    "for i = 7 + 2 * tonumber(ARGV[6]), #ARGV, 2 do\n"
    "  if get('e:' .. ARGV[i]) > 0 then redis.call('HSET', k, 'x:' .. ARGV[i] .. ':' .. ARGV[i + 1], 1) end\n"
    "end\n"
    "for _, g in ipairs(endings()) do\n"
    "  local n, ended = get(e(g)), 0\n"
    "  for s = 0, n - 1 do ended = ended + redis.call('HEXISTS', k, x(g, s)) end\n"
    "  if ended == n then\n"
    "    redis.call('HDEL', k, e(g))\n"
    "    for s = 0, n - 1 do redis.call('HDEL', k, x(g, s)) end\n"
    "  end\n"
    "end\n"
    "local ready, publish = progress()\n"
    "if next > 0 and get('phase') == 1 and ready == get('next_count') then redis.call('HSET', k, 'phase', 2) end\n"
    "if next > 0 and get('phase') == 2 and publish == get('next_count') then\n"
    "  redis.call('HSET', k, e(get('generation')), get('count'))\n"
    "  redis.call('HSET', k, 'generation', next, 'count', get('next_count'))\n"
    "  forget_next()\n"
    "end\n"
    "return answer(ready)\n";

/* ARGV: count. */
static const char *const begin_script =
    PLAN_PRELUDE "local g, next, count = get('generation'), get('next_generation'), tonumber(ARGV[1])\n"
                 "if g == 0 then return 0 end\n"
                 "if next == 0 and get('count') == count then return -1 end\n"
                 "if next > 0 and get('next_count') == count then return 1 end\n"
                 "for _, old in ipairs(endings()) do if get(e(old)) == count then return -2 end end\n"
                 "forget_next()\n"
                 "if now > get('alive_until') then\n" /* nobody runs: nothing to be kept up meanwhile */
                 "  redis.call('HSET', k, 'generation', g + 1, 'count', count)\n"
                 "else\n"
                 "  redis.call('HSET', k, 'next_generation', math.max(g, next) + 1, 'next_count', count, 'phase', 1)\n"
                 "end\n"
                 "return 1\n";

static const char *const read_script = PLAN_PRELUDE "return answer((progress()))\n";

static void key_text(uint64_t application, char *out, size_t size)
{
    snprintf(out, size, "gh:%llu:{shards}:set", (unsigned long long)application);
}

static int plan_read(const struct redis_reply *r, struct shard_plan *ret)
{
    if (redis_reply_type(r) != REDIS_ARRAY || redis_reply_count(r) < 8)
        return -EHOSTDOWN;
    *ret = (struct shard_plan){
        .generation = (uint64_t)redis_reply_int(redis_reply_at(r, 0)),
        .count = (unsigned)redis_reply_int(redis_reply_at(r, 1)),
        .next_generation = (uint64_t)redis_reply_int(redis_reply_at(r, 2)),
        .next_count = (unsigned)redis_reply_int(redis_reply_at(r, 3)),
        .queues = (unsigned)redis_reply_int(redis_reply_at(r, 4)),
        .phase = (enum shard_phase)redis_reply_int(redis_reply_at(r, 5)),
        .next_ready = (unsigned)redis_reply_int(redis_reply_at(r, 6)),
        .alive = redis_reply_int(redis_reply_at(r, 7)) != 0,
    };
    for (size_t i = 8; i + 2 < redis_reply_count(r) && ret->ending_count < SHARD_ENDINGS_MAX; i += 3) {
        struct shard_ending *e = &ret->endings[ret->ending_count++];

        *e = (struct shard_ending){.generation = (uint64_t)redis_reply_int(redis_reply_at(r, i)),
                                   .count = (unsigned)redis_reply_int(redis_reply_at(r, i + 1)),
                                   .ended = redis_reply_str(redis_reply_at(r, i + 2))};
        for (size_t n = 0; n < e->ended.n; n++)
            e->left += e->ended.p[n] == '0';
    }
    return 0;
}

/* --- a process's word --- */

struct telling {
    void (*done)(int error, const struct shard_plan *plan, void *arg);
    void *arg;
};

static void on_told(int error, const struct redis_reply *r, void *arg)
{
    struct telling *t = arg;
    struct shard_plan plan;

    if (error || plan_read(r, &plan) != 0)
        t->done(-EHOSTDOWN, NULL, t->arg);
    else
        t->done(0, &plan, t->arg);
    mem_free(t);
}

static struct str number(char (*at)[24], uint64_t n)
{
    snprintf(*at, sizeof(*at), "%llu", (unsigned long long)n);
    return str_c(*at);
}

void shard_plan_tell(struct redis *r, const struct shard_plan_word *w,
                     void (*done)(int error, const struct shard_plan *plan, void *arg), void *arg)
{
    struct telling *t = MEM_NEW(struct telling);
    size_t most = 7 + 2 * ((size_t)w->shard_count + w->ended_count);
    struct str *words = mem_alloc(sizeof(*words) * most);
    char(*numbers)[24] = mem_alloc(sizeof(*numbers) * most);
    char key[64];
    int n = 0;

    *t = (struct telling){done, arg};
    key_text(w->application, key, sizeof(key));
    words[n++] = str_c(key);
    words[n] = number(&numbers[n], w->generation), n++;
    words[n] = number(&numbers[n], w->count), n++;
    words[n] = number(&numbers[n], w->told), n++;
    words[n] = number(&numbers[n], ALIVE_MS), n++;
    words[n] = number(&numbers[n], w->next_generation), n++;
    words[n] = number(&numbers[n], w->shard_count), n++;
    for (unsigned i = 0; i < w->shard_count; i++) {
        words[n] = number(&numbers[n], w->shards[i]), n++;
        words[n] = number(&numbers[n], w->progress[i]), n++;
    }
    for (unsigned i = 0; i < w->ended_count; i++) {
        words[n] = number(&numbers[n], w->ended[i].generation), n++;
        words[n] = number(&numbers[n], w->ended[i].shard), n++;
    }
    redis_script(r, tell_script, 1, n, words, LIMIT_REDIS_COMMAND_MS, on_told, t);
    mem_free(words);
    mem_free(numbers);
}

/* --- the operator's --- */

int shard_plan_begin(struct redis *r, uint64_t application, unsigned count)
{
    struct redis_reply *reply = NULL;
    char key[64], text[24];

    key_text(application, key, sizeof(key));
    snprintf(text, sizeof(text), "%u", count);
    if (redis_script_await(r, begin_script, 1, 2, (struct str[]){str_c(key), str_c(text)}, &reply) != 0)
        return -EHOSTDOWN;
    int64_t answer = redis_reply_type(reply) == REDIS_INT ? redis_reply_int(reply) : -3;
    redis_reply_free(reply);
    return answer == 1 ? 0 : answer == 0 ? -ENOENT : answer == -1 ? -EALREADY : answer == -2 ? -EBUSY : -EHOSTDOWN;
}

int shard_plan_read(struct redis *r, uint64_t application, struct shard_plan *ret)
{
    struct redis_reply *reply = NULL;
    char key[64];

    key_text(application, key, sizeof(key));
    if (redis_script_await(r, read_script, 1, 1, (struct str[]){str_c(key)}, &reply) != 0)
        return -EHOSTDOWN;
    int error = plan_read(reply, ret);
    for (unsigned i = 0; error == 0 && i < ret->ending_count; i++)
        ret->endings[i].ended = STR_NONE;
    redis_reply_free(reply);
    return error == 0 && ret->generation == 0 ? -ENOENT : error;
}
