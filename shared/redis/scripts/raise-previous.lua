-- Raises the used units of the period before the current one of a quota with carry-over: used = max(used, consumed). It never lowers
-- them, so it may be repeated and may run while checks charge the quota.
-- KEYS[1]  hash of the tenant.
-- ARGV     as in clock.lua, then the field of the previous period, its start, end of the current period (Unix milliseconds), and
--          consumed units.
-- Reply: 1 if the units were raised, else 0.
beginCall()
local field, start, finish, consumed = text(), number(), number(), number()

local values = call('HMGET', KEYS[1], 't', field)
local used = 0
if values[2] then
  local stored, units = unpackFrom(PREVIOUS, values[2])
  if stored > start then
    return 0
  end
  used = stored == start and units or 0
end
if consumed <= used or nowMs >= finish then
  return 0
end
call('HSET', KEYS[1], field, pack(PREVIOUS, start, consumed))
if finish > tonumber(values[1] or 0) then
  call('HSET', KEYS[1], 't', string.format('%.0f', finish + TTL_SLACK_MS))
  call('PEXPIRE', KEYS[1], string.format('%.0f', finish + TTL_SLACK_MS - nowMs))
end
return 1
