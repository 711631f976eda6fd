-- A calendar quota: the start of the period and the units used in it, in the subject's hash.

-- start of the period, used, used before the last reset, epoch
local QUOTA = '<I6I6I6I6'

-- Reads a stored quota for the period [start, finish), which follows [before, start). Returns start, used, baseline, epoch.
-- * Stored in an earlier period: nothing is used in this one.
-- * Stored in a later period: returns that period's start. Periods only move forward, whatever the clocks say.
-- * A start between the bounds of these two periods belongs to another time zone: the tenant's was changed, and the periods
--   overlap. The units stay counted to the end of the new period.
-- * A start ahead of the clock was written while the clock was wrong: its units count in this period.
local function quotaIn(packed, before, start, finish, epoch)
  local stored, used, baseline, seen = unpackFrom(QUOTA, packed)
  if stored <= before then
    return start, 0, 0, max(seen, epoch)
  end
  if seen < epoch then
    used, baseline, seen = 0, baseline + used, epoch
  end
  if stored < finish or stored > nowMs + AHEAD_MS_MAX then
    return start, used, baseline, seen
  end
  return stored, used, baseline, seen
end

local function loadQuota(state, packed, window, epoch)
  local before, start, finish = window.before, window.start, window.finish
  if nowMs >= finish then
    before, start, finish = start, finish, window.after
  elseif nowMs < start then
    -- The start of the period before is not an argument: any period that started earlier is over.
    before, start, finish = before - 1, before, start
  end
  state.used, state.baseline, state.epoch = 0, 0, epoch
  if packed then
    local stored
    stored, state.used, state.baseline, state.epoch = quotaIn(packed, before, start, finish, epoch)
    if stored > start then
      start = stored
      finish = stored >= window.finish and window.after or window.finish
    end
  end
  state.start, state.finish = start, finish
end

local function writeQuota(state)
  return pack(QUOTA, state.start, state.used, state.baseline, state.epoch)
end
