-- Counts a batch of units that a node admitted without Redis: each unit once, with the time of its admission.
-- KEYS[1]  hash of the subject (a tenant, user or address).
-- KEYS[2]  sequence number of the last batch of the sending process that was counted.
-- KEYS[3]  the hash that holds the epoch; absent for a subject without a tenant.
-- ARGV     as in clock.lua, then the batch's sequence number, and for each window: field, kind (0 sliding, 1 quota), span and
--          grain (milliseconds), three bounds of the calendar period (Unix milliseconds, 0 for a sliding window): start of the
--          period before, start, end; then the number of entries and for each entry, oldest first: its first and its last
--          timestamp (Unix milliseconds) and its units.
-- Reply: 1 if the batch was counted now, 0 if it had been counted before; then for each window the used units and when all of
-- them have expired (Unix milliseconds).
beginCall()
local sequence = number()
local key = KEYS[1]
local ownEpoch = tonumber(KEYS[3] and call('HGET', KEYS[3], 'e') or 0)
local epoch = epochOfAll + ownEpoch
-- The value of an epoch is the time of the reset: units admitted before it do not count.
local resetAt = max(ownEpoch, epochOfAll)
local isNew = tonumber(call('GET', KEYS[2]) or 0) < sequence
local ttl = tonumber(call('HGET', key, 't') or 0)
local reachMax = nowMs

local function readEntries()
  local entries = {}
  for i = 1, number() do
    local first, last, units = number(), number(), number()
    if isNew and last > resetAt then
      entries[#entries + 1] = { first = first, last = last, units = units }
    end
  end
  return entries
end

-- Merges stored and added entries in the order of time. Joins entries that are less than the window's grain apart.
local function mergeEntries(state, added, grain)
  local merged, a = {}, 1
  local function append(at, units)
    local top = merged[#merged]
    if top and (at == top.last or at - top.first < grain) then
      top.last, top.units = at, top.units + units
    else
      merged[#merged + 1] = { first = at, last = at, units = units }
    end
  end
  for at, units in entriesOf(state) do
    while added[a] and added[a].last <= at do
      append(added[a].last, added[a].units)
      a = a + 1
    end
    append(at, units)
  end
  for i = a, #added do
    append(added[i].last, added[i].units)
  end
  return merged
end

-- Stores the newest entry as the open entry and all other entries in the list.
local function storeMerged(state, merged, span)
  local list, values, sum = state.key .. ':' .. state.field, {}, 0
  call('UNLINK', list)
  for i = 1, #merged do
    sum = sum + merged[i].units
    if i < #merged then
      values[#values + 1] = string.format('%.0f', merged[i].last)
      values[#values + 1] = merged[i].units
    end
    if #values >= 1000 or (i == #merged and #values > 0) then
      call('RPUSH', list, unpack(values))
      values = {}
    end
  end
  if #merged > 1 then
    call('PEXPIRE', list, 2 * span + TTL_SLACK_MS)
    state.ttlAt = nowMs
  end
  local open = merged[#merged]
  state.oldest = #merged > 1 and merged[1].last or 0
  state.first, state.last, state.units, state.sum = open.first, open.last, open.units, sum
  state.cleared, state.dropped = false, 0
end

local function backfillSliding(field, span, grain, entries)
  local state, inWindow = {}, {}
  loadSliding(state, key, field, call('HGET', key, field), span, epoch)
  for _, entry in ipairs(entries) do
    -- The clocks of the node and of Redis differ a little: no unit gets a timestamp in the future.
    entry.last = min(entry.last, state.timestamp)
    if entry.last + span > state.now then
      inWindow[#inWindow + 1] = entry
    end
  end
  if #inWindow > 0 then
    storeMerged(state, mergeEntries(state, inWindow, grain), span)
    call('HSET', key, field, writeSliding(state, span))
    reachMax = max(reachMax, state.timestamp + 2 * span)
  end
  return state.sum, state.sum > 0 and state.last + span or 0
end

local function backfillQuota(field, before, start, finish, entries)
  local packed, used, baseline, seen = call('HGET', key, field), 0, 0, epoch
  local stored = start
  if packed then
    stored, used, baseline, seen = quotaIn(packed, before, start, finish, epoch)
  end
  if stored > start or nowMs >= finish then
    return 0, 0
  end
  local raised, raisedAt = loadRaised(key, field, start, seen)
  local counted = 0
  for _, entry in ipairs(entries) do
    local alreadyRaised = entry.first <= raisedAt and min(entry.units, raised) or 0
    raised = raised - alreadyRaised
    used = used + entry.units - alreadyRaised
    counted = counted + entry.units
  end
  if counted > 0 then
    if packed then
      keepPrevious(key, field, packed, before)
    end
    call('HSET', key, field, writeQuota({ start = start, used = used, baseline = baseline, epoch = seen }))
    writeRaised(key, field, start, raised, raisedAt, seen)
    reachMax = max(reachMax, finish)
  end
  return used, finish
end

local reply = { isNew and 1 or 0 }
while position < #ARGV do
  local field, quota, span, grain = text(), number() == 1, number(), number()
  local before, start, finish = number(), number(), number()
  local entries = readEntries()
  local used, goneAt
  if quota then
    used, goneAt = backfillQuota(field, before, start, finish, entries)
  else
    used, goneAt = backfillSliding(field, span, grain, entries)
  end
  reply[#reply + 1] = used
  reply[#reply + 1] = goneAt
end
if isNew then
  -- The sequence number is kept as long as the batch's windows. A batch that is repeated after that counts no units, because its
  -- entries have expired.
  call('SET', KEYS[2], sequence, 'PX', string.format('%.0f', reachMax - nowMs + TTL_SLACK_MS))
  if reachMax > ttl then
    ttl = reachMax + TTL_SLACK_MS
    call('HSET', key, 't', string.format('%.0f', ttl))
    call('PEXPIRE', key, string.format('%.0f', ttl - nowMs))
  end
end
return reply
