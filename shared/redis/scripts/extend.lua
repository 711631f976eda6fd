-- Charges further amounts to an open reservation: to all of its windows, or to none.
-- KEYS[1]  the record of the reservation.
-- ARGV     as in clock.lua, then the sequence number of the extension, the greatest number of extensions, and the amounts of all
--          quantities of the record, packed [6 bytes each].
-- Reply: the status (`charged`; `repeated`: this or a later extension was charged before; `refused`; `not_open`; `too_many`;
-- `missing`), the record's head, and the windows as in the reply of decide.lua: the time, then for each window remaining units,
-- milliseconds to the reset, and 1 + milliseconds until there is room.
beginCall()
local sequence, most, packedAmounts = number(), number(), text()

local function extend(head)
  local status = 'charged'
  if head.state ~= OPEN then
    status = 'not_open'
  elseif sequence <= head.extension then
    status = 'repeated'
  elseif sequence > most then
    status = 'too_many'
  end
  amounts = readAmounts(packedAmounts, 1)
  loadWindows()
  -- The stored bounds of calendar periods reach to the end of the period after the one in which the reservation began.
  local known = true
  for w = 1, #shape do
    known = known and not (shape[w].quota and nowMs >= shape[w].after)
  end
  if chargeWindows(shape, status == 'charged' and known, 0) then
    storeCharge(head, amounts)
    head.extension = sequence
    call('HSET', record, 'h', packHead(head))
  elseif status == 'charged' then
    status = 'refused'
  end
  return status
end

local found = call('HMGET', record, 'r', 'h')
if not found[1] then
  return { 'missing' }
end
readStatic(found[1])
local head = readHead(found[2])
local status = extend(head)
return { status, packHead(head), pack('<I6', nowMs) .. pack(shape.answer, unpack(answers, 1, #shape * 3)) }
