-- Leases by id: widget sessions, and requests under a concurrent limit of a tenant or user.
-- KEYS[1] ids by the moment their lease ends (Unix milliseconds).
-- ARGV: what (`acquire`, `renew`, `release`, `count`), lease in milliseconds, limit, then ids.
-- Answers how many ids it was done for, how many leases are live, and the moment the first of them ends (0: none).
--
-- To acquire what is held renews it; to release what is not held does nothing: both may be repeated at will.
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local what, leaseMs, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local key = KEYS[1]

if what ~= 'count' then
  redis.call('ZREMRANGEBYSCORE', key, '-inf', nowMs)
end
local live = redis.call('ZCOUNT', key, '(' .. string.format('%.0f', nowMs), '+inf')
if what == 'acquire' and live >= limit then
  -- Ends later than any lease of today: written while the server's clock was ahead, or under a longer lease.
  local latest = string.format('%.0f', nowMs + leaseMs)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. latest, '+inf')) do
    redis.call('ZADD', key, latest, id)
  end
end
local done = 0
for i = 4, #ARGV do
  local held = redis.call('ZSCORE', key, ARGV[i])
  if what == 'release' then
    done = done + redis.call('ZREM', key, ARGV[i])
  elseif held or (what == 'acquire' and live < limit) then
    redis.call('ZADD', key, nowMs + leaseMs, ARGV[i])
    live = held and live or live + 1
    done = done + 1
  end
end
if what == 'release' then
  live = live - done
elseif done > 0 then
  redis.call('PEXPIRE', key, leaseMs * 2)
end
local first = redis.call('ZRANGEBYSCORE', key, '(' .. string.format('%.0f', nowMs), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return { done, live, tonumber(first[2] or 0) }
