-- The marker of one server: whether its counters can be trusted. KEYS[1] the marker.
-- Its value is the server's run id once its counters are right, `rebuilding:<token>` while somebody makes them right.
-- A server that lost its data has no marker; one that restarted with old data has the marker of its former run.
-- ARGV: 'claim' or 'renew', token, run id, lease in ms | 'complete', token, run id, time to live in ms.
local op, token, runId, ms = ARGV[1], 'rebuilding:' .. ARGV[2], ARGV[3], ARGV[4]
local value = redis.call('GET', KEYS[1])

if op == 'claim' then
  if value == runId then
    return 'trusted'
  end
  if value and value ~= token and string.sub(value, 1, 11) == 'rebuilding:' then
    return 'taken'
  end
  redis.call('SET', KEYS[1], token, 'PX', ms)
  return 'claimed'
end

-- Data lost again during the rebuild took the claim with it: what was raised before that is gone, so it does not count.
if value ~= token then
  return 'lost'
end
redis.call('SET', KEYS[1], op == 'renew' and token or runId, 'PX', ms)
return op == 'renew' and 'claimed' or 'trusted'
