/* The scripts of limiter_scripts.h. Lua 5.1 inside Redis 5 or later. */
#include "rest-proxy/limiter_scripts.h"

/* Numbers of limiter.h, as text: limiter_redis.c checks that they are the same. */
#define GO           "0"
#define GO_WAIT      "1"
#define GO_GLOBAL    "2"
#define GO_LOCKED    "3"
#define GO_MOVED     "6"
#define SCOPE_USER   "0"
#define SCOPE_GLOBAL "1"
#define SCOPE_SHARED "2"

// clang-format off

#define LUA_CLOCK \
    "local function clock(given)\n" \
    "  if given ~= '' then return tonumber(given) end\n" \
    "  local t = redis.call('TIME')\n" \
    "  return t[1] * 1000 + math.floor(t[2] / 1000)\n" \
    "end\n"

#define LUA_LOAD \
    "local function load(key)\n" \
    "  local w, h, raw = {}, {}, redis.call('HGETALL', key)\n" \
    "  for i = 1, #raw, 2 do\n" \
    "    if string.sub(raw[i], 1, 2) == 'h:' then\n" \
    "      local count, ends = string.match(raw[i + 1], '(%d+) (%d+)')\n" \
    "      h[string.sub(raw[i], 3)] = {tonumber(count), tonumber(ends)}\n" \
    "    else\n" \
    "      w[raw[i]] = tonumber(raw[i + 1])\n" \
    "    end\n" \
    "  end\n" \
    "  return w, h\n" \
    "end\n"

#define LUA_SAVE \
    "local function save(key, w, h, now, permit_ms)\n" \
    "  local last = math.max(w.reset or 0, w.guntil or 0, w.blocked or 0, now + permit_ms) + 60000\n" \
    "  local out = {}\n" \
    "  for name, value in pairs(w) do\n" \
    "    out[#out + 1] = name\n" \
    "    out[#out + 1] = string.format('%.0f', value)\n" \
    "  end\n" \
    "  for proxy, x in pairs(h) do\n" \
    "    if x[1] > 0 then\n" \
    "      out[#out + 1] = 'h:' .. proxy\n" \
    "      out[#out + 1] = string.format('%.0f %.0f', x[1], x[2])\n" \
    "    end\n" \
    "  end\n" \
    "  redis.call('DEL', key)\n" \
    "  if #out == 0 then return end\n" \
    "  redis.call('HSET', key, unpack(out))\n" \
    "  if w.locked ~= 1 then redis.call('PEXPIRE', key, string.format('%.0f', last - now)) end\n" \
    "end\n"

#define LUA_HELD \
    "local function held(h)\n" \
    "  local sum = 0\n" \
    "  for _, x in pairs(h) do sum = sum + x[1] end\n" \
    "  return sum\n" \
    "end\n"

#define LUA_HOLD \
    "local function hold(h, proxy, count, ends)\n" \
    "  local before = h[proxy] and h[proxy][1] or 0\n" \
    "  h[proxy] = {math.max(0, count < 0 and before + count or count), ends}\n" \
    "end\n"

#define LUA_ROLL \
    "local function roll(w, h, now)\n" \
    "  if w.open == 1 and now >= w.reset then\n" \
    "    w.open = 0\n" \
    "    w.remaining = w.limit\n" \
    "  end\n" \
    "  for proxy, x in pairs(h) do\n" \
    "    if x[2] <= now then\n" \
    "      w.ghosts = (w.ghosts or 0) + x[1]\n" \
    "      w.guntil = math.max(w.guntil or 0, x[2] + (w.length or 1000))\n" \
    "      h[proxy] = nil\n" \
    "    end\n" \
    "  end\n" \
    "  if w.ghosts and now >= w.guntil then w.ghosts = nil end\n" \
    "end\n"

#define LUA_LEARN \
    "local function learn(w, now, limited, limit, remaining, id, after, success)\n" \
    "  if not limited then\n" \
    "    if success and w.known ~= 1 then w.unlimited = 1 end\n" \
    "    return\n" \
    "  end\n" \
    "  local same = id ~= 0 and math.floor((w.length or 0) / 2) or (w.length or 0)\n" \
    "  if same < 60 then same = 60 end\n" \
    "  if id == 0 then id = now + after end\n" \
    "  w.known = 1\n" \
    "  w.unlimited = nil\n" \
    "  w.limit = limit\n" \
    "  if w.open ~= 1 or id > w.id + same then\n" \
    "    w.open, w.id, w.remaining, w.reset = 1, id, remaining, now + after\n" \
    "    if after > (w.length or 0) then w.length = after end\n" \
    "  elseif id >= w.id - same then\n" \
    "    if remaining < w.remaining then w.remaining = remaining end\n" \
    "    if now + after > w.reset then w.reset = now + after end\n" \
    "  end\n" \
    "end\n"

