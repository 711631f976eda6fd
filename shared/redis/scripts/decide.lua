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
-- then, to the end, the checks: shape, cost, peek (0, 1), then for each subject of the shape
--            its hash (index of KEYS) and the hash that holds its epoch (0 for none).
--
-- Answers unsigned numbers of six bytes, lowest first, in one string, which costs both sides less than a list: now, the
-- stamp of what was counted, then for each window of each check
-- remaining, milliseconds to the reset, milliseconds until there is room plus one (1 now, 0 never).
--
-- 1. Load each window once per batch, drop in memory what has left it.
-- 2. Per check, look at every window; take from them only if all enforced ones have room.
-- 3. Write the windows that changed, once. A peek or a refusal reaches step 3 with nothing to write.

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

local loaded, epochs = {}, {}

local function epochFor(index)
  if index == 0 then
    return epochOfAll
  end
  if not epochs[index] then
    epochs[index] = epochOfAll + tonumber(call('HGET', KEYS[index], 'e') or 0)
  end
  return epochs[index]
end

-- The windows of one subject, from this batch's memory or from its hash.
local function loadSubject(shape, subject, index, epochIndex)
  local held = loaded[index]
  local fields = shape.subjects[subject]
  if held then
    local complete = true
    for f = 3, #fields do
      if not held[fields[f]] then
        complete = false
      end
    end
    if complete then
      return held
    end
  end
  local values = call('HMGET', KEYS[index], unpack(fields))
  if not held then
    held = { ttl = tonumber(values[1] or 0) }
    loaded[index] = held
  end
  if epochIndex == index and not epochs[index] then
    epochs[index] = epochOfAll + tonumber(values[2] or 0)
  end
  local epoch = epochFor(epochIndex)
  local f = 2
  for w = 1, #shape do
    local window = shape[w]
    if window.subject == subject then
      f = f + 1
      if not held[window.field] then
        if window.quota then
          held[window.field] = loadQuota(values[f], window, epoch)
        else
          held[window.field] = loadSliding(KEYS[index], window.field, values[f], window.span, epoch)
        end
      end
    end
  end
  return held
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

local dirty = {}
local reply, replied = { pack('<I6I6', nowMs, stampMs) }, 1
-- Per subject and per window of the check at hand; filled anew by each.
local indexes, subjects, room = {}, {}, {}

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
    local index, epochIndex = number(), number()
    indexes[s] = index
    subjects[s] = loadSubject(shape, s, index, epochIndex)
  end
  for w = 1, #shape do
    local window = shape[w]
    room[w] = hasRoom(subjects[window.subject][window.field], window, cost)
    if not room[w] and not window.shadow then
      passes = false
    end
  end
  for w = 1, #shape do
    local window = shape[w]
    local state = subjects[window.subject][window.field]
    local wait = room[w] and 0 or millisUntilRoom(state, window, cost)
    if passes and room[w] then
      take(state, window, cost)
      local index = indexes[window.subject]
      local changed = dirty[index]
      if not changed then
        changed = {}
        dirty[index] = changed
      end
      changed[window.field] = window
    end
    report(window, state, wait)
  end
end

local function write(index, windows)
  local held = loaded[index]
  local values, ttl = {}, held.ttl
  for field, window in pairs(windows) do
    local state = held[field]
    local at, reach, slack = #values, state.finish, 0
    values[at + 1] = field
    if window.quota then
      values[at + 2] = writeQuota(state)
    else
      reach, slack = slidingReach(state, window)
      values[at + 2] = writeSliding(state, window.span)
    end
    if reach > ttl then
      ttl = reach + slack + TTL_SLACK_MS
    end
  end
  if ttl > held.ttl then
    values[#values + 1] = 't'
    values[#values + 1] = string.format('%.0f', ttl)
  end
  call('HSET', KEYS[index], unpack(values))
  if ttl > held.ttl then
    call('PEXPIRE', KEYS[index], string.format('%.0f', ttl - nowMs))
  end
end

local shapes = {}
for s = 1, number() do
  shapes[s] = readShape()
end
while position < #ARGV do
  local shape, cost, peek = shapes[number()], number(), number() == 1
  decide(shape, cost, peek)
end
for index, windows in pairs(dirty) do
  write(index, windows)
end
return table.concat(reply)
