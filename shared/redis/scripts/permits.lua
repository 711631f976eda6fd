-- Shares a concurrent limit among nodes: each holds a number of permits as a lease and hands them out by itself.
-- KEYS[1] node -> `permits until` (until: Unix milliseconds). ARGV: node, permits wanted in all (0 gives the lease up), limit,
-- lease in milliseconds. Answers the permits granted and those held by all nodes together.
--
-- What a node asks for includes what it has in use, and leases that ended are dropped first: the sum of all
-- leases never exceeds the limit, unless the limit itself was lowered below what is in use.
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
