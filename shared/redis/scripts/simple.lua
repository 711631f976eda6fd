-- The fast path of a check: one subject, no burst, and every window is in its usual state, so that the check passes. Charges and
-- writes the windows as `chargeWindows` and `writeSubject` would, without their tables and with fewer function calls.

local fieldValues, closed = {}, {}

-- Charges `cost` to all windows of a simple shape if each of them has room and needs no correction. Returns false, with nothing
-- written, if any window is new, full, in another state, or has expired entries: the general path then decides.
local function decideSimple(shape, cost, index, epochIndex)
  local key = hashes[index]
  local found = call('HMGET', key, unpack(shape.subjects[1]))
  if epochIndex == index and not epochs[index] then
    epochs[index] = epochOfAll + (found[2] or 0)
  end
  local epoch, keptUntil = epochFor(epochIndex), tonumber(found[1] or 0)
  local count, closedCount = 0, 0
  for w = 1, #shape do
    local window, packed = shape[w], found[w + 2]
    if not packed then
      return false
    end
    if window.quota then
      local start, used, baseline, seen = unpackFrom(QUOTA, packed)
      used = used + cost
      if start ~= window.start or seen ~= epoch or nowMs < start or nowMs >= window.finish or used > window.limit
        or window.finish > keptUntil then
        return false
      end
      packed = pack(QUOTA, start, used, baseline, seen)
      answers[w * 3 - 2], answers[w * 3 - 1] = window.limit - used, window.finish - nowMs
    else
      local span = window.span
      local sum, oldest, first, last, units, debt, debtAt, seen, ttlAt = unpackFrom(SLIDING, packed)
      sum = sum + cost
      if seen ~= epoch or last > timestampMs or last + span <= nowMs or (oldest ~= 0 and oldest + span <= nowMs)
        or sum > window.limit or timestampMs + span > keptUntil then
        return false
      end
      if units > 0 and (timestampMs == last or timestampMs - first < window.grain) then
        units = units + cost
      else
        if units > 0 then
          -- The open entry is appended to a list that has a TTL.
          if oldest == 0 or nowMs - ttlAt >= span then
            return false
          end
          closed[closedCount + 1], closed[closedCount + 2], closed[closedCount + 3] = window, last, units
          closedCount = closedCount + 3
        end
        first, units = timestampMs, cost
      end
      packed = pack(SLIDING, sum, oldest, first, timestampMs, units, debt, debtAt, seen, ttlAt)
      answers[w * 3 - 2], answers[w * 3 - 1] = window.limit - sum, timestampMs + span - nowMs
    end
    answers[w * 3] = 1
    fieldValues[count + 1], fieldValues[count + 2] = window.field, packed
    count = count + 2
  end
  for c = 1, closedCount, 3 do
    appendToList(key .. ':' .. closed[c].field, closed[c].span, closed[c + 1], closed[c + 2], false)
  end
  call('HSET', key, unpack(fieldValues, 1, count))
  return true
end
