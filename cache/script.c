/* The guarded script. Places are decimal numbers of 16 digits each, compared as text. Only the version is declared as a
 * key: all others begin with its hash tag's head, and are in the same slot. */
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
    "  local ok2, list = pcall(cjson.decode, call('HGET', k, id) or '[]')\n"                                           \
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
    "  if #out == 0 then call('HDEL', k, id)\n"                                                                        \
    "  else call('HSET', k, id, '[' .. table.concat(out, ',') .. ']') end\n"                                           \
    "end\n"

/* A channel's or thread's own keys. What never had an expiry or outlived it is looked for at random, two at a time,
 * whenever one is added: so the list stays about as long as there are parts that hold something. */
#define PARTS                                                                                                          \
    "local kinds = {'messages:', 'order:', 'reactions:', 'thread_members:'}\n"                                         \
    "local function part_keys(part)\n"                                                                                 \
    "  local keys = {}\n"                                                                                              \
    "  for at, kind in ipairs(kinds) do keys[at] = head .. kind .. part end\n"                                         \
    "  return keys\n"                                                                                                  \
    "end\n"                                                                                                            \
    "local function part_drop(part)\n"                                                                                 \
    "  call('UNLINK', unpack(part_keys(part)))\n"                                                                      \
    "  call('SREM', head .. 'parts', part)\n"                                                                          \
    "end\n"

#define ADD                                                                                                            \
    "local function part_add(part)\n"                                                                                  \
    "  if call('SADD', head .. 'parts', part) == 0 then return end\n"                                                  \
    "  for _, other in ipairs(call('SRANDMEMBER', head .. 'parts', 2)) do\n"                                           \
    "    if other ~= part and call('EXISTS', unpack(part_keys(other))) == 0 then call('SREM', head .. 'parts', "       \
    "other) end\n"                                                                                                     \
    "  end\n"                                                                                                          \
    "end\n"

/* With a full Redis, what can take no memory is not written: the old state of it goes instead, because absent is better
 * than old. A script's first write must not be one that takes memory, then the rest is let through. */
#define GUARD                                                                                                          \
    "local call, head, E, place, ARGV, sub = redis.call, ARGV[4], ARGV[1], ARGV[2], ARGV, string.sub\n"                \
    "local v, done = redis.pcall('SET', KEYS[1], E .. place, 'KEEPTTL', 'GET'), 1\n"                                   \
    "if type(v) == 'table' then\n"                                                                                     \
    "  if not string.find(v.err, 'OOM', 1, true) then return v end\n"                                                  \
    "  done, v = 2, call('GET', KEYS[1])\n"                                                                            \
    "end\n"                                                                                                            \
    "if v then\n"                                                                                                      \
    "  local e = sub(v, 1, 16)\n"                                                                                      \
    "  if E < e or place <= sub(v, 17) then\n"                                                                         \
    "    redis.pcall('SET', KEYS[1], (E < e and e or E) .. sub(v, 17), 'KEEPTTL')\n"                                   \
    "    return E < e and -1 or 0\n"                                                                                   \
    "  end\n"                                                                                                          \
    "end\n"                                                                                                            \
    "if done == 2 then\n"                                                                                              \
    "  redis.call('DEL', head .. 'none')\n"                                                                            \
    "  redis.call('SET', KEYS[1], E .. place, 'KEEPTTL')\n"                                                            \
    "  call = function(command, key, ...)\n"                                                                           \
    "    if command == 'HSET' then\n"                                                                                  \
    "      local words = {...}\n"                                                                                      \
    "      for at = 1, #words, 2 do redis.call('HDEL', key, words[at]) end\n"                                          \
    "      return 1\n"                                                                                                 \
    "    elseif command == 'HINCRBY' then\n"                                                                           \
    "      return redis.call('HDEL', key, (...))\n"                                                                    \
    "    elseif command == 'RPUSH' or command == 'SADD' then\n"                                                        \
    "      return 0\n"                                                                                                 \
    "    end\n"                                                                                                        \
    "    return redis.call(command, key, ...)\n"                                                                       \
    "  end\n"                                                                                                          \
    "end\n"

