-- The windows of one check: reads their description (a shape), loads them, tests them for room, and charges and writes them.
--
-- A shape is a list of windows that many checks share, as packed numbers, lowest byte first; [n] is the number of bytes:
--   number of windows [2], number of subjects [2], number of quantities [2], then for each window
--   subject [1], kind (sum of 1 quota, 2 shadow, 4 reserved; 8 carried) [1], quantity [1], limit, span, burst, grain, four period bounds [6 each],
--   length of the field [1], field
-- Quantity 1 is `requests`. Limits are in units, or in the smallest unit of another quantity. A window of kind `reserved` counts the
-- units of the window before it that open reservations hold. It is charged exactly when that window is, and never refuses. A window of
-- kind `carried` is the previous period of the quota after it: its limit is the quota's limit without boosts, and its burst the most
-- units that are carried over.

local WINDOW = '<I1I1I1I6I6I6I6I6I6I6I6I1c0'

-- Returns a shape that is packed at position `from`, and the position after it. `isSimple`: see simple.lua.
local function readShape(packed, from)
  local windowCount, subjectCount, quantityCount, at = unpackFrom('<I2I2I2', packed, from)
  local shape = {
    subjects = {}, quantities = quantityCount, answer = '<' .. string.rep('I6', windowCount * 3),
    isSimple = subjectCount == 1 and quantityCount == 1,
  }
  for s = 1, subjectCount do
    shape.subjects[s] = { 't', 'e' }
  end
  for w = 1, windowCount do
    local subject, kind, quantity, limit, span, burst, grain, before, start, finish, after, field
    subject, kind, quantity, limit, span, burst, grain, before, start, finish, after, field, at =
      unpackFrom(WINDOW, packed, at)
    shape[w] = {
      subject = subject, field = field, quota = kind % 2 == 1, shadow = kind % 4 >= 2, reserved = kind % 8 >= 4,
      carried = kind >= 8, carriedBy = w > 1 and shape[w - 1].carried and w - 1,
      quantity = quantity, limit = limit,
      span = span, burst = burst, grain = grain, before = before, start = start, finish = finish, after = after,
    }
    shape.isSimple = shape.isSimple and burst == 0 and kind < 8
    local fields = shape.subjects[subject]
    fields[#fields + 1] = field
  end
  return shape, at
end

-- Tables by index of window, subject or quantity. Every check reuses them, so that a batch creates little garbage. `room` states
-- first whether a window has room, and after `chargeWindows` the charged units; false for a window that was not charged.
local states, room, indexes, ttls, values, answers, amounts = {}, {}, {}, {}, {}, {}, {}
local epochs = {}
-- The keys of the hashes that subjects are indexes of.
local hashes = KEYS

local function epochFor(index)
  if index == 0 then
    return epochOfAll
  end
  if not epochs[index] then
    epochs[index] = epochOfAll + tonumber(call('HGET', hashes[index], 'e') or 0)
  end
  return epochs[index]
end

local function stateAt(w)
  local state = states[w]
  if not state then
    -- All fields are set here, so that the table never has to grow.
    state = {
      key = '', field = '', sum = 0, oldest = 0, first = 0, last = 0, units = 0, debt = 0, debtAt = 0, epoch = 0,
      ttlAt = 0, dropped = 0, now = 0, timestamp = 0, cleared = false, closedAt = false, closedUnits = 0,
      used = 0, baseline = 0, start = 0, finish = 0,
    }
    states[w] = state
  end
  return state
end

local function loadSubject(shape, subject, index, epochIndex)
  local key = hashes[index]
  local found = call('HMGET', key, unpack(shape.subjects[subject]))
  indexes[subject] = index
  ttls[subject] = tonumber(found[1] or 0)
  if epochIndex == index and not epochs[index] then
    epochs[index] = epochOfAll + tonumber(found[2] or 0)
  end
  local epoch, f = epochFor(epochIndex), 2
  for w = 1, #shape do
    local window = shape[w]
    if window.subject == subject then
      f = f + 1
      if window.quota then
        loadQuota(stateAt(w), found[f], window, epoch)
        if window.carriedBy then
          loadCarried(stateAt(window.carriedBy), shape[window.carriedBy], found[f - 1], found[f], states[w])
        end
      elseif not window.carried then
        loadSliding(stateAt(w), key, window.field, found[f], window.span, epoch)
      end
    end
  end
end

-- The limit of a quota with the units that it has from the period before.
local function quotaLimit(window)
  return window.carriedBy and window.limit + states[window.carriedBy].units or window.limit
end

local function hasRoom(state, window, cost)
  if window.quota then
    return state.used + cost <= quotaLimit(window)
  end
  return slidingHasRoom(state, window, cost)
end

-- The limit of a quota in its next period, if no further unit is used in this one.
local function nextLimit(state, window, carried)
  local used = state.used + state.baseline
  return window.limit + (used > 0 and min(carried.burst, max(0, carried.limit - used)) or 0)
end

local function millisUntilRoom(state, window, cost, carried)
  local most = carried and nextLimit(state, window, carried) or window.limit + window.burst
  if cost > most then
    return -1
  end
  if window.quota then
    return max(1, state.finish - nowMs)
  end
  return max(1, roomAt(state, window, cost) - nowMs)
end

local function charge(state, window, cost)
  if window.quota then
    state.used = state.used + cost
  else
    chargeSliding(state, window, cost)
  end
end

-- Sets the part of the reply for window number `w`.
local function report(w, window, state, wait)
  local left, resetIn = window.limit, 0
  if window.quota then
    left, resetIn = quotaLimit(window) - state.used, state.finish - nowMs
  elseif window.carried then
    left = state.units
  else
    left = left - state.sum
    if state.sum > 0 then
      resetIn = state.last + window.span - nowMs
    end
  end
  answers[w * 3 - 2] = left > 0 and left or 0
  answers[w * 3 - 1] = resetIn > 0 and resetIn or 0
  answers[w * 3] = wait + 1
end

-- Tests the loaded windows for `amounts` and charges all of them if every enforced window has room. Charges nothing if `passes`
-- is false. A window whose amount is 0 is tested for `least` units, or not at all if `least` is 0. Returns whether it charged.
-- `cost` is the amount of every window if all windows count requests, which saves a read of each window's amount; else nil.
local function chargeWindows(shape, passes, least, cost)
  for w = 1, #shape do
    local window, need = shape[w], cost
    if not need then
      need = amounts[window.quantity]
      need = need > 0 and need or least
    end
    if window.reserved then
      room[w] = room[w - 1]
    elseif window.carried then
      room[w] = false
    else
      room[w] = need == 0 or hasRoom(states[w], window, need)
      if not room[w] and not window.shadow then
        passes = false
      end
    end
  end
  for w = 1, #shape do
    local window, state = shape[w], states[w]
    local amount = cost or amounts[window.quantity]
    local wait = 0
    if not (room[w] or window.reserved or window.carried) then
      wait = millisUntilRoom(state, window, amount > 0 and amount or least, shape[window.carriedBy])
    end
    if not passes or amount == 0 then
      room[w] = false
    elseif room[w] then
      room[w] = amount
      charge(state, window, amount)
    end
    report(w, window, state, wait)
  end
  return passes
end

-- Writes the windows of a subject that were charged.
local function writeSubject(shape, subject)
  local count, held = 0, ttls[subject]
  local ttl = held
  for w = 1, #shape do
    local window = shape[w]
    if window.subject == subject and room[w] then
      local state = states[w]
      local reach, slack = state.finish, 0
      values[count + 1] = window.field
      if window.quota then
        values[count + 2] = writeQuota(state)
      else
        reach, slack = slidingReach(state, window)
        values[count + 2] = writeSliding(state, window.span)
      end
      count = count + 2
      if window.carriedBy then
        local carried = states[window.carriedBy]
        reach = reach + window.span + DAY_MS
        if carried.cleared then
          values[count + 1] = shape[window.carriedBy].field
          values[count + 2] = pack(PREVIOUS, carried.start, carried.used)
          count = count + 2
        end
      end
      if reach > ttl then
        ttl = reach + slack + TTL_SLACK_MS
      end
    end
  end
  if count == 0 then
    return
  end
  local key = hashes[indexes[subject]]
  if ttl > held then
    values[count + 1] = 't'
    values[count + 2] = string.format('%.0f', ttl)
    count = count + 2
  end
  call('HSET', key, unpack(values, 1, count))
  if ttl > held then
    call('PEXPIRE', key, string.format('%.0f', ttl - nowMs))
  end
end
