-- A calendar quota: the period's start and what it used, in the subject's hash.

-- start of the period, used, used before the last reset, epoch
local QUOTA = '<I6I6I6I6'

local function loadQuota(state, packed, window, epoch)
  local start, finish = window.start, window.finish
  if nowMs >= finish then
    start, finish = finish, window.after
  elseif nowMs < start then
    start, finish = window.before, start
  end
  state.used, state.baseline, state.epoch = 0, 0, epoch
  if packed then
    local stored, used, baseline, seen = unpackFrom(QUOTA, packed)
    -- Periods only move forward, whatever the clocks say.
    if stored > start then
      start = stored
      finish = stored >= window.finish and window.after or window.finish
    end
    if stored == start then
      state.used, state.baseline = used, baseline
      if seen < epoch then
        state.baseline = baseline + used
        state.used = 0
      end
    end
    if seen > epoch then
      state.epoch = seen
    end
  end
  state.start, state.finish = start, finish
end

local function writeQuota(state)
  return pack(QUOTA, state.start, state.used, state.baseline, state.epoch)
end
