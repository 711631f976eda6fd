-- A strict sliding window. A field of the subject's hash has the sum of its units and the newest entry (the open entry). A list
-- has the older entries, as timestamp and units.

-- Packed numbers: sum; timestamp of the oldest list entry (0: no list); first timestamp, last timestamp and units of the open
-- entry; burst debt (units x ten spans) and its timestamp; epoch; time at which the list's TTL was set. They need 54 bytes: Redis
-- stores a hash as a compact listpack if its values have at most 64 bytes.
local SLIDING = '<I5I6I6I6I5I8I6I6I6'

-- Returns how often the timestamps of a window were corrected, modulo 65,536. Units that were charged before a correction may be
-- in an entry with another timestamp.
local function correctionsOf(key, field)
  return tonumber(call('HGET', key, field .. '/moved') or 0) % 65536
end

-- Reads the list from its head and removes the entries that have left the window from the state in memory. A check that writes
-- nothing leaves these entries in the list, so the next check reads them again; the next write deletes them. If the list does not
-- exist any more, its units are lost.
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

-- Sets every timestamp that is ahead of the clock to the current time. All corrected units then leave the window one span from
-- now and not earlier, so the limit is not exceeded. The correction is written at once, also by a peek or a refusal: otherwise
-- each check would correct the timestamps again, to a later time.
local function correctTimestamps(key, field, packed)
  local sum, oldest, first, last, units, debt, debtAt, epoch = unpackFrom(SLIDING, packed)
  local list = key .. ':' .. field
  while oldest ~= 0 do
    local tail = call('LRANGE', list, -128, -1)
    local kept = #tail
    while kept > 0 and tonumber(tail[kept - 1]) > timestampMs do
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
  -- The 0 at the end causes the next entry to set the list's TTL again.
  local corrected = pack(SLIDING, sum, oldest, timestampMs, timestampMs, units, debt, min(debtAt, timestampMs), epoch, 0)
  call('HSET', key, field, corrected)
  call('HINCRBY', key, field .. '/moved', 1)
  return corrected
end

-- Loads a window into `state`, a table that is reused. `state.cleared` is true if the list must be deleted before it is written.
-- It is also true for a window without a field in the hash, because a list may be kept longer than its hash.
local function loadSliding(state, key, field, packed, span, epoch)
  local sum, oldest, first, last, units, debt, debtAt, seen, ttlAt = 0, 0, 0, 0, 0, 0, 0, epoch, 0
  if packed then
    sum, oldest, first, last, units, debt, debtAt, seen, ttlAt = unpackFrom(SLIDING, packed)
  end
  if last > timestampMs + AHEAD_MS_MAX then
    packed = correctTimestamps(key, field, packed)
    sum, oldest, first, last, units, debt, debtAt, seen, ttlAt = unpackFrom(SLIDING, packed)
  end
  -- The newest timestamp is ahead of the clock after a lease, or after the clock was set back (by a failover). New units are then
  -- stored with it, so that timestamps only grow. The true time is at least the newest timestamp minus that lead.
  local now, timestamp = nowMs, timestampMs
  if last > timestampMs then
    now, timestamp = max(nowMs, last - AHEAD_MS_OF_LEASE), last
  end
  local cleared = not packed
  if seen < epoch then
    cleared, sum, oldest, units, debt, seen = oldest ~= 0, 0, 0, 0, 0, epoch
  elseif packed and last + span <= now then
    cleared, sum, oldest, units = oldest ~= 0, 0, 0, 0
  end
  state.key, state.field, state.sum, state.oldest, state.first = key, field, sum, oldest, first
  state.last, state.units, state.debt, state.debtAt, state.epoch = last, units, debt, debtAt, seen
  state.ttlAt, state.dropped, state.now, state.timestamp, state.cleared = ttlAt, 0, now, timestamp, cleared
  state.closedAt = false
  if oldest ~= 0 and oldest + span <= now then
    dropExpired(state, span)
  end
end

local function remainingDebt(state, burst, at)
  return max(0, state.debt - max(0, at - state.debtAt) * burst)
end

-- Returns the time at which the burst pool has `need` units. The debt of one unit is ten spans (in milliseconds), and the debt
-- shrinks by `burst` each millisecond.
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

-- Returns an iterator over the entries of a window, oldest first: the list, then the open entry.
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

-- Returns the first time at which there is room. Goes through the expiries of the entries in order; between two expiries, the
-- burst pool may refill enough.
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
    at = max(at, leavesAt + window.span)
    used = used - units
    over = used + cost - window.limit
  end
  return at
end

local function chargeSliding(state, window, cost)
  if window.burst > 0 then
    local need = min(cost, max(0, state.sum + cost - window.limit))
    state.debt = remainingDebt(state, window.burst, state.timestamp) + need * window.span * 10
    state.debtAt = state.timestamp
  end
  local timestamp = state.timestamp
  if state.units == 0 then
    state.first, state.units = timestamp, cost
  elseif timestamp == state.last or timestamp - state.first < window.grain then
    state.units = state.units + cost
  else
    state.closedAt, state.closedUnits = state.last, state.units
    if state.oldest == 0 then
      state.oldest = state.last
    end
    state.first, state.units = timestamp, cost
  end
  state.last = timestamp
  state.sum = state.sum + cost
end

-- Appends an entry to a list, and sets the list's TTL if `isDue` or if the list was empty. Returns whether it set the TTL.
local function appendToList(list, span, timestamp, units, isDue)
  if call('RPUSH', list, timestamp, units) == 2 or isDue then
    call('PEXPIRE', list, 2 * span + TTL_SLACK_MS)
    return true
  end
  return false
end

-- Writes the list. The caller writes the hash with the sum in the same script, so no other call sees only one of the two changes.
local function writeList(state, span)
  local list = state.key .. ':' .. state.field
  if state.cleared then
    call('UNLINK', list)
  elseif state.dropped > 0 then
    call('LTRIM', list, state.dropped, -1)
  end
  if state.closedAt and appendToList(list, span, state.closedAt, state.closedUnits, nowMs - state.ttlAt >= span) then
    state.ttlAt = nowMs
  end
end

local function writeSliding(state, span)
  if state.cleared or state.closedAt or state.dropped > 0 then
    writeList(state, span)
  end
  return pack(SLIDING, state.sum, state.oldest, state.first, state.last, state.units,
    state.debt, state.debtAt, state.epoch, state.ttlAt)
end

-- Returns the time until which the subject's hash must be kept, and an extra time to live: with it, the TTL has to be set only
-- once per span.
local function slidingReach(state, window)
  local reach = window.burst > 0 and window.span * 10 or window.span
  return state.timestamp + reach, reach
end
