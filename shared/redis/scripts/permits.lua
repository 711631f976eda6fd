-- Divides a concurrent limit among nodes. Each node holds a number of permits as one lease, and grants them to its requests.
-- KEYS[1]  hash: node -> `<permits> <end of its lease>` (Unix milliseconds).
-- ARGV[1]  name of the node.
-- ARGV[2]  total number of permits that the node requests, including its permits in use; 0 ends its lease.
-- ARGV[3]  the limit.
-- ARGV[4]  length of a lease in milliseconds.
-- Reply: the number of permits that the node now holds, and the number that all nodes hold together.
--
-- Expired leases are dropped first. The permits of all nodes together never exceed the limit, unless the limit was lowered below
-- the number of permits in use.
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
local node, wanted, limit, leaseMs = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local others, ended = 0, {}
local leases = redis.call('HGETALL', KEYS[1])
for i = 1, #leases, 2 do
  local permits, untilMs = string.match(leases[i + 1], '^(%d+) (%d+)$')
  if tonumber(untilMs) <= nowMs then
    ended[#ended + 1] = leases[i]
  elseif leases[i] ~= node then
    others = others + tonumber(permits)
    if tonumber(untilMs) > nowMs + leaseMs then
      -- Shortens a lease that was written while the server's clock was ahead.
      redis.call('HSET', KEYS[1], leases[i], string.format('%s %.0f', permits, nowMs + leaseMs))
    end
  end
end
if #ended > 0 then
  redis.call('HDEL', KEYS[1], unpack(ended))
end
local granted = math.max(0, math.min(wanted, limit - others))
if granted > 0 then
  redis.call('HSET', KEYS[1], node, string.format('%.0f %.0f', granted, nowMs + leaseMs))
  redis.call('PEXPIRE', KEYS[1], leaseMs * 2)
else
  redis.call('HDEL', KEYS[1], node)
end
return { granted, others + granted }
