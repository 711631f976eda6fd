-- Stores how many units `raise-quota.lua` added to a quota from ClickHouse's totals. These units may include units that a node admitted
-- without Redis. When the node counts its units into Redis later, they are subtracted from this number and not added to the quota
-- again.

-- Packed numbers: start of the period, units, time of the last raise, epoch.
local RAISED = '<I6I6I6I6'

local function raisedField(field)
  return field .. '/raised'
end

-- Returns the units and the time of the last raise. Returns zeros if they belong to another period, or are from before a reset.
local function loadRaised(key, field, start, epoch)
  local packed = call('HGET', key, raisedField(field))
  if packed then
    local stored, units, at, seen = unpackFrom(RAISED, packed)
    if stored == start and seen == epoch then
      return units, at
    end
  end
  return 0, 0
end

local function writeRaised(key, field, start, units, at, epoch)
  call('HSET', key, raisedField(field), pack(RAISED, start, units, at, epoch))
end
