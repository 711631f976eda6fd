-- Renews a node's lease, counts the live nodes and exchanges the global epoch: Redis and the node keep the higher epoch.
-- KEYS[1]  sorted set of nodes, scored by the end of their lease (Unix milliseconds).
-- KEYS[2]  the global epoch (Unix milliseconds).
-- ARGV[1]  name of the node; '' for a process that is not a node and has no lease.
-- ARGV[2]  length of the lease in milliseconds; 0 ends the lease.
-- ARGV[3]  the highest epoch that the caller has.
-- ARGV[4]  1 to start a new epoch, which empties every window; otherwise 0.
-- Reply: the number of live nodes, the epoch, and the time in Unix milliseconds, rounded up.
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local holdMs, epoch = tonumber(ARGV[2]), tonumber(ARGV[3])
if ARGV[1] ~= '' and holdMs > 0 then
  redis.call('ZADD', KEYS[1], nowMs + holdMs, ARGV[1])
  redis.call('PEXPIRE', KEYS[1], holdMs * 2)
elseif ARGV[1] ~= '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', nowMs)
if holdMs > 0 then
  -- Drops leases that end later than a new lease would end: they were written while the server's clock was ahead. A
  -- live node renews its lease within a second.
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', nowMs + holdMs + 1000), '+inf')
end
local stored = tonumber(redis.call('GET', KEYS[2]) or 0)
if ARGV[4] == '1' then
  epoch = math.max(nowMs, stored + 1, epoch + 1)
end
if epoch > stored then
  -- The epoch is kept longer than the longest window, because windows that were written under an older epoch must count as empty.
  redis.call('SET', KEYS[2], string.format('%.0f', epoch), 'PX', 400 * 86400000)
  stored = epoch
end
return { redis.call('ZCARD', KEYS[1]), stored, time[1] * 1000 + math.ceil(time[2] / 1000) }