/* The most frequent first; functions are made only where they are called. Messages beyond the cap go when they are a
 * twentieth of it. */
#define MESSAGES                                                                                                       \
    "local answer, i, n = nil, 5, #ARGV\n"                                                                             \
    "while i <= n do\n"                                                                                                \
    "  local op, k = ARGV[i], head .. ARGV[i + 1]\n"                                                                   \
    "  if op == 'M' or op == 'm' then\n"                                                                               \
    "    local channel, id = ARGV[i + 1], ARGV[i + 2]\n"                                                               \
    "    local o, count = head .. 'order:' .. channel, 0\n"                                                            \
    "    k = head .. 'messages:' .. channel\n"                                                                         \
    "    if call('HSET', k, id, ARGV[i + 3]) == 1 then\n"                                                              \
    "      count = call('RPUSH', o, id)\n"                                                                             \
    "      local over = count - ARGV[i + 4]\n"                                                                         \
    "      if over > 0 and over >= ARGV[i + 4] / 20 then\n"                                                            \
    "        local old = call('LPOP', o, over)\n"                                                                      \
    "        call('HDEL', k, unpack(old))\n"                                                                           \
    "        call('HDEL', head .. 'reactions:' .. channel, unpack(old))\n"                                             \
    "      end\n"                                                                                                      \
    "    end\n"                                                                                                        \
    "    if op == 'M' or count == 1 then\n"                                                                            \
    "      call('EXPIRE', k, ARGV[i + 5])\n"                                                                           \
    "      call('EXPIRE', o, ARGV[i + 5])\n"                                                                           \
    "      call('EXPIRE', head .. 'reactions:' .. channel, ARGV[i + 5])\n"                                             \
    "      " PARTS " " ADD " part_add(channel)\n"                                                                      \
    "    end\n"                                                                                                        \
    "    i = i + 6\n"                                                                                                  \
    "  elseif op == 'S' then\n"                                                                                        \
    "    local last = i + 2 + 2 * ARGV[i + 2]\n"                                                                       \
    "    for from = i + 3, last, 1000 do\n"                                                                            \
    "      call('HSET', k, unpack(ARGV, from, math.min(from + 999, last)))\n"                                          \
    "    end\n"                                                                                                        \
    "    i = last + 1\n"

#define HASHES                                                                                                         \
    "  elseif op == 'P' then\n"                                                                                        \
    "    if call('HEXISTS', k, ARGV[i + 2]) == 1 then call('HSET', k, ARGV[i + 3], ARGV[i + 4]) end\n"                 \
    "    i = i + 5\n"                                                                                                  \
    "  elseif op == 'D' then\n"                                                                                        \
    "    call('HDEL', k, ARGV[i + 2])\n"                                                                               \
    "    i = i + 3\n"                                                                                                  \
    "  elseif op == 'N' then\n"                                                                                        \
    "    if call('HEXISTS', k, ARGV[i + 2]) == 1 then call('HINCRBY', k, ARGV[i + 2], ARGV[i + 3]) end\n"              \
    "    i = i + 4\n"                                                                                                  \
    "  elseif op == 'I' then\n"                                                                                        \
    "    local h = head .. ARGV[i + 4]\n"                                                                              \
    "    if call('HSET', k, ARGV[i + 2], ARGV[i + 3]) == 1 and call('HEXISTS', h, ARGV[i + 5]) == 1 then\n"            \
    "      call('HINCRBY', h, ARGV[i + 5], ARGV[i + 6])\n"                                                             \
    "    end\n"                                                                                                        \
    "    i = i + 7\n"                                                                                                  \
    "  elseif op == 'J' then\n"                                                                                        \
    "    " PATCH "\n"                                                                                                  \
    "    local text = call('HGET', k, ARGV[i + 2])\n"                                                                  \
    "    if text then call('HSET', k, ARGV[i + 2], patch(text, ARGV[i + 3], ARGV[i + 4])) end\n"                       \
    "    i = i + 5\n"                                                                                                  \
    "  elseif op == 'X' then\n"                                                                                        \
    "    call('UNLINK', k)\n"                                                                                          \
    "    i = i + 2\n"                                                                                                  \
    "  elseif op == 'Z' then\n"                                                                                        \
    "    if not v or sub(place, 1, 16) ~= sub(v, 17, 32) then call('UNLINK', k) end\n"                                 \
    "    i = i + 2\n"                                                                                                  \
    "  elseif op == 'F' then\n"                                                                                        \
    "    if call('HSET', k, ARGV[i + 2], ARGV[i + 3]) == 1 then " PARTS " " ADD " part_add(ARGV[i + 4]) end\n"         \
    "    i = i + 5\n"

