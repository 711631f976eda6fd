-- Reads and changes the stored record of a reservation (see reserve.lua). KEYS has the record; its other keys are in its field r
-- and have the same hash tag. `hashes` (see windows.lua) are the keys of its subjects.

local record = KEYS[1]
-- A record has at most this many charges. Units of further charges are counted, but cannot be returned any more.
local CHARGES_MAX = 512
local SLIDING_UNITS_MAX, QUOTA_UNITS_MAX = 2 ^ 40 - 1, 2 ^ 48 - 1
local OPEN = 0
local shape, owners, quantityCount

-- Reads the part of the record that never changes.
local function readStatic(packed)
  local count, at = unpackFrom('<I1', packed)
  owners, hashes = {}, {}
  for s = 1, count do
    owners[s], hashes[s], at = unpackFrom('<I1I2c0', packed, at)
  end
  shape, at = readShape(packed, at)
  quantityCount = unpackFrom('<I1', packed, at)
end

-- Unpacks numbers of six bytes.
local function readAmounts(packed, from)
  local list = {}
  for q = 1, quantityCount do
    list[q] = unpackFrom('<I6', packed, from + (q - 1) * 6)
  end
  return list
end

local function packAmounts(list)
  return pack('<' .. string.rep('I6', quantityCount), unpack(list, 1, quantityCount))
end

local function readHead(packed)
  local head = {}
  head.state, head.finish, head.settlement, head.extension, head.charges = unpackFrom(HEAD, packed)
  head.amounts = readAmounts(packed, 22)
  return head
end

local function packHead(head)
  return pack(HEAD, head.state, head.finish, head.settlement, head.extension, head.charges) .. packAmounts(head.amounts)
end

local function readCharge(n)
  local packed = call('HGET', record, 'c' .. n)
  local charge, at = { amounts = readAmounts(packed, 1) }, 1 + quantityCount * 6
  for w = 1, #shape do
    local part = {}
    part.at, part.units, part.epoch, part.corrections, at = unpackFrom(PART, packed, at)
    charge[w] = part
  end
  return charge
end

local function writeCharge(n, charge)
  local parts = { packAmounts(charge.amounts) }
  for w = 1, #shape do
    local part = charge[w]
    parts[w + 1] = pack(PART, part.at, part.units, part.epoch, part.corrections)
  end
  call('HSET', record, 'c' .. n, table.concat(parts))
end

-- Loads all windows of the record.
local function loadWindows()
  for s = 1, #shape.subjects do
    loadSubject(shape, s, s, owners[s])
  end
end

-- Writes the charged windows, and stores the charge with the head.
local function storeCharge(head, charged)
  for s = 1, #shape.subjects do
    writeSubject(shape, s)
  end
  for q = 1, quantityCount do
    head.amounts[q] = min(head.amounts[q] + charged[q], QUOTA_UNITS_MAX)
  end
  if head.charges < CHARGES_MAX then
    call('HSET', record, 'c' .. head.charges, chargeOf(shape, packAmounts(charged)))
    head.charges = head.charges + 1
    return
  end
  local last = readCharge(head.charges - 1)
  for q = 1, quantityCount do
    last.amounts[q] = last.amounts[q] + charged[q]
  end
  writeCharge(head.charges - 1, last)
end
