-- Units that settlements have returned to a quota in the last minutes. ClickHouse's totals may still include them, because the
-- totals follow the events with a delay: raise-quota.lua subtracts them from a total. The field is `<quota's field>/returned`.

-- Packed numbers: start of the period, epoch, begin of the newer part, units returned in it, units returned in the part before.
local RETURNED = '<I6I6I6I6I6'
-- Units are subtracted for one to two times this span.
local RETURNED_MS = 600000

local function returnedField(field)
  return field .. '/returned'
end

-- Returns the begin of the newer part and the units of both parts.
local function loadReturned(key, field, start, epoch)
  local packed = call('HGET', key, returnedField(field))
  if packed then
    local stored, seen, began, newer, older = unpackFrom(RETURNED, packed)
    local age = nowMs - began
    if stored == start and seen == epoch and age < 2 * RETURNED_MS then
      if age < RETURNED_MS then
        return began, newer, older
      end
      return nowMs, 0, newer
    end
  end
  return nowMs, 0, 0
end

local function addReturned(key, field, start, epoch, units)
  local began, newer, older = loadReturned(key, field, start, epoch)
  call('HSET', key, returnedField(field), pack(RETURNED, start, epoch, began, newer + units, older))
end
