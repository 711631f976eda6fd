-- Gives back what a check took whose other part, in another slot, was refused.
-- KEYS[1..n] the hash of each window. ARGV as in clock.lua, then the stamp under which it was
-- counted, the cost, and for each window field, kind (0 sliding, 1 quota).
-- Burst debt stays: a little too strict for ten spans at most.
local stamp, cost = number(), number()

-- The entry that holds the stamp is the first whose own stamp is not earlier; it was written moments ago.
local function returnFromList(list)
  local tail = call('LRANGE', list, -128, -1)
  for i = 1, #tail, 2 do
    if tonumber(tail[i]) >= stamp then
      call('LSET', list, i - #tail, max(0, tail[i + 1] - cost))
      return true
    end
  end
  return false
end

local function returnSliding(key, field, packed)
  local sum, oldest, first, last, units, debt, debtStamp, epoch, ttlAt = unpackFrom(SLIDING, packed)
  if stamp >= first and stamp <= last and units >= cost then
    units = units - cost
  elseif not returnFromList(key .. ':' .. field) then
    return
  end
  call('HSET', key, field, pack(SLIDING, max(0, sum - cost), oldest, first, last, units, debt, debtStamp, epoch, ttlAt))
end

for w = 1, #KEYS do
  local field, quota = text(), number() == 1
  local packed = call('HGET', KEYS[w], field)
  if packed and quota then
    local start, used, baseline, epoch = unpackFrom(QUOTA, packed)
    if stamp >= start then
      call('HSET', KEYS[w], field, pack(QUOTA, start, max(0, used - cost), baseline, epoch))
    end
  elseif packed then
    returnSliding(KEYS[w], field, packed)
  end
end
return #KEYS
