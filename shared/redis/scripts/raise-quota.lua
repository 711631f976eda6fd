-- Raises a quota to the consumed units: used = max(used, consumed - returned - baseline), where `returned` are units that
-- settlements have returned in the last minutes. It never lowers a quota, so it may be repeated and may run while checks charge
-- the quota. If the quota was stored in another calendar (time zone or billing day), its units are stored again under the start
-- of this period; otherwise they would also count in the next period, with which the old period may overlap.
-- KEYS[1]  hash of the subject (a tenant, user or address).
-- KEYS[2]  the tenant's hash, which holds the epoch; absent for a subject without a tenant.
-- ARGV     as in clock.lua, then field, start of the period before, start and end of the period (Unix milliseconds), consumed
--          units, least baseline (units).
-- Reply: used units before and after; both are equal when the period is over.
beginCall()
local field, previous, start, finish = text(), number(), number(), number()
local consumed, leastBaseline = number(), number()

local values = call('HMGET', KEYS[1], 't', field)
local ttl = tonumber(values[1] or 0)
local epoch = epochOfAll + tonumber(KEYS[2] and call('HGET', KEYS[2], 'e') or 0)
local used, baseline, seen, isOther = 0, 0, epoch, false
if values[2] then
  isOther = unpackFrom(QUOTA, values[2]) ~= start
  local stored
  stored, used, baseline, seen = quotaIn(values[2], previous, start, finish, epoch)
  if stored > start then
    return { used, used }
  end
end
local before, baselineBefore = used, baseline
baseline = max(baseline, leastBaseline)
local _, newer, older = loadReturned(KEYS[1], field, start, seen)
used = max(used, consumed - newer - older - baseline)
isOther = isOther and used + baseline > 0
if (used == before and baseline == baselineBefore and not isOther) or nowMs >= finish then
  return { before, before }
end
if values[2] then
  keepPrevious(KEYS[1], field, values[2], previous)
end
call('HSET', KEYS[1], field, writeQuota({ start = start, used = used, baseline = baseline, epoch = seen }))
if used > before then
  writeRaised(KEYS[1], field, start, loadRaised(KEYS[1], field, start, seen) + used - before, nowMs, seen)
end
if finish > ttl then
  ttl = finish + TTL_SLACK_MS
  call('HSET', KEYS[1], 't', string.format('%.0f', ttl))
  call('PEXPIRE', KEYS[1], string.format('%.0f', ttl - nowMs))
end
return { before, used }
