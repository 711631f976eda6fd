-- The part of a quota's used units that totals of ClickHouse added and no script counted. Units that a node admitted
-- without Redis may be among them: when they are counted after all, they are taken from here first.

-- start of the period, units, time of the last raise, epoch
local RAISED = '<I6I6I6I6'

local function raisedField(field)
  return field .. '/raised'
end

-- Units and the time of the raise; nothing of another period or from before a reset.
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
