-- Replaces the charged amounts of reservations.
-- KEYS     the records of the reservations. On a cluster all keys share one hash tag.
-- ARGV     as in clock.lua, then for each record:
--          operation: `settle`, `cancel`; `undo`: returns the newest extension; `discard`: returns all amounts and deletes the record;
--          `adopt`: stores charges that were counted without Redis
--          sequence number: of the settlement, or of the extension to undo
--          targets: for each quantity of the record 1 + its amount, or 0 if the amount stays as it is, packed [6 bytes each]
--          A call with one record may have further arguments:
--          for `adopt`: token, mode (`create`, `append`), state (0 open, 1 settled, 2 cancelled)
--          then, to create a record if there is none, and for `adopt`: r, d, end (Unix milliseconds), time to live of the record,
--          number of charges, and for each charge: the amounts of all quantities, and for each window the timestamp of its units
--          (Unix milliseconds; 0 if the window does not count them), packed [6 bytes each].
-- Reply: for each record a list of the status (`applied`; `superseded`: a settlement with this or a higher number was applied
-- before; `missing`) and the record's head, or of the status `failed` and the error. An error of one record does not affect the
-- others.
--
-- Less than charged: units are returned from the newest charge to the oldest, see return-charge.lua.
-- More than charged: charged now, whether there is room or not; to a quota only in the period of the reservation.
-- The first settlement returns all units of the windows that count reserved units.
beginCall()
local operation, sequence, targets

-- Returns the units of a charge to the windows that count reserved units.
local function releaseCharge(charge)
  for w = 1, #shape do
    if shape[w].reserved then
      returnUnits(w, charge[w], charge[w].units)
    end
  end
end

-- The same for all charges. The units of a quota are returned together.
local function releaseCharges(head)
  local first = readCharge(0)
  for n = 1, head.charges - 1 do
    local charge = readCharge(n)
    for w = 1, #shape do
      local part, sum = charge[w], first[w]
      if shape[w].quota and part.at == sum.at and part.epoch == sum.epoch then
        sum.units, part.units = sum.units + part.units, 0
      end
    end
    releaseCharge(charge)
  end
  releaseCharge(first)
end

-- Returns `excess` (units by quantity), from the newest charge to the oldest.
local function returnExcess(head, excess)
  for n = head.charges - 1, 0, -1 do
    local charge, changed, left = readCharge(n), false, 0
    for q = 1, quantityCount do
      local units = min(excess[q], charge.amounts[q])
      if units > 0 then
        changed = true
        charge.amounts[q] = charge.amounts[q] - units
        head.amounts[q] = head.amounts[q] - units
        excess[q] = excess[q] - units
        for w = 1, #shape do
          if shape[w].quantity == q and not shape[w].reserved then
            returnUnits(w, charge[w], units)
          end
        end
      end
      left = left + excess[q]
    end
    if changed then
      writeCharge(n, charge)
    end
    if left == 0 then
      return
    end
  end
end

local function chargeMissing(head, missing)
  local first = readCharge(0)
  loadWindows()
  for w = 1, #shape do
    local window, state, units = shape[w], states[w], missing[shape[w].quantity]
    if window.quota then
      local isSamePeriod = nowMs < window.after and state.start == first[w].at
      units = isSamePeriod and min(units, QUOTA_UNITS_MAX - state.used) or 0
      state.used = state.used + units
    else
      units = min(units, SLIDING_UNITS_MAX - state.sum)
    end
    room[w] = not window.reserved and not window.carried and units > 0 and units
    if room[w] and not window.quota then
      chargeSliding(state, window, units)
      state.debt = min(state.debt, window.burst * window.span * 10)
    end
  end
  storeCharge(head, missing)
end

local function settle(head)
  if sequence <= head.settlement then
    return 'superseded'
  end
  local excess, missing, lacks = {}, {}, false
  for q = 1, quantityCount do
    local target = unpackFrom('<I6', targets, q * 6 - 5) - 1
    local more = target < 0 and 0 or target - head.amounts[q]
    excess[q], missing[q] = max(0, -more), max(0, more)
    lacks = lacks or more > 0
  end
  if head.state == OPEN then
    releaseCharges(head)
  end
  returnExcess(head, excess)
  if lacks then
    chargeMissing(head, missing)
  end
  head.state, head.settlement = operation == 'cancel' and 2 or 1, sequence
  call('HSET', record, 'h', packHead(head))
  return 'applied'
end

