-- Returns the units that a check charged in this slot, because its part in another slot was refused.
-- KEYS     for each window in ARGV, in order, the hash that holds it. A hash may appear several times.
-- ARGV     as in clock.lua, then the timestamp with which the units were stored (Unix milliseconds), and for each window: units,
--          field, kind (0 sliding, 1 quota).
-- Reply: the number of windows. Burst debt is not returned, so the burst may be too small for ten spans at most.
beginCall()
local timestamp = number()
local cost

-- The units are in the first entry with this timestamp or a later one. It was written a moment ago, so it is near the end of the
-- list.
local function returnFromList(list)
  local tail = call('LRANGE', list, -128, -1)
  for i = 1, #tail, 2 do
    if tonumber(tail[i]) >= timestamp then
      call('LSET', list, i - #tail, max(0, tail[i + 1] - cost))
      return true
    end
  end
  return false
end

local function returnSliding(key, field, packed)
  local sum, oldest, first, last, units, debt, debtAt, epoch, ttlAt = unpackFrom(SLIDING, packed)
  if timestamp >= first and timestamp <= last and units >= cost then
    units = units - cost
  elseif not returnFromList(key .. ':' .. field) then
    return
  end
  call('HSET', key, field, pack(SLIDING, max(0, sum - cost), oldest, first, last, units, debt, debtAt, epoch, ttlAt))
end

for w = 1, #KEYS do
  cost = number()
  local field, quota = text(), number() == 1
  local packed = call('HGET', KEYS[w], field)
  if packed and quota then
    local start, used, baseline, epoch = unpackFrom(QUOTA, packed)
    if timestamp >= start then
      call('HSET', KEYS[w], field, pack(QUOTA, start, max(0, used - cost), baseline, epoch))
    end
  elseif packed then
    returnSliding(KEYS[w], field, packed)
  end
end
return #KEYS
