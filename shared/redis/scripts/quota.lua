-- A calendar quota, stored as one field of the subject's hash.

-- Packed numbers: start of the period, used units, used units before the last reset (the baseline), epoch.
local QUOTA = '<I6I6I6I6'

-- Reads a stored quota for the period [start, finish), which follows the period [before, start). Returns start, used, baseline
-- and epoch, depending on the stored start:
-- * In an earlier period: no unit is used in this period.
-- * In a later period: returns the later start and its units. A quota never goes back to an earlier period, even if a clock was
--   set back.
-- * Between the bounds of these two periods: the tenant's calendar (time zone or billing day) was changed, and the old period
--   overlaps with this one. The units stay counted to the end of this period.
-- * Ahead of the clock by more than AHEAD_MS_MAX: it was written while the clock was wrong. The units count in this period.
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
    -- The time is in the period [before, start). The start of the period before `before` is not an argument:
    -- `before - 1` is used instead, because any quota with an earlier start is over.
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