-- Returns the newest extension, which was refused in another slot.
local function undo(head)
  if head.state == OPEN and head.extension == sequence and head.charges > 1 then
    local newest = head.charges - 1
    local charge = readCharge(newest)
    for w = 1, #shape do
      returnUnits(w, charge[w], charge[w].units)
    end
    for q = 1, quantityCount do
      head.amounts[q] = head.amounts[q] - charge.amounts[q]
    end
    call('HDEL', record, 'c' .. newest)
    head.charges, head.extension = newest, sequence - 1
    call('HSET', record, 'h', packHead(head))
  end
  return 'applied'
end

local function discard(head)
  if head.state == OPEN then
    for n = head.charges - 1, 0, -1 do
      local charge = readCharge(n)
      for w = 1, #shape do
        returnUnits(w, charge[w], charge[w].units)
      end
    end
    call('UNLINK', record)
  end
  return 'applied'
end

-- Returns a charge that was counted without a record. Its units cannot be returned if a reset came after it.
local function importCharge(amountsOfCharge, windowsAt)
  local charge = { amounts = amountsOfCharge }
  for w = 1, #shape do
    local window = shape[w]
    local owner = owners[window.subject]
    local at = unpackFrom('<I6', windowsAt, w * 6 - 5)
    local resetAt = max(epochOfAll, owner == 0 and 0 or epochFor(owner) - epochOfAll)
    charge[w] = {
      at = window.quota and window.start or at,
      units = at > resetAt and amountsOfCharge[window.quantity] or 0,
      epoch = epochFor(owner),
      corrections = window.quota and 0 or correctionsOf(hashes[window.subject], window.field),
    }
  end
  return charge
end

-- Appends the charges of the arguments, without the first `skipped`.
local function importCharges(head, skipped)
  for n = 1, number() do
    local charge = importCharge(readAmounts(text(), 1), text())
    if n > skipped then
      if head.state ~= OPEN then
        releaseCharge(charge)
      end
      writeCharge(head.charges, charge)
      head.charges = head.charges + 1
      for q = 1, quantityCount do
        head.amounts[q] = (head.amounts[q] or 0) + charge.amounts[q]
      end
    end
  end
end

local function createRecord(static, details)
  readStatic(static)
  local head = { state = OPEN, finish = number(), settlement = 0, extension = 0, charges = 0, amounts = {} }
  local ttlMs = text()
  importCharges(head, 0)
  head.extension = head.charges - 1
  call('HSET', record, 'r', static, 'd', details, 'h', packHead(head))
  call('PEXPIRE', record, ttlMs)
  return head
end

-- Stores charges that a node made without Redis and that the backfill has counted. A record that exists although the node does
-- not have its reply was charged twice: its own charges are returned.
local function adopt(head)
  local token, mode, state, static, details = text(), text(), number(), text(), text()
  if head and call('HGET', record, 'a') == token then
    return 'applied', head
  end
  if head and mode == 'create' then
    if head.state ~= OPEN then
      return 'superseded', head
    end
    discard(head)
    head = nil
  end
  if head then
    text()
    text()
    importCharges(head, 1)
  else
    head = createRecord(static, details)
  end
  if state ~= OPEN then
    head.state, head.settlement = state, sequence
  end
  call('HSET', record, 'h', packHead(head), 'a', token)
  return 'applied', head
end

local operations = { settle = settle, cancel = settle, undo = undo, discard = discard }

-- Runs the operation on the current record. Returns the status and the head; no head if the record is missing.
local function run()
  local found = call('HMGET', record, 'r', 'h')
  local head
  if found[1] then
    readStatic(found[1])
    head = readHead(found[2])
  end
  if operation == 'adopt' then
    return adopt(head)
  end
  if not head then
    local static = #KEYS == 1 and text()
    if not static then
      return 'missing'
    end
    head = createRecord(static, text())
  end
  return operations[operation](head), head
end

-- Returns the text of a caught error, which begins with its code. Errors of Lua have no code.
local function errorText(error)
  local message = type(error) == 'table' and error.err or tostring(error)
  return message:find('^%u+ ') and message or 'ERR ' .. message
end

local replies = {}
for n = 1, #KEYS do
  record, epochs = KEYS[n], {}
  operation, sequence, targets = text(), number(), text()
  local ok, status, head = pcall(run)
  if ok then
    replies[n] = { status, head and packHead(head) }
  else
    replies[n] = { 'failed', errorText(status) }
  end
end
return replies
