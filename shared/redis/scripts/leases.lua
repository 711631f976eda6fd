-- Counts leases by id. A lease is a widget session, or a request under a concurrent limit of a tenant, user or address.
-- KEYS[1]  sorted set of ids, scored by the end of their lease (Unix milliseconds).
-- ARGV[1]  the operation: `acquire`, `renew`, `release`, `count`.
-- ARGV[2]  length of a lease in milliseconds.
-- ARGV[3]  largest number of live leases.
-- ARGV[4]  and following: ids.
-- Reply: the number of ids for which the operation was done, the number of live leases after it, and the time at which the first
-- live lease ends (Unix milliseconds; 0 without a live lease).
--
-- Idempotent: acquiring a lease that is held renews it, and releasing a lease that is not held does nothing.
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local operation, leaseMs, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local key = KEYS[1]

if operation ~= 'count' then
  redis.call('ZREMRANGEBYSCORE', key, '-inf', nowMs)
end
local live = redis.call('ZCOUNT', key, '(' .. string.format('%.0f', nowMs), '+inf')
if operation == 'acquire' and live >= limit then
  -- Shortens leases that end later than a new lease would end: they were written while the server's clock was ahead, or
  -- when leases were longer.
  local latest = string.format('%.0f', nowMs + leaseMs)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. latest, '+inf')) do
    redis.call('ZADD', key, latest, id)
  end
end
local done = 0
for i = 4, #ARGV do
  local held = redis.call('ZSCORE', key, ARGV[i])
  if operation == 'release' then
    done = done + redis.call('ZREM', key, ARGV[i])
  elseif held or (operation == 'acquire' and live < limit) then
    redis.call('ZADD', key, nowMs + leaseMs, ARGV[i])
    live = held and live or live + 1
    done = done + 1
  end
end
if operation == 'release' then
  live = live - done
elseif done > 0 then
  redis.call('PEXPIRE', key, leaseMs * 2)
end
local first = redis.call('ZRANGEBYSCORE', key, '(' .. string.format('%.0f', nowMs), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return { done, live, tonumber(first[2] or 0) }
