/* The guarded script. Numbers stay exact: epochs are milliseconds, generations below 2^53. Keys of channels and threads
 * that are dropped with their guild are found in its list of parts: they are in the same slot, though not declared. */
#include "cache/script.h"

/* JSON is patched as text: Lua's cjson cannot tell an empty array from an empty object. `"name":` with a comma or a
 * brace before it is a key, because inside a string the quote would be escaped. Values patched are scalars. */
#define PATCH                                                                                                          \
    "local function patch(text, name, value)\n"                                                                        \
    "  local key = '\"' .. name .. '\":'\n"                                                                            \
    "  local at = string.find(text, key, 1, true)\n"                                                                   \
    "  while at do\n"                                                                                                  \
    "    local before = string.sub(text, at - 1, at - 1)\n"                                                            \
    "    if before == '{' or before == ',' then\n"                                                                     \
    "      local from = at + #key\n"                                                                                   \
    "      local to\n"                                                                                                 \
    "      if string.sub(text, from, from) == '\"' then\n"                                                             \
    "        local p = from + 1\n"                                                                                     \
    "        while not to do\n"                                                                                        \
    "          local c = string.find(text, '[\"\\\\]', p)\n"                                                           \
    "          if not c then return text end\n"                                                                        \
    "          if string.sub(text, c, c) == '\"' then to = c end\n"                                                    \
    "          p = c + 2\n"                                                                                            \
    "        end\n"                                                                                                    \
    "      else\n"                                                                                                     \
    "        to = (string.find(text, '[,}]', from) or 0) - 1\n"                                                        \
    "        if to < from then return text end\n"                                                                      \
    "      end\n"                                                                                                      \
    "      return string.sub(text, 1, from - 1) .. value .. string.sub(text, to + 1)\n"                                \
    "    end\n"                                                                                                        \
    "    at = string.find(text, key, at + 1, true)\n"                                                                  \
    "  end\n"                                                                                                          \
    "  local comma = text == '{}' and '' or ','\n"                                                                     \
    "  return string.sub(text, 1, -2) .. comma .. key .. value .. '}'\n"                                               \
    "end\n"

/* `reactions` of a message, written as the documentation has it. */
#define REACTIONS                                                                                                      \
    "local function known(v) return v ~= nil and v ~= cjson.null end\n"                                                \
    "local function emoji_of(e) return known(e.id) and tostring(e.id) or tostring(e.name) end\n"                       \
    "local function reaction_text(r)\n"                                                                                \
    "  local colors = {}\n"                                                                                            \
    "  for i, c in ipairs(known(r.burst_colors) and r.burst_colors or {}) do colors[i] = cjson.encode(c) end\n"        \
    "  local e = r.emoji\n"                                                                                            \
    "  local animated = known(e.animated) and ',\"animated\":' .. tostring(e.animated) or ''\n"                        \
    "  return '{\"emoji\":{\"id\":' .. cjson.encode(known(e.id) and e.id or cjson.null) .. ',\"name\":' ..\n"          \
    "    cjson.encode(known(e.name) and e.name or cjson.null) .. animated .. '},' ..\n"                                \
    "    string.format('\"count\":%d,\"count_details\":{\"burst\":%d,\"normal\":%d},\"me\":%s,\"me_burst\":%s,', "     \
    "r.burst + r.normal,\n"                                                                                            \
    "      r.burst, r.normal, tostring(r.me == true), tostring(r.me_burst == true)) ..\n"                              \
    "    '\"burst_colors\":[' .. table.concat(colors, ',') .. ']}'\n"                                                  \
    "end\n"                                                                                                            \
    "local function reaction(k, id, emoji, by, me, burst, colors)\n"                                                   \
    "  local ok, e = pcall(cjson.decode, emoji)\n"                                                                     \
    "  if not ok or type(e) ~= 'table' then return end\n"                                                              \
    "  local ok2, list = pcall(cjson.decode, redis.call('HGET', k, id) or '[]')\n"                                     \
    "  if not ok2 then list = {} end\n"                                                                                \
    "  local out, found = {}, false\n"                                                                                 \
    "  local function keep(r) if r.burst + r.normal > 0 then out[#out + 1] = reaction_text(r) end end\n"               \
    "  local function change(r)\n"                                                                                     \
    "    if burst then r.burst = math.max(r.burst + by, 0) else r.normal = math.max(r.normal + by, 0) end\n"           \
    "    if me and burst then r.me_burst = by > 0 elseif me then r.me = by > 0 end\n"                                  \
    "    if by > 0 and burst and colors then r.burst_colors = colors end\n"                                            \
    "    keep(r)\n"                                                                                                    \
    "  end\n"                                                                                                          \
    "  for _, r in ipairs(list) do\n"                                                                                  \
    "    if type(r) == 'table' and type(r.emoji) == 'table' then\n"                                                    \
    "      local d = known(r.count_details) and r.count_details or {}\n"                                               \
    "      r.burst = tonumber(d.burst) or 0\n"                                                                         \
    "      r.normal = tonumber(d.normal) or (tonumber(r.count) or 0) - r.burst\n"                                      \
    "      if emoji_of(r.emoji) ~= emoji_of(e) then keep(r)\n"                                                         \
    "      else found = true; if by ~= 0 then change(r) end end\n"                                                     \
    "    end\n"                                                                                                        \
    "  end\n"                                                                                                          \
    "  if not found and by > 0 then change({emoji = e, burst = 0, normal = 0}) end\n"                                  \
    "  if #out == 0 then redis.call('HDEL', k, id)\n"                                                                  \
    "  else redis.call('HSET', k, id, '[' .. table.concat(out, ',') .. ']') end\n"                                     \
    "end\n"

