-- Decides a batch of checks, each against all of its windows, all-or-nothing.
--
-- Times are Unix milliseconds, costs and limits whole units. All keys share one hash tag on a cluster.
-- KEYS     the hashes of the subjects (a tenant, a user, an address) that the batch touches; the list of a window's
--          older entries stands beside its hash as `<hash>:<field>` and so in the same slot.
-- ARGV[1]  '' in production; tests give the time.
-- ARGV[2]  the epoch of all. The sum of it and the tenant's own only grows, with each reset of either: windows written
--          under a smaller sum count as empty.
-- ARGV[3]  the checks, one after the other: twice the shape (plus one to peek) 2, cost 4, then for each subject of the
--          shape its hash (index of KEYS) 2 and the hash that holds its epoch (0 for none) 2.
-- ARGV[4]  and on: the shapes. A shape is a list of windows shared by many checks:
--            number of windows 2, number of subjects 2, then for each window
--            subject 1, kind (1 quota, 2 shadow, 3 both) 1, limit, span, burst, grain, four period bounds 6 each,
--            length of the field 1, field
-- Both are packed, lowest byte first: one argument each, and unpacked by few calls. Numbers above are their bytes.
--
-- Answers unsigned numbers of six bytes, lowest first, in one string, which costs both sides less than a list: now, the
-- stamp of what was counted, the number of windows whose stamps were corrected, then for each window of each check
-- remaining, milliseconds to the reset, milliseconds until there is room plus one (1 now, 0 never).
--
-- Check by check:
-- 1. Load its windows, drop in memory what has left them.
-- 2. Look at all of them.
-- 3. If all enforced ones have room, take, and write what changed. A peek or a refusal has nothing to write.

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

-- Reused by every check, per window and per subject.
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
    -- All fields at once, so that the table is never grown.
    state = {
      key = '', field = '', sum = 0, oldest = 0, first = 0, last = 0, units = 0, debt = 0, debtAt = 0, epoch = 0,
      ttlAt = 0, dropped = 0, now = 0, stamp = 0, cleared = false, closedAt = false, closedUnits = 0,
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

local function take(state, window, cost)
  if window.quota then
    state.used = state.used + cost
  else
    slidingTake(state, window, cost)
  end
end

-- Writes what a check took from one subject's windows.
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

-- The w-th window's part of a check's answer.
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

-- Reads the check's subjects at `at` and answers where the next check begins.
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
      take(state, window, cost)
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
reply[1] = pack('<I6I6I6', nowMs, stampMs, correctedWindows)
return table.concat(reply)
