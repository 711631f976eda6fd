-- Returns units that were charged at a known time: the units of a check whose part in another slot was refused, or the units of a
-- lease that were not spent.
-- KEYS     for each window in ARGV, in order, the hash that holds it and the hash that holds its epoch. A hash may appear several
--          times. The second one counts only where the epoch of the windows is unknown.
-- ARGV     as in clock.lua, then the timestamp with which the units were stored (Unix milliseconds), the epoch of the windows when
--          the units were charged (-1: unknown), and for each window: units, field, span in milliseconds (0: a quota).
--          A window that was reset since then does not count the units.
-- Reply: the number of windows. Burst debt is not returned, so the burst may be too small for ten spans at most.
beginCall()
local timestamp, epochThen = number(), number()
local cost

-- Removes `left` units from the entries of the list that are not older than `timestamp`, first entry first. They were written a
-- moment ago, so they are near the end of the list. Returns how many units these entries did not have; nil without a change if
-- there are too many entries.
local function returnFromList(list, left)
  local tail = call('LRANGE', list, -128, -1)
  if #tail == 128 and tonumber(tail[1]) >= timestamp then
    return nil
  end
  for i = 1, #tail, 2 do
    local returned = tonumber(tail[i]) >= timestamp and min(left, tonumber(tail[i + 1])) or 0
    if returned > 0 then
      call('LSET', list, i - #tail, tail[i + 1] - returned)
      left = left - returned
    end
  end
  return left
end

-- The units are in the entry with this timestamp, or in a later one: after a lease, units are stored with the timestamp of its end.
-- Units of an earlier entry may be removed instead of them: all windows then have no more room than with the right entry.
local function returnSliding(key, field, span, packed)
  local sum, oldest, first, last, units, debt, debtAt, epoch, ttlAt = unpackFrom(SLIDING, packed)
  -- Units that have left the window may not be in the list any more: the next entry would have others.
  if timestamp + span <= max(nowMs, last - AHEAD_MS_OF_LEASE) or (epochThen >= 0 and epoch ~= epochThen) then
    return
  end
  local before = sum
  if timestamp < first and oldest ~= 0 then
    local left = returnFromList(key .. ':' .. field, cost)
    if not left then
      return
    end
    sum = sum - (cost - left)
    cost = left
  end
  if timestamp <= last and units >= cost then
    sum, units = sum - cost, units - cost
  end
  if sum < before then
    call('HSET', key, field, pack(SLIDING, max(0, sum), oldest, first, last, units, debt, debtAt, epoch, ttlAt))
  end
end

-- Timestamps are rounded up: units with the first timestamp of a period may be of the period before.
local function returnQuota(key, field, packed)
  local start, used, baseline, epoch = unpackFrom(QUOTA, packed)
  if timestamp > start and (epochThen < 0 or epoch == epochThen) then
    call('HSET', key, field, pack(QUOTA, start, max(0, used - cost), baseline, epoch))
  end
end

-- The value of an epoch is the time of the reset.
local function wasReset(epochKey)
  return epochThen < 0 and timestamp <= max(tonumber(call('HGET', epochKey, 'e') or 0), epochOfAll)
end

for k = 1, #KEYS, 2 do
  cost = number()
  local field, span = text(), number()
  local packed = not wasReset(KEYS[k + 1]) and call('HGET', KEYS[k], field)
  if packed and span == 0 then
    returnQuota(KEYS[k], field, packed)
  elseif packed then
    returnSliding(KEYS[k], field, span, packed)
  end
end
return #KEYS / 2
