-- Decides a batch of checks. Each check charges all of its windows, or none.
--
-- Times are Unix milliseconds, costs and limits are whole units. On a cluster all keys share one hash tag.
-- KEYS     the hashes of the subjects (a tenant, a user, an address) and the records of the reservations of the batch, in the
--          order of their first use by a check. A subject of several checks is sent once. The list of a window's older entries
--          has the key `<hash>:<field>`, so it is in the same slot.
-- ARGV[1]  the time, in tests only; '' in production, where Redis's own time is used.
-- ARGV[2]  the global epoch. A reset raises the global epoch or a tenant's epoch, and so their sum: a window written under a
--          smaller sum counts as empty.
-- ARGV[3]  the checks, one after the other. A check is: 8 x shape + flags (1 peek, 2 reservation, 4 lease) [2], cost [4], then for each
--          subject of the shape the index of its hash in KEYS [2] and the index of the hash that holds its epoch (0 for none)
--          [2], then for each quantity of the shape except `requests` its amount [6], then for a reservation: index of its
--          record in KEYS [2], its number among the reservations of the batch, from 0 [2], milliseconds to its end and to the
--          expiry of its record [6 each]; or for a lease (one subject, only requests): units wanted [4], its life in milliseconds [2], unspent
--          units of the node's earlier leases [4]. The cost is 0 if only a lease is wanted.
-- ARGV[4]  and following: the shapes (see windows.lua), then three arguments of each reservation (see reserve.lua), the last one first.
-- [n] is the number of bytes of a number, lowest byte first. Arguments are packed because Lua unpacks them with few calls.
--
-- Reply: one string of unsigned numbers of six bytes each, lowest byte first; Redis and the client process a string faster than a
-- list. Numbers: the time, the timestamp stored for the charged units, 1000 x the number of windows whose timestamps were corrected
-- + the microseconds of the time, then for each window of each check: remaining units, milliseconds to the reset, and 1 + milliseconds until there is room (1:
-- now, 0: never), and for a check with a lease the leased units (0: none) and the epoch of its windows. Then for each reservation, what was stored for it before (see reserve.lua).
--
-- For each check:
-- 1. Load its windows and drop expired entries in memory.
-- 2. Test all windows for room. An amount of 0 fits only if less than the limit is used, as the smallest amount does.
-- 3. If all enforced windows have room, charge and write all windows with room. A peek or a refusal charges nothing, nor does a
--    reservation that is stored already.

local reply, stored

-- Decides the check whose subjects are at position `at` of the string `checks`. Returns the position of the next check.
local function decide(shape, cost, flags, checks, at)
  local peek, reserves = flags % 2 == 1, flags % 4 >= 2
  for s = 1, #shape.subjects do
    local index, epochIndex
    index, epochIndex, at = unpackFrom('<I2I2', checks, at)
    loadSubject(shape, s, index, epochIndex)
  end
  local passes, costOfAll, key, place, endMs, ttlMs = not peek, cost, nil, nil, nil, nil
  if shape.quantities > 1 then
    amounts[1], costOfAll = cost, nil
    for q = 2, shape.quantities do
      amounts[q], at = unpackFrom('<I6', checks, at)
    end
  end
  if reserves then
    key, place, endMs, ttlMs, at = unpackFrom('<I2I2I6I6', checks, at)
    key = KEYS[key]
    local existing = findRecord(key)
    stored[#stored + 1] = existing or NOT_STORED
    passes = passes and not existing
  end
  local leased
  if flags >= 4 then
    local wanted, lifeMs, held
    wanted, lifeMs, held, at = unpackFrom('<I4I2I4', checks, at)
    leased = leasableUnits(shape, cost, wanted, lifeMs, held)
    if leased > 0 then
      stampWithEnd(shape, lifeMs)
      costOfAll = cost + leased
    end
  end
  passes = chargeWindows(shape, passes, 1, costOfAll)
  reply[#reply + 1] = pack(shape.answer, unpack(answers, 1, #shape * 3))
  if leased then
    reply[#reply + 1] = pack('<I6I6', leased, states[1].epoch)
  end
  if passes then
    for s = 1, #shape.subjects do
      writeSubject(shape, s)
    end
    if reserves then
      writeRecord(key, shape, #ARGV - 3 * place - 2, endMs, ttlMs)
    end
  end
  return at
end

-- Shapes by their bytes. A library keeps them between calls; a bound keeps its memory small.
local SHAPES_MAX = 200
local shapes, shapeCount = {}, 0

local function shapeFor(packed)
  local shape = shapes[packed]
  if not shape then
    if shapeCount >= SHAPES_MAX then
      shapes, shapeCount = {}, 0
    end
    shape = readShape(packed, 1)
    shapes[packed] = shape
    shapeCount = shapeCount + 1
  end
  return shape
end

-- Decides all checks of the call. Sets all variables that a call changes, because a library keeps them between calls.
local function main()
  beginCall()
  hashes, epochs, reply, stored = KEYS, {}, { '' }, {}
  local checks, at = ARGV[3], 1
  while at <= #checks do
    local head, cost, subjectsAt = unpackFrom('<I2I4', checks, at)
    local flags = head % 8
    local shape = shapeFor(ARGV[(head - flags) / 8 + 3])
    if flags == 0 and shape.isSimple and decideSimple(shape, cost, unpackFrom('<I2I2', checks, subjectsAt)) then
      reply[#reply + 1] = pack(shape.answer, unpack(answers, 1, #shape * 3))
      at = subjectsAt + 4
    else
      at = decide(shape, cost, flags, checks, subjectsAt)
    end
  end
  reply[1] = pack('<I6I6I6', nowMs, timestampMs, correctedWindows * 1000 + nowMicros)
  return table.concat(reply) .. table.concat(stored)
end