#define LUA_BLOCK \
    "local function block(w, ends)\n" \
    "  if ends > (w.blocked or 0) then w.blocked = ends end\n" \
    "end\n"

const char limiter_script_acquire[] =
    LUA_CLOCK LUA_LOAD LUA_SAVE LUA_HELD LUA_HOLD LUA_ROLL LUA_LEARN
    "local now, proxy, want, permit_ms = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])\n"
    "local global = tonumber(ARGV[5])\n"
    "local t, th = load(KEYS[2])\n"
    "if t.locked == 1 then return {" GO_LOCKED ", 0, 0, ''} end\n"
    "if ARGV[6] ~= '' then\n"
    "  local hash = redis.call('HGET', KEYS[4], ARGV[6])\n"
    "  if hash then return {" GO_MOVED ", 0, 0, hash} end\n"
    "end\n"
    "local w, h = load(KEYS[1])\n"
    "roll(w, h, now)\n"
    "if w.known ~= 1 and w.unlimited ~= 1 then\n"
    "  if ARGV[7] == '2' then\n"
    "    w.unlimited = 1\n"
    "  elseif ARGV[7] == '1' and tonumber(ARGV[11]) > 0 then\n"
    "    learn(w, now, true, tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), true)\n"
    "  elseif ARGV[7] == '1' then\n"
    "    w.known, w.open, w.limit, w.remaining = 1, 0, tonumber(ARGV[8]), tonumber(ARGV[8])\n"
    "  end\n"
    "  if ARGV[7] == '1' then w.length = math.max(w.length or 0, tonumber(ARGV[12])) end\n"
    "end\n"
    "local out = held(h)\n"
    "local n, wait = want, 0\n"
    "if (w.blocked or 0) > now then\n"
    "  n, wait = 0, w.blocked - now\n"
    "elseif w.known ~= 1 and w.unlimited ~= 1 then\n"
    "  n, wait = out > 0 and 0 or 1, -1\n"
    "elseif w.known == 1 then\n"
    "  n = math.min(want, w.remaining - out - (w.ghosts or 0))\n"
    "  if n <= 0 then\n"
    "    n = 0\n"
    "    if w.open == 1 then wait = w.reset - now\n"
    "    elseif w.ghosts then wait = w.guntil - now\n"
    "    elseif out > 0 then wait = -1\n"
    "    else n = 1 end\n"
    "  end\n"
    "end\n"
    "if n == 0 then\n"
    "  save(KEYS[1], w, h, now, permit_ms)\n"
    "  return {" GO_WAIT ", 0, wait, ''}\n"
    "end\n"
    "if global >= 0 then\n"
    "  if (t.blocked or 0) > now then return {" GO_GLOBAL ", 0, t.blocked - now, ''} end\n"
    "  for p, x in pairs(th) do\n"
    "    if x[2] + 1000 <= now then th[p] = nil end\n"
    "  end\n"
    "  if global > 0 then\n"
    "    redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)\n"
    "    n = math.min(n, global - held(th) - redis.call('ZCARD', KEYS[3]))\n"
    "  end\n"
    "  if n <= 0 then\n"
    "    local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')\n"
    "    return {" GO_GLOBAL ", 0, first[2] and tonumber(first[2]) - now or -1, ''}\n"
    "  end\n"
    "  hold(th, proxy, (th[proxy] and th[proxy][1] or 0) + n, now + permit_ms)\n"
    "  save(KEYS[2], t, th, now, permit_ms)\n"
    "end\n"
    "hold(h, proxy, (h[proxy] and h[proxy][1] or 0) + n, now + permit_ms)\n"
    "save(KEYS[1], w, h, now, permit_ms)\n"
    "return {" GO ", n, 0, ''}\n";

