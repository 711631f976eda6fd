-- Decides a batch of checks. Each check charges all of its windows, or none.
--
-- Times are Unix milliseconds, costs and limits are whole units. On a cluster all keys share one hash tag.
-- KEYS     the hashes of the subjects (a tenant, a user, an address) of the batch, in the order of their first use by a check. A
--          subject of several checks is sent once. The list of a window's older entries has the key `<hash>:<field>`, so it is in
--          the same slot.
-- ARGV[1]  the time, in tests only; '' in production, where Redis's own time is used.
-- ARGV[2]  the global epoch. A reset raises the global epoch or a tenant's epoch, and so their sum: a window written under a
--          smaller sum counts as empty.
-- ARGV[3]  the checks, one after the other. A check is: 2 x shape (+ 1 for a peek) [2], cost [4], then for each subject of the
--          shape the index of its hash in KEYS [2] and the index of the hash that holds its epoch (0 for none) [2].
-- ARGV[4]  and following: the shapes. A shape is a list of windows that many checks share:
--            number of windows [2], number of subjects [2], then for each window
--            subject [1], kind (1 quota, 2 shadow, 3 both) [1], limit, span, burst, grain, four period bounds [6 each],
--            length of the field [1], field
-- [n] is the number of bytes of a number, lowest byte first. Arguments are packed because Lua unpacks them with few calls.
--
-- Reply: one string of unsigned numbers of six bytes each, lowest byte first; Redis and the client process a string faster than a
-- list. Numbers: the time, the timestamp stored for the charged units, the number of windows whose timestamps were corrected,
-- then for each window of each check: remaining units, milliseconds to the reset, and 1 + milliseconds until there is room (1:
-- now, 0: never).
--
-- For each check:
-- 1. Load its windows and drop expired entries in memory.
-- 2. Test all windows for room.
-- 3. If all enforced windows have room, charge and write all windows with room. A peek or a refusal charges nothing.

local WINDOW = '<I1I1I6I6I6I6I6I6I6I6I1c0'

local function readShape(packed)
  local windowCount, subjectCount, at = unpackFrom('<I2I2', packed)
  local shape = { subjects = {}, answer = '<' .. string.rep('I6', windowCount * 3) }
  for s = 1, subjectCount do
    shape.subjects[s] = { 't', 'e' }
  end
  for w = 1, windowCount do
    local subject, kind, limit, span, burst, grain, before, start, finish, after, field
    subject, kind, limit, span, burst, grain, before, start, finish, after, field, at = unpackFrom(WINDOW, packed, at)
    shape[w] = {
      subject = subject, field = field, quota = kind % 2 == 1, shadow = kind >= 2, limit = limit, span = span,
      burst = burst, grain = grain, before = before, start = start, finish = finish, after = after,
    }
    local fields = shape.subjects[subject]
    fields[#fields + 1] = field
  end
  return shape
end

-- Tables by index of window or subject. Every check reuses them, so that a batch creates little garbage.
local states, room, indexes, ttls, values, answers = {}, {}, {}, {}, {}, {}
local epochs = {}

local function epochFor(index)
  if index == 0 then
    return epochOfAll
  end
  if not epochs[index] then
    epochs[index] = epochOfAll + tonumber(call('HGET', KEYS[index], 'e') or 0)
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
  local key = KEYS[index]
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
      else
        loadSliding(stateAt(w), key, window.field, found[f], window.span, epoch)
      end
    end
  end
end

local function hasRoom(state, window, cost)
  if window.quota then
    return state.used + cost <= window.limit
  end
  return slidingHasRoom(state, window, cost)
end

local function millisUntilRoom(state, window, cost)
  if cost > window.limit + window.burst then
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

-- Writes the windows of a subject that the check has charged.
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
      if reach > ttl then
        ttl = reach + slack + TTL_SLACK_MS
      end
    end
  end
  if count == 0 then
    return
  end
  local key = KEYS[indexes[subject]]
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

local reply = { '' }

-- Sets the part of the reply for the check's window number `w`.
local function report(w, window, state, wait)
  local left, resetIn = window.limit, 0
  if window.quota then
    left, resetIn = left - state.used, state.finish - nowMs
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

-- Decides the check whose subjects are at position `at` of the string `checks`. Returns the position of the next check.
local function decide(shape, cost, peek, checks, at)
  local passes = not peek
  for s = 1, #shape.subjects do
    local index, epochIndex
    index, epochIndex, at = unpackFrom('<I2I2', checks, at)
    loadSubject(shape, s, index, epochIndex)
  end
  for w = 1, #shape do
    local window = shape[w]
    room[w] = hasRoom(states[w], window, cost)
    if not room[w] and not window.shadow then
      passes = false
    end
  end
  for w = 1, #shape do
    local window, state = shape[w], states[w]
    local wait = room[w] and 0 or millisUntilRoom(state, window, cost)
    if passes and room[w] then
      charge(state, window, cost)
    end
    report(w, window, state, wait)
  end
  reply[#reply + 1] = pack(shape.answer, unpack(answers, 1, #shape * 3))
  if passes then
    for s = 1, #shape.subjects do
      writeSubject(shape, s)
    end
  end
  return at
end

local checks, shapes = ARGV[3], {}
for s = 4, #ARGV do
  shapes[s - 3] = readShape(ARGV[s])
end
local at = 1
while at <= #checks do
  local both, cost, subjectsAt = unpackFrom('<I2I4', checks, at)
  local peek = both % 2
  at = decide(shapes[(both - peek) / 2], cost, peek == 1, checks, subjectsAt)
end
reply[1] = pack('<I6I6I6', nowMs, timestampMs, correctedWindows)
return table.concat(reply)
