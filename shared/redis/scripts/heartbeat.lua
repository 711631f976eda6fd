-- Renews a node's lease, counts the live nodes and exchanges the epoch of all: the later one wins on both sides.
-- KEYS[1] leases: node by the moment it ends (Unix milliseconds). KEYS[2] the epoch.
-- ARGV[1] the node, '' to listen only; ARGV[2] milliseconds to hold the lease, 0 to give it up; ARGV[3] the epoch known;
-- ARGV[4] 1 to begin a new epoch, which empties every window.
-- Answers the number of live nodes, the epoch, and the time, rounded up.
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
  -- Ends later than any lease can: written while the server's clock was ahead. A node that lives renews it in a second.
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', nowMs + holdMs + 1000), '+inf')
end
local stored = tonumber(redis.call('GET', KEYS[2]) or 0)
if ARGV[4] == '1' then
  epoch = math.max(nowMs, stored + 1, epoch + 1)
end
if epoch > stored then
  -- Outlives the longest window that an older epoch could have left behind.
  redis.call('SET', KEYS[2], string.format('%.0f', epoch), 'PX', 400 * 86400000)
  stored = epoch
end
return { redis.call('ZCARD', KEYS[1]), stored, time[1] * 1000 + math.ceil(time[2] / 1000) }
