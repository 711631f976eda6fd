-- Changes the marker of one Redis server, which shows whether the server's counters are complete.
-- KEYS[1]  the marker: `<run id> <generation>` while the counters are complete, `rebuilding:<token>` during a rebuild.
-- ARGV[1]  the operation: `claim`, `renew` or `complete`.
-- ARGV[2]  token of the calling process.
-- ARGV[3]  the run id of the server.
-- ARGV[4]  generation of the counters after the rebuild (the number of rebuilds).
-- ARGV[5]  time to live of the marker in milliseconds.
-- Reply: `claimed`, `claimed_elsewhere`, `trusted` or `lost`.
--
-- A server that lost its data has no marker. A server that restarted with old data has a marker with its former run id. An older
-- copy of the data has a generation below the highest known generation.
local op, token, runId, generation, ms = ARGV[1], 'rebuilding:' .. ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local value = redis.call('GET', KEYS[1])

if op == 'claim' then
  local markedRun, marked = string.match(value or '', '^(%w+) (%d+)$')
  -- Another process has completed a rebuild since the caller read the marker.
  if markedRun == runId and tonumber(marked) >= generation then
    return 'trusted'
  end
  if value and value ~= token and string.sub(value, 1, 11) == 'rebuilding:' then
    return 'claimed_elsewhere'
  end
  redis.call('SET', KEYS[1], token, 'PX', ms)
  return 'claimed'
end

-- If the server lost its data again during the rebuild, it lost the claim too: the counters are not marked as complete.
if value ~= token then
  return 'lost'
end
if op == 'renew' then
  redis.call('SET', KEYS[1], token, 'PX', ms)
  return 'claimed'
end
redis.call('SET', KEYS[1], runId .. ' ' .. string.format('%.0f', generation), 'PX', ms)
return 'trusted'