#define CHANGES                                                                                                        \
    "  elseif op == 'U' then\n"                                                                                        \
    "    local m, r, id = head .. 'messages:' .. ARGV[i + 1], head .. 'reactions:' .. ARGV[i + 1], ARGV[i + 2]\n"      \
    "    if call('HEXISTS', m, id) == 1 then\n"                                                                        \
    "      call('HSET', m, id, ARGV[i + 3])\n"                                                                         \
    "      if ARGV[i + 4] == '[]' then call('HDEL', r, id)\n"                                                          \
    "      elseif ARGV[i + 4] ~= '' then\n"                                                                            \
    "        call('HSET', r, id, ARGV[i + 4])\n"                                                                       \
    "        call('EXPIRE', r, call('TTL', m))\n"                                                                      \
    "      end\n"                                                                                                      \
    "    end\n"                                                                                                        \
    "    i = i + 5\n"                                                                                                  \
    "  elseif op == 'R' then\n"                                                                                        \
    "    call('HDEL', head .. 'messages:' .. ARGV[i + 1], ARGV[i + 2])\n"                                              \
    "    call('LREM', head .. 'order:' .. ARGV[i + 1], -1, ARGV[i + 2])\n"                                             \
    "    call('HDEL', head .. 'reactions:' .. ARGV[i + 1], ARGV[i + 2])\n"                                             \
    "    i = i + 3\n"                                                                                                  \
    "  elseif op == 'A' then\n"                                                                                        \
    "    " REACTIONS "\n"                                                                                              \
    "    local m, r, id, colors = head .. 'messages:' .. ARGV[i + 1], head .. 'reactions:' .. ARGV[i + 1], ARGV[i + "  \
    "2], nil\n"                                                                                                        \
    "    if call('HEXISTS', m, id) == 1 then\n"                                                                        \
    "      if ARGV[i + 7] ~= '' then\n"                                                                                \
    "        local ok, read = pcall(cjson.decode, ARGV[i + 7])\n"                                                      \
    "        colors = ok and type(read) == 'table' and read or nil\n"                                                  \
    "      end\n"                                                                                                      \
    "      reaction(r, id, ARGV[i + 3], tonumber(ARGV[i + 4]), ARGV[i + 5] == '1', ARGV[i + 6] == '1', colors)\n"      \
    "      call('EXPIRE', r, call('TTL', m))\n"                                                                        \
    "      if done == 2 then call('HDEL', m, id) end\n"                                                                \
    "    end\n"                                                                                                        \
    "    i = i + 8\n"