#define PARTS                                                                                                          \
    "local kinds = {'messages:', 'order:', 'reactions:', 'thread_members:'}\n"                                         \
    "local function part_drop(parts, part)\n"                                                                          \
    "  for _, kind in ipairs(kinds) do redis.call('UNLINK', head .. kind .. part) end\n"                               \
    "  redis.call('SREM', parts, part)\n"                                                                              \
    "end\n"                                                                                                            \
    "local function threads_drop(k, parts, parents)\n"                                                                 \
    "  local all = redis.call('HGETALL', k)\n"                                                                         \
    "  for j = 1, #all, 2 do\n"                                                                                        \
    "    local parent = string.match(all[j + 1], '\"parent_id\":\"?(%d+)')\n"                                          \
    "    if not parents or (parent and parents[parent]) then\n"                                                        \
    "      redis.call('HDEL', k, all[j])\n"                                                                            \
    "      redis.call('UNLINK', head .. 'thread_members:' .. all[j])\n"                                                \
    "    end\n"                                                                                                        \
    "  end\n"                                                                                                          \
    "end\n"

#define GUARD                                                                                                          \
    "local v = redis.call('HMGET', KEYS[1], 'e', 'g', 's')\n"                                                          \
    "local e, g, s = tonumber(v[1] or 0), tonumber(v[2] or 0), tonumber(v[3] or 0)\n"                                  \
    "local E, G, S = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n"                                        \
    "if E < e then return -1 end\n"                                                                                    \
    "if G < g or (G == g and S <= s) then\n"                                                                           \
    "  if E > e then redis.call('HSET', KEYS[1], 'e', ARGV[1]) end\n"                                                  \
    "  return 0\n"                                                                                                     \
    "end\n"

/* The most frequent first; functions are made only where they are called. A channel's expiry is set anew when a
 * sixteenth of it is over, not with each message. */
