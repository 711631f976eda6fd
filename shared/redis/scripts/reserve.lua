-- The record of a reservation: what a check has charged, so that a settlement can replace it. A hash with the fields
--   r    what never changes, see `reservations/record-bytes.ts`: the hashes of the subjects, the shape, names
--   d    details: a text of the gateway
--   h    head: state (0 open, 1 settled, 2 cancelled) [1], end (Unix milliseconds) [6], sequence number of the last settlement
--        [6], of the last extension [6], number of charges [2], then for each quantity the amount that is charged now [6]
--   c<n> charge number n, from 0: for each quantity the charged amount [6], then for each window: timestamp of the units, or start
--        of the quota's period [6], units [6], epoch [6], number of corrections of the window's timestamps [2]
-- Arguments of a reservation: r, d, and the amounts of all its quantities [6 each].

local HEAD, PART = '<I1I6I6I6I2', '<I6I6I6I2'
local NOT_STORED = pack('<I6', 0)

-- Returns where a charge is counted in a window, packed. A window that was not charged has 0 units.
local function chargedPart(w, window)
  local state, units = states[w], room[w] or 0
  if window.quota or window.carried then
    return pack(PART, max(0, state.start), units, state.epoch, 0)
  end
  return pack(PART, state.timestamp, units, state.epoch, correctionsOf(state.key, window.field))
end

-- Returns a charge of `amounts` to the windows of a shape, packed. `packedAmounts` has all quantities of the record.
local function chargeOf(shape, packedAmounts)
  local parts = { packedAmounts }
  for w = 1, #shape do
    parts[w + 1] = chargedPart(w, shape[w])
  end
  return table.concat(parts)
end

local function writeRecord(key, shape, argument, endMs, ttlMs)
  local packedAmounts = ARGV[argument + 2]
  call('HSET', key, 'r', ARGV[argument], 'd', ARGV[argument + 1],
    'h', pack(HEAD, 0, nowMs + endMs, 0, 0, 1) .. packedAmounts, 'c0', chargeOf(shape, packedAmounts))
  call('PEXPIRE', key, string.format('%.0f', ttlMs))
end

-- Returns a stored record for the reply: 1, the head's length, the head, the length of the details [6 each], the details. Returns
-- nil if there is no record.
local function findRecord(key)
  local found = call('HMGET', key, 'h', 'd')
  if found[1] then
    return pack('<I6I6', 1, #found[1]) .. found[1] .. pack('<I6', #found[2]) .. found[2]
  end
end
