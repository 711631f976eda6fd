-- Decides a batch of checks, each against all of its windows, all-or-nothing.
--
-- Times are Unix milliseconds, costs and limits whole units. All keys share one hash tag on a cluster.
-- KEYS     the hashes of the subjects (a tenant, a user, an address) that the batch touches; the list of a window's
--          older entries stands beside its hash as `<hash>:<field>` and so in the same slot.
-- ARGV[1]  '' in production; tests give the time.
-- ARGV[2]  the epoch of all. The sum of it and the tenant's own only grows, with each reset of either: windows written
--          under a smaller sum count as empty.
-- ARGV[3]  number of shapes. A shape is a list of windows shared by many checks:
--            number of windows, number of subjects, then for each window
--            subject, field, kind (0 sliding, 1 quota), limit, span, burst, shadow (0, 1), grain, four period bounds
-- then, to the end, the checks: twice the shape (plus one to peek), cost, then for each subject of the shape
--            1024 times its hash (index of KEYS) plus the hash that holds its epoch (0 for none).
--
-- Answers unsigned numbers of six bytes, lowest first, in one string, which costs both sides less than a list: now, the
-- stamp of what was counted, then for each window of each check
-- remaining, milliseconds to the reset, milliseconds until there is room plus one (1 now, 0 never).
--
-- Check by check:
-- 1. Load its windows, drop in memory what has left them.
-- 2. Look at all of them.
-- 3. If all enforced ones have room, take, and write what changed. A peek or a refusal has nothing to write.

local function readShape()
  local windowCount, subjectCount = number(), number()
  local shape = { subjects = {} }
  for s = 1, subjectCount do
    shape.subjects[s] = { 't', 'e' }
  end
  for w = 1, windowCount do
    local window = { subject = number(), field = text(), quota = number() == 1 }
    window.limit, window.span, window.burst = number(), number(), number()
    window.shadow, window.grain = number() == 1, number()
    window.before, window.start, window.finish, window.after = number(), number(), number(), number()
    local fields = shape.subjects[window.subject]
    fields[#fields + 1] = window.field
    shape[w] = window
  end
  return shape
end

-- Reused by every check, per window and per subject.
local states, room, indexes, ttls, values = {}, {}, {}, {}, {}
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

local reply, replied = { pack('<I6I6', nowMs, stampMs) }, 1

local function report(window, state, wait)
  replied = replied + 1
  if window.quota then
    reply[replied] = pack('<I6I6I6', max(0, window.limit - state.used), max(0, state.finish - nowMs), wait + 1)
  else
    local resetIn = state.sum > 0 and max(0, state.last + window.span - nowMs) or 0
    reply[replied] = pack('<I6I6I6', max(0, window.limit - state.sum), resetIn, wait + 1)
  end
end

local function decide(shape, cost, peek)
  local passes = not peek
  for s = 1, #shape.subjects do
    local both = number()
    local epochIndex = both % 1024
    loadSubject(shape, s, (both - epochIndex) / 1024, epochIndex)
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
    report(window, state, wait)
  end
  if passes then
    for s = 1, #shape.subjects do
      writeSubject(shape, s)
    end
  end
end

local shapes = {}
for s = 1, number() do
  shapes[s] = readShape()
end
while position < #ARGV do
  local both, cost = number(), number()
  local peek = both % 2
  decide(shapes[(both - peek) / 2], cost, peek == 1)
end
return table.concat(reply)