#define OPERATIONS                                                                                                     \
    "local head, answer, i, n = ARGV[5], nil, 6, #ARGV\n"                                                              \
    "while i <= n do\n"                                                                                                \
    "  local op, k = ARGV[i], KEYS[tonumber(ARGV[i + 1])]\n"                                                           \
    "  if op == 'S' then\n"                                                                                            \
    "    local last = i + 2 + 2 * tonumber(ARGV[i + 2])\n"                                                             \
    "    for from = i + 3, last, 1000 do\n"                                                                            \
    "      redis.call('HSET', k, unpack(ARGV, from, math.min(from + 999, last)))\n"                                    \
    "    end\n"                                                                                                        \
    "    i = last + 1\n"                                                                                               \
    "  elseif op == 'M' then\n"                                                                                        \
    "    local o, r, id = KEYS[tonumber(ARGV[i + 2])], KEYS[tonumber(ARGV[i + 3])], ARGV[i + 6]\n"                     \
    "    if redis.call('HSET', k, id, ARGV[i + 7]) == 1 then\n"                                                        \
    "      local count = redis.call('RPUSH', o, id)\n"                                                                 \
    "      for _ = 1, count - tonumber(ARGV[i + 8]) do\n"                                                              \
    "        local old = redis.call('LPOP', o)\n"                                                                      \
    "        redis.call('HDEL', k, old)\n"                                                                             \
    "        redis.call('HDEL', r, old)\n"                                                                             \
    "      end\n"                                                                                                      \
    "      if count == 1 then redis.call('SADD', KEYS[tonumber(ARGV[i + 4])], ARGV[i + 5]) end\n"                      \
    "    end\n"                                                                                                        \
    "    if redis.call('TTL', k) < tonumber(ARGV[i + 9]) * 15 / 16 then\n"                                             \
    "      redis.call('EXPIRE', k, ARGV[i + 9])\n"                                                                     \
    "      redis.call('EXPIRE', o, ARGV[i + 9])\n"                                                                     \
    "      redis.call('EXPIRE', r, ARGV[i + 9])\n"                                                                     \
    "    end\n"                                                                                                        \
    "    i = i + 10\n"                                                                                                 \
    "  elseif op == 'P' then\n"                                                                                        \
    "    if redis.call('HEXISTS', k, ARGV[i + 2]) == 1 then redis.call('HSET', k, ARGV[i + 3], ARGV[i + 4]) end\n"     \
    "    i = i + 5\n"                                                                                                  \
    "  elseif op == 'D' then\n"                                                                                        \
    "    redis.call('HDEL', k, ARGV[i + 2])\n"                                                                         \
    "    i = i + 3\n"                                                                                                  \
    "  elseif op == 'N' then\n"                                                                                        \
    "    if redis.call('HEXISTS', k, ARGV[i + 2]) == 1 then redis.call('HINCRBY', k, ARGV[i + 2], ARGV[i + 3]) end\n"  \
    "    i = i + 4\n"                                                                                                  \
    "  elseif op == 'I' then\n"                                                                                        \
    "    local h = KEYS[tonumber(ARGV[i + 4])]\n"                                                                      \
    "    if redis.call('HSET', k, ARGV[i + 2], ARGV[i + 3]) == 1 and redis.call('HEXISTS', h, ARGV[i + 5]) == 1 "      \
    "then\n"                                                                                                           \
    "      redis.call('HINCRBY', h, ARGV[i + 5], ARGV[i + 6])\n"                                                       \
    "    end\n"                                                                                                        \
    "    i = i + 7\n"                                                                                                  \
    "  elseif op == 'J' then\n" PATCH "    local text = redis.call('HGET', k, ARGV[i + 2])\n"                          \
    "    if text then redis.call('HSET', k, ARGV[i + 2], patch(text, ARGV[i + 3], ARGV[i + 4])) end\n"                 \
    "    i = i + 5\n"                                                                                                  \
    "  elseif op == 'U' then\n"                                                                                        \
    "    local r, id = KEYS[tonumber(ARGV[i + 2])], ARGV[i + 3]\n"                                                     \
    "    if redis.call('HEXISTS', k, id) == 1 then\n"                                                                  \
    "      redis.call('HSET', k, id, ARGV[i + 4])\n"                                                                   \
    "      if ARGV[i + 5] == '[]' then redis.call('HDEL', r, id)\n"                                                    \
    "      elseif ARGV[i + 5] ~= '' then\n"                                                                            \
    "        redis.call('HSET', r, id, ARGV[i + 5])\n"                                                                 \
    "        redis.call('EXPIRE', r, redis.call('TTL', k))\n"                                                          \
    "      end\n"                                                                                                      \
    "    end\n"                                                                                                        \
    "    i = i + 6\n"                                                                                                  \
    "  elseif op == 'R' then\n"                                                                                        \
    "    redis.call('HDEL', k, ARGV[i + 4])\n"                                                                         \
    "    redis.call('LREM', KEYS[tonumber(ARGV[i + 2])], -1, ARGV[i + 4])\n"                                           \
    "    redis.call('HDEL', KEYS[tonumber(ARGV[i + 3])], ARGV[i + 4])\n"                                               \
    "    i = i + 5\n"                                                                                                  \
    "  elseif op == 'A' then\n" REACTIONS "    local r, id, colors = KEYS[tonumber(ARGV[i + 2])], ARGV[i + 3], nil\n"  \
    "    if redis.call('HEXISTS', k, id) == 1 then\n"                                                                  \
    "      if ARGV[i + 8] ~= '' then\n"                                                                                \
    "        local ok, read = pcall(cjson.decode, ARGV[i + 8])\n"                                                      \
    "        colors = ok and type(read) == 'table' and read or nil\n"                                                  \
    "      end\n"                                                                                                      \
    "      reaction(r, id, ARGV[i + 4], tonumber(ARGV[i + 5]), ARGV[i + 6] == '1', ARGV[i + 7] == '1', colors)\n"      \
    "      redis.call('EXPIRE', r, redis.call('TTL', k))\n"                                                            \
    "    end\n"                                                                                                        \
    "    i = i + 9\n"                                                                                                  \
    "  elseif op == 'X' then\n"                                                                                        \
    "    redis.call('UNLINK', k)\n"                                                                                    \
    "    i = i + 2\n"                                                                                                  \
    "  elseif op == 'F' then\n"                                                                                        \
    "    if redis.call('HSET', k, ARGV[i + 2], ARGV[i + 3]) == 1 then\n"                                               \
    "      redis.call('SADD', KEYS[tonumber(ARGV[i + 4])], ARGV[i + 5])\n"                                             \
    "    end\n"                                                                                                        \
    "    i = i + 6\n"                                                                                                  \
    "  elseif op == 'K' then\n" PARTS "    part_drop(k, ARGV[i + 2])\n"                                                \
    "    i = i + 3\n"                                                                                                  \
    "  elseif op == 'L' then\n" PARTS                                                                                  \
    "    for _, part in ipairs(redis.call('SMEMBERS', k)) do part_drop(k, part) end\n"                                 \
    "    i = i + 2\n"                                                                                                  \
    "  elseif op == 'Y' then\n" PARTS "    local count, parents = tonumber(ARGV[i + 3]), nil\n"                        \
    "    for j = 1, count do parents = parents or {}; parents[ARGV[i + 3 + j]] = true end\n"                           \
    "    threads_drop(k, KEYS[tonumber(ARGV[i + 2])], parents)\n"                                                      \
    "    i = i + 4 + count\n"                                                                                          \
    "  else\n"                                                                                                         \
    "    answer = answer or {1}\n"                                                                                     \
    "    for _, id in ipairs(redis.call('HKEYS', k)) do answer[#answer + 1] = id end\n"                                \
    "    i = i + 2\n"                                                                                                  \
    "  end\n"                                                                                                          \
    "end\n"                                                                                                            \
    "redis.call('HSET', KEYS[1], 'e', ARGV[1], 'g', ARGV[2], 's', ARGV[3])\n"                                          \
    "if ARGV[4] == '0' then redis.call('PERSIST', KEYS[1])\n"                                                          \
    "elseif ARGV[4] ~= '' then\n"                                                                                      \
    "  redis.call('EXPIRE', KEYS[1], ARGV[4])\n"                                                                       \
    "  redis.call('EXPIRE', head .. 'parts', ARGV[4])\n"                                                               \
    "end\n"                                                                                                            \
    "return answer or 1\n"

const char *const cache_guarded_script = GUARD OPERATIONS;