const char limiter_script_report[] =
    LUA_CLOCK LUA_LOAD LUA_SAVE LUA_HELD LUA_HOLD LUA_ROLL LUA_LEARN LUA_BLOCK
    "local now, proxy, permit_ms = clock(ARGV[1]), ARGV[2], tonumber(ARGV[4])\n"
    "local kind, exempt, scope = ARGV[5], ARGV[6] == '1', tonumber(ARGV[15])\n"
    "local w, h = load(KEYS[1])\n"
    "roll(w, h, now)\n"
    "hold(h, proxy, tonumber(ARGV[3]), now + permit_ms)\n"
    "if kind == '2' then\n"
    "  w.ghosts = (w.ghosts or 0) + 1\n"
    "  w.guntil = now + (w.length or 1000)\n"
    "end\n"
    "local t, th = load(KEYS[2])\n"
    "if not exempt then\n"
    "  hold(th, proxy, tonumber(ARGV[18]), now + permit_ms)\n"
    "  if kind ~= '1' then\n"
    "    t.serial = (t.serial or 0) + 1\n"
    "    redis.call('ZADD', KEYS[3], now + 1001, string.format('%.0f', t.serial))\n"
    "    redis.call('PEXPIRE', KEYS[3], 60000)\n"
    "  end\n"
    "end\n"
    "if kind == '3' then\n"
    "  local to, toh = w, h\n"
    "  if KEYS[5] ~= KEYS[1] then\n"
    "    save(KEYS[1], w, h, now, permit_ms)\n"
    "    to, toh = load(KEYS[5])\n"
    "    roll(to, toh, now)\n"
    "  end\n"
    "  if ARGV[8] ~= '' and redis.call('HLEN', KEYS[4]) < 4096 then\n"
    "    redis.call('HSET', KEYS[4], ARGV[7], ARGV[8])\n"
    "    redis.call('PEXPIRE', KEYS[4], 86400000)\n"
    "  end\n"
    "  learn(to, now, ARGV[9] == '1', tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13]),\n"
    "        ARGV[14] == '1')\n"
    "  local ends = now + tonumber(ARGV[16])\n"
    "  if scope == " SCOPE_GLOBAL " then\n"
    "    block(t, ends)\n"
    "  elseif scope == " SCOPE_USER " then\n"
    "    block(to, ends)\n"
    "    if to.known == 1 and to.open == 1 and to.reset < to.blocked then to.reset = to.blocked end\n"
    "  elseif scope == " SCOPE_SHARED " then\n"
    "    block(to, ends)\n"
    "  end\n"
    "  if ARGV[17] == '1' then t.locked = 1 end\n"
    "  save(KEYS[5], to, toh, now, permit_ms)\n"
    "else\n"
    "  save(KEYS[1], w, h, now, permit_ms)\n"
    "end\n"
    "save(KEYS[2], t, th, now, permit_ms)\n";

const char limiter_script_hold[] =
    LUA_CLOCK LUA_LOAD LUA_SAVE LUA_HOLD
    "local now, proxy, count = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])\n"
    "local w, h = load(KEYS[1])\n"
    "if count < 0 then count = h[proxy] and h[proxy][1] or 0 end\n"
    "hold(h, proxy, count, now + tonumber(ARGV[4]))\n"
    "save(KEYS[1], w, h, now, tonumber(ARGV[4]))\n";

const char limiter_script_teach[] =
    LUA_CLOCK LUA_LOAD LUA_SAVE LUA_ROLL LUA_LEARN
    "local now = clock(ARGV[1])\n"
    "local w, h = load(KEYS[1])\n"
    "roll(w, h, now)\n"
    "learn(w, now, true, tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), true)\n"
    "w.length = math.max(w.length or 0, tonumber(ARGV[7]))\n"
    "save(KEYS[1], w, h, now, tonumber(ARGV[2]))\n";

const char limiter_script_block[] =
    LUA_CLOCK LUA_LOAD LUA_SAVE LUA_BLOCK
    "local now = clock(ARGV[1])\n"
    "local w, h = load(KEYS[1])\n"
    "block(w, now + tonumber(ARGV[2]))\n"
    "save(KEYS[1], w, h, now, tonumber(ARGV[3]))\n";

const char limiter_script_unlock[] =
    "local was = redis.call('HDEL', KEYS[1], 'locked')\n"
    "redis.call('PEXPIRE', KEYS[1], 60000)\n"
    "return was\n";

const char limiter_script_beat[] =
    LUA_CLOCK
    "local now = clock(ARGV[1])\n"
    "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)\n"
    "redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[2])\n"
    "local names = redis.call('ZRANGE', KEYS[1], 0, -1)\n"
    "table.sort(names)\n"
    "return names\n";

const char limiter_script_guard[] =
    LUA_CLOCK
    "local now = clock(ARGV[1])\n"
    "local slot, out = math.floor(now / 10000), {string.format('%.0f', now)}\n"
    "if tonumber(ARGV[2]) > 0 then\n"
    "  redis.call('HINCRBY', KEYS[1], string.format('%.0f', slot), ARGV[2])\n"
    "  redis.call('PEXPIRE', KEYS[1], 700000)\n"
    "end\n"
    "local raw = redis.call('HGETALL', KEYS[1])\n"
    "for i = 1, #raw, 2 do\n"
    "  local age = slot - tonumber(raw[i])\n"
    "  if age >= 60 then\n"
    "    redis.call('HDEL', KEYS[1], raw[i])\n"
    "  else\n"
    "    out[#out + 1] = string.format('%.0f', age)\n"
    "    out[#out + 1] = raw[i + 1]\n"
    "  end\n"
    "end\n"
    "return out\n";
// clang-format on
