-- A strict sliding window: a running sum in the subject's hash, older entries (stamp, units) in a list beside it.

-- sum, stamp of the oldest list entry (0: no list), first and last stamp and units of the open entry,
-- burst debt (units x ten spans) and its stamp, epoch, stamp at which the list's TTL was set. 54 bytes: a hash
-- whose values stay within 64 bytes is stored as a compact listpack.
local SLIDING = '<I5I6I6I6I5I8I6I6I6'

-- Walks the list from its head and forgets what has left the window. Amortised: an entry is walked past once
-- per write that follows. Where a list is gone before its time, what it held is gone too.
local function dropExpired(state, span)
  local size, list = 8, state.key .. ':' .. state.field
  while true do
    local chunk = call('LRANGE', list, state.dropped, state.dropped + size - 1)
    for i = 1, #chunk, 2 do
      local at = tonumber(chunk[i])
      if at + span > state.now then
        state.oldest = at
        state.sum = max(state.sum, state.units)
        return
      end
      state.sum = state.sum - chunk[i + 1]
      state.dropped = state.dropped + 2
    end
    if #chunk < size then
      state.oldest = 0
      state.sum = state.units
      return
    end
    size = 128
  end
end

-- Moves every stamp that is ahead of the clock to now. Units become younger than they are and never older, so no span
-- ever holds more than the limit, and the last of them leaves its window one span from now. Written at once, also by a
-- peek or a refusal: otherwise the span would begin again with each of them.
local function correctStamps(key, field, packed)
  local sum, oldest, first, last, units, debt, debtStamp, epoch = unpackFrom(SLIDING, packed)
  local list = key .. ':' .. field
  while oldest ~= 0 do
    local tail = call('LRANGE', list, -128, -1)
    local kept = #tail
    while kept > 0 and tonumber(tail[kept - 1]) > stampMs do
      units = units + tail[kept]
      kept = kept - 2
    end
    if kept < #tail then
      call('LTRIM', list, 0, kept - #tail - 1)
    end
    if kept > 0 then
      break
    elseif #tail < 128 then
      oldest = 0
    end
  end
  correctedWindows = correctedWindows + 1
  -- The list's TTL is set again by the next entry.
  local corrected = pack(SLIDING, sum, oldest, stampMs, stampMs, units, debt, min(debtStamp, stampMs), epoch, 0)
  call('HSET', key, field, corrected)
  return corrected
end

-- Into a table that serves one window after another: a batch makes no garbage. `cleared`: the list is to be deleted
-- before it is written to; also where the hash is new, since a list may outlive it.
local function loadSliding(state, key, field, packed, span, epoch)
  local sum, oldest, first, last, units, debt, debtStamp, seen, ttlAt = 0, 0, 0, 0, 0, 0, 0, epoch, 0
  if packed then
    sum, oldest, first, last, units, debt, debtStamp, seen, ttlAt = unpackFrom(SLIDING, packed)
  end
  if last > stampMs + AHEAD_MS_MAX then
    packed = correctStamps(key, field, packed)
    sum, oldest, first, last, units, debt, debtStamp, seen, ttlAt = unpackFrom(SLIDING, packed)
  end
  -- A clock that ran backwards (a failover) stands still here until it has caught up.
  local now, stamp = nowMs, stampMs
  if last > stampMs then
    now, stamp = last, last
  end
  local cleared = not packed
  if seen < epoch then
    cleared, sum, oldest, units, debt, seen = oldest ~= 0, 0, 0, 0, 0, epoch
  elseif packed and last + span <= now then
    cleared, sum, oldest, units = oldest ~= 0, 0, 0, 0
  end
  state.key, state.field, state.sum, state.oldest, state.first = key, field, sum, oldest, first
  state.last, state.units, state.debt, state.debtAt, state.epoch = last, units, debt, debtStamp, seen
  state.ttlAt, state.dropped, state.now, state.stamp, state.cleared = ttlAt, 0, now, stamp, cleared
  state.closedAt = false
  if oldest ~= 0 and oldest + span <= now then
    dropExpired(state, span)
  end
end

local function debtAt(state, burst, at)
  return max(0, state.debt - max(0, at - state.debtAt) * burst)
end

-- When the burst pool has `need` units: its debt shrinks by `burst` a millisecond, each unit weighs ten spans.
local function poolReadyAt(state, window, need)
  local excess = state.debt + (need - window.burst) * window.span * 10
  return excess <= 0 and state.now or state.debtAt + ceil(excess / window.burst)
end

local function slidingHasRoom(state, window, cost)
  local over = state.sum + cost - window.limit
  if over <= 0 then
    return true
  end
  return over <= window.burst and poolReadyAt(state, window, min(over, cost)) <= state.now
end

-- Entries of a window, oldest first: the list, then the open one.
local function entriesOf(state)
  local index, chunk, i, stage = state.dropped, nil, 1, state.oldest ~= 0 and 0 or 1
  return function()
    if stage == 0 then
      if not chunk or i > #chunk then
        chunk = call('LRANGE', state.key .. ':' .. state.field, index, index + 127)
        index = index + 128
        i = 1
      end
      if i <= #chunk then
        i = i + 2
        return tonumber(chunk[i - 2]), tonumber(chunk[i - 1])
      end
      stage = 1
    end
    if stage == 1 and state.units > 0 then
      stage = 2
      return state.last, state.units
    end
  end
end

-- The first moment with room: entries leave one by one, and between two of them the burst pool refills.
local function roomAt(state, window, cost)
  local at, used = state.now, state.sum
  local over = used + cost - window.limit
  if over == 1 and window.burst == 0 and used > 0 then
    return (state.oldest ~= 0 and state.oldest or state.last) + window.span
  end
  local nextEntry = entriesOf(state)
  while over > 0 do
    local leavesAt, units = nextEntry()
    if over <= window.burst then
      local ready = max(at, poolReadyAt(state, window, min(over, cost)))
      if not leavesAt or ready <= leavesAt + window.span then
        return ready
      end
    end
    if not leavesAt then
      return at
    end
    at = leavesAt + window.span
    used = used - units
    over = used + cost - window.limit
  end
  return at
end

local function slidingTake(state, window, cost)
  if window.burst > 0 then
    local need = min(cost, max(0, state.sum + cost - window.limit))
    state.debt = debtAt(state, window.burst, state.stamp) + need * window.span * 10
    state.debtAt = state.stamp
  end
  local stamp = state.stamp
  if state.units == 0 then
    state.first, state.units = stamp, cost
  elseif stamp == state.last or stamp - state.first < window.grain then
    state.units = state.units + cost
  else
    state.closedAt, state.closedUnits = state.last, state.units
    if state.oldest == 0 then
      state.oldest = state.last
    end
    state.first, state.units = stamp, cost
  end
  state.last = stamp
  state.sum = state.sum + cost
end

-- The list first, then its running sum: both in this script, so nobody sees one without the other.
local function writeList(state, span)
  local list = state.key .. ':' .. state.field
  if state.cleared then
    call('UNLINK', list)
  elseif state.dropped > 0 then
    call('LTRIM', list, state.dropped, -1)
  end
  if state.closedAt then
    local length = call('RPUSH', list, state.closedAt, state.closedUnits)
    if length == 2 or nowMs - state.ttlAt >= span then
      call('PEXPIRE', list, 2 * span + TTL_SLACK_MS)
      state.ttlAt = nowMs
    end
  end
end

local function writeSliding(state, span)
  if state.cleared or state.closedAt or state.dropped > 0 then
    writeList(state, span)
  end
  return pack(SLIDING, state.sum, state.oldest, state.first, state.last, state.units,
    state.debt, state.debtAt, state.epoch, state.ttlAt)
end

-- Until when the subject's hash must live, and how much longer to let it so that this is set once a span.
local function slidingReach(state, window)
  local reach = window.burst > 0 and window.span * 10 or window.span
  return state.stamp + reach, reach
end
