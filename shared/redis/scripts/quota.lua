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

-- The period before the current one of a quota with carry-over is stored in a field of its own. Packed numbers: its start, the units
-- that were used in it.
local PREVIOUS = '<I6I6'
-- A hash with such a quota is kept until the next period is over, and a day, because months differ in length.
local DAY_MS = 86400000

-- Computes the units that `quota`, which is loaded from `packed`, has from the period before. `window` has the period bounds, the
-- limit without boosts, and as `burst` the most units that are carried over. A period without usage carries nothing over: it
-- cannot be distinguished from a loss of its counter. Usage before a reset counts, so that a reset gives units back only once.
local function loadCarried(state, window, packedPrevious, packed, quota)
  local previous = -1
  if quota.start == window.start then
    previous = window.before
  elseif quota.start == window.finish then
    previous = window.start
  end
  local used = 0
  state.cleared = false
  if packed then
    local start, units, baseline = unpackFrom(QUOTA, packed)
    if start == previous then
      used = units + baseline
      state.cleared = true
    end
  end
  if packedPrevious then
    local start, units = unpackFrom(PREVIOUS, packedPrevious)
    if start == previous then
      used = max(used, units)
    end
  end
  state.start, state.used = previous, used
  state.units = used > 0 and min(window.burst, max(0, window.limit - used)) or 0
end

-- Stores the count of the period [before, start) that `packed` has, where a script other than a check begins the period after it:
-- the units that are carried over depend on it.
local function keepPrevious(key, field, packed, before)
  local start, units, baseline = unpackFrom(QUOTA, packed)
  local used = units + baseline
  if start ~= before or used == 0 then
    return
  end
  local previousField = field .. '/before'
  local packedPrevious = call('HGET', key, previousField)
  if packedPrevious then
    local previous, stored = unpackFrom(PREVIOUS, packedPrevious)
    if previous > before then
      return
    end
    used = previous == before and max(used, stored) or used
  end
  call('HSET', key, previousField, pack(PREVIOUS, before, used))
end

local function writeQuota(state)
  return pack(QUOTA, state.start, state.used, state.baseline, state.epoch)
end
