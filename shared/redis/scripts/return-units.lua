-- Returns units that were charged at a known time: the units of a check whose part in another slot was refused, or the units of a
-- lease that were not spent.
-- KEYS     for each window in ARGV, in order, the hash that holds it. A hash may appear several times.
-- ARGV     as in clock.lua, then the timestamp with which the units were stored (Unix milliseconds), the epoch of the windows when
--          the units were charged (-1: unknown; a window of another epoch was reset and does not count them), and for each window:
--          units, field, span in milliseconds (0: a quota).
-- Reply: the number of windows. Burst debt is not returned, so the burst may be too small for ten spans at most.
beginCall()
local timestamp, epochThen = number(), number()
local cost

-- Takes the units from the list. They are in the first entry with this timestamp or a later one, which was written a moment ago, so
-- it is near the end of the list. Returns how many units the entry had.
local function returnFromList(list)
  local tail = call('LRANGE', list, -128, -1)
  for i = 1, #tail, 2 do
    if tonumber(tail[i]) >= timestamp then
      if i == 1 and #tail == 128 then
        return 0
      end
      local returned = min(cost, tonumber(tail[i + 1]))
      call('LSET', list, i - #tail, tail[i + 1] - returned)
      return returned
    end
  end
  return 0
end

local function returnSliding(key, field, span, packed)
  local sum, oldest, first, last, units, debt, debtAt, epoch, ttlAt = unpackFrom(SLIDING, packed)
  local returned = cost
  -- Units that have left the window may not be in the list any more: the first entry with a later timestamp would have others.
  if timestamp + span <= nowMs or (epochThen >= 0 and epoch ~= epochThen) then
    return
  elseif timestamp >= first and timestamp <= last and units >= cost then
    units = units - cost
  else
    returned = returnFromList(key .. ':' .. field)
  end
  if returned > 0 then
    call('HSET', key, field, pack(SLIDING, max(0, sum - returned), oldest, first, last, units, debt, debtAt, epoch, ttlAt))
  end
end

for w = 1, #KEYS do
  cost = number()
  local field, span = text(), number()
  local packed = call('HGET', KEYS[w], field)
  if packed and span == 0 then
    local start, used, baseline, epoch = unpackFrom(QUOTA, packed)
    if timestamp >= start and (epochThen < 0 or epoch == epochThen) then
      call('HSET', KEYS[w], field, pack(QUOTA, start, max(0, used - cost), baseline, epoch))
    end
  elseif packed then
    returnSliding(KEYS[w], field, span, packed)
  end
end
return #KEYS
