-- Returns units of a charge of a reservation to the entries in which they were counted. Nothing is returned to a window that does
-- not count them any more: they have expired, the quota's period is over, a reset came after, or the timestamps were corrected. So
-- no unit of another request is ever returned.

-- Returns units of a period that is over: the current period then has more units from it.
local function returnToPrevious(key, field, at, units)
  local packed = call('HGET', key, field)
  if not packed then
    return
  end
  local start, used = unpackFrom(PREVIOUS, packed)
  if start == at then
    call('HSET', key, field, pack(PREVIOUS, start, max(0, used - units)))
  end
end

local function returnToQuota(key, window, part, units)
  local field = window.field
  local packed = call('HGET', key, field)
  if not packed then
    return
  end
  local start, used, baseline, epoch = unpackFrom(QUOTA, packed)
  if start == part.at and epoch == part.epoch then
    units = min(units, used)
    call('HSET', key, field, pack(QUOTA, start, used - units, baseline, epoch))
    if not window.reserved then
      addReturned(key, field, start, epoch, units)
    end
  elseif window.carriedBy then
    returnToPrevious(key, shape[window.carriedBy].field, part.at, units)
  end
end

-- Removes units from the first list entry that is not older than the charge, if this entry counts the charge: an entry has the
-- timestamp of its last unit, and its units are less than `grain` apart. Returns the removed units; nil if all entries of the
-- list are older.
local function returnToList(list, at, grain, units)
  local stop, index, entryAt, held = call('LLEN', list) - 1, nil, nil, nil
  local older = false
  while stop > 0 and not older do
    local first = max(0, stop - 127)
    local chunk = call('LRANGE', list, first, stop)
    for i = #chunk - 1, 1, -2 do
      local timestamp = tonumber(chunk[i])
      if timestamp < at then
        older = true
        break
      end
      index, entryAt, held = first + i, timestamp, tonumber(chunk[i + 1])
    end
    stop = first - 1
  end
  if not index then
    return nil
  elseif entryAt ~= at and entryAt - at >= grain then
    return 0
  end
  units = min(units, held)
  call('LSET', list, index, held - units)
  return units
end

local function returnToSliding(key, window, part, units)
  local field = window.field
  if part.at + window.span <= nowMs then
    return
  end
  local packed = call('HGET', key, field)
  if not packed then
    return
  end
  local sum, oldest, first, last, open, debt, debtAt, epoch, ttlAt = unpackFrom(SLIDING, packed)
  local expired = part.at + window.span <= max(nowMs, last)
  if expired or epoch ~= part.epoch or part.corrections ~= correctionsOf(key, field) then
    return
  end
  local returned
  if oldest ~= 0 and part.at < first then
    returned = returnToList(key .. ':' .. field, part.at, window.grain, units)
  end
  if not returned then
    local counts = part.at <= last and (part.at >= first or last - part.at < window.grain)
    returned = counts and min(units, open) or 0
    open = open - returned
  end
  call('HSET', key, field, pack(SLIDING, max(open, sum - returned), oldest, first, last, open, debt, debtAt, epoch, ttlAt))
end

local function returnUnits(w, part, units)
  local window = shape[w]
  units = min(units, part.units)
  part.units = part.units - units
  if units == 0 then
    return
  elseif window.quota then
    returnToQuota(hashes[window.subject], window, part, units)
  else
    returnToSliding(hashes[window.subject], window, part, units)
  end
end
