-- The units that `raise.lua` added to a quota from ClickHouse's totals. Units that a node admitted without Redis may be among
-- them: when the node counts them later, they are subtracted here instead of being counted twice.

-- start of the period, units, time of the last raise, epoch
local RAISED = '<I6I6I6I6'

local function raisedField(field)
  return field .. '/raised'
end

-- Returns the units and the time of the raise; zeros for another period or from before a reset.
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
