-- The marker of one server: whether its counters can be trusted. KEYS[1] the marker.
-- Its value is `<run id> <generation>` once its counters are right, `rebuilding:<token>` while they are rebuilt.
-- A server that lost its data has no marker; one that restarted with old data has the marker of its former run; an older
-- copy of the same run has a generation below the highest known.
-- ARGV: 'claim', 'renew' or 'complete', token, run id, generation that a rebuild brings, time to live in ms.
local op, token, runId, generation, ms = ARGV[1], 'rebuilding:' .. ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local value = redis.call('GET', KEYS[1])

if op == 'claim' then
  local markedRun, marked = string.match(value or '', '^(%w+) (%d+)$')
  -- Another process has completed a rebuild since this one looked.
  if markedRun == runId and tonumber(marked) >= generation then
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
if op == 'renew' then
  redis.call('SET', KEYS[1], token, 'PX', ms)
  return 'claimed'
end
redis.call('SET', KEYS[1], runId .. ' ' .. string.format('%.0f', generation), 'PX', ms)
return 'trusted'