#define PARTED                                                                                                         \
    "  elseif op == 'K' then\n"                                                                                        \
    "    " PARTS "\n"                                                                                                  \
    "    part_drop(ARGV[i + 2])\n"                                                                                     \
    "    i = i + 3\n"                                                                                                  \
    "  elseif op == 'L' then\n"                                                                                        \
    "    " PARTS "\n"                                                                                                  \
    "    for _, part in ipairs(call('SMEMBERS', k)) do part_drop(part) end\n"                                          \
    "    i = i + 2\n"                                                                                                  \
    "  elseif op == 'Y' then\n"                                                                                        \
    "    local count, parents = tonumber(ARGV[i + 2]), nil\n"                                                          \
    "    for j = 1, count do parents = parents or {}; parents[ARGV[i + 2 + j]] = true end\n"                           \
    "    local all = call('HGETALL', k)\n"                                                                             \
    "    for j = 1, #all, 2 do\n"                                                                                      \
    "      local parent = string.match(all[j + 1], '\"parent_id\":\"?(%d+)')\n"                                        \
    "      if not parents or (parent and parents[parent]) then\n"                                                      \
    "        call('HDEL', k, all[j])\n"                                                                                \
    "        call('UNLINK', head .. 'thread_members:' .. all[j])\n"                                                    \
    "      end\n"                                                                                                      \
    "    end\n"                                                                                                        \
    "    i = i + 3 + count\n"                                                                                          \
    "  elseif op == 'G' then\n"                                                                                        \
    "    " PARTS "\n"                                                                                                  \
    "    local function named(at)\n"                                                                                   \
    "      local set, last = {}, at + ARGV[at]\n"                                                                      \
    "      for j = at + 1, last do set[ARGV[j]] = true end\n"                                                          \
    "      return set, last + 1\n"                                                                                     \
    "    end\n"                                                                                                        \
    "    local channels, threads, hash = nil, nil, head .. 'threads'\n"                                                \
    "    local fresh = not v or sub(place, 1, 16) ~= sub(v, 17, 32)\n"                                                 \
    "    channels, i = named(i + 2)\n"                                                                                 \
    "    threads, i = named(i)\n"                                                                                      \
    "    answer = answer or {done}\n"                                                                                  \
    "    for _, id in ipairs(call('HKEYS', k)) do\n"                                                                   \
    "      if not channels[id] then\n"                                                                                 \
    "        part_drop(id)\n"                                                                                          \
    "        answer[#answer + 1] = id\n"                                                                               \
    "      end\n"                                                                                                      \
    "    end\n"                                                                                                        \
    "    local all = call('HGETALL', hash)\n"                                                                          \
    "    for j = 1, #all, 2 do\n"                                                                                      \
    "      local id, parent = all[j], string.match(all[j + 1], '\"parent_id\":\"?(%d+)')\n"                            \
    "      if fresh or not threads[id] then call('UNLINK', head .. 'thread_members:' .. id) end\n"                     \
    "      if not threads[id] and parent and not channels[parent] then\n"                                              \
    "        part_drop(id)\n"                                                                                          \
    "        answer[#answer + 1] = id\n"                                                                               \
    "      end\n"                                                                                                      \
    "    end\n"                                                                                                        \
    "    call('UNLINK', k, hash)\n"                                                                                    \
    "  else\n"                                                                                                         \
    "    answer = answer or {done}\n"                                                                                  \
    "    for _, id in ipairs(call('HKEYS', k)) do answer[#answer + 1] = id end\n"                                      \
    "    i = i + 2\n"                                                                                                  \
    "  end\n"                                                                                                          \
    "end\n"                                                                                                            \
    "local keep = ARGV[3]\n"                                                                                           \
    "if keep == '0' then call('PERSIST', KEYS[1])\n"                                                                   \
    "elseif keep ~= '' then\n"                                                                                         \
    "  call('EXPIRE', KEYS[1], keep)\n"                                                                                \
    "  call('EXPIRE', head .. 'parts', keep)\n"                                                                        \
    "end\n"                                                                                                            \
    "return answer or done\n"

const char *const cache_guarded_script = GUARD MESSAGES HASHES CHANGES PARTED;
