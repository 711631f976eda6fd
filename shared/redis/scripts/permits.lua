-- Shares a concurrent limit among nodes: each node holds a number of permits as one lease, and grants them to its requests.
-- KEYS[1]  hash: node -> `<permits> <end of its lease>` (Unix milliseconds).
-- ARGV[1]  the node.
-- ARGV[2]  permits that the node requests in all, including those in use; 0 ends its lease.
-- ARGV[3]  the limit.
-- ARGV[4]  length of a lease in milliseconds.
-- Reply: the permits granted to the node, and the permits that all nodes hold together.
--
-- Expired leases are dropped first. The sum of all leases never exceeds the limit, unless the limit was lowered below the number
-- of permits in use.
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
      -- Written while the server's clock was ahead.
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
