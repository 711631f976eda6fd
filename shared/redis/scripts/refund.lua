-- Returns units to the windows of one subject (a tenant, user or address), oldest units first. The newest units stay counted, so
-- after a refund no span of time has more units than the limit.
-- KEYS[1]  hash of the subject.
-- KEYS[2]  the hash that holds its epoch; absent for a subject without a tenant.
-- ARGV     as in clock.lua, then whether ClickHouse's totals include the units (0 no, 1 yes, 2 until a
--          correction of the event is applied), and for each window: units, field, kind
--          (0 sliding, 1 quota), span (milliseconds), and four bounds of the calendar periods (Unix milliseconds, 0 for a sliding
--          window): start of the period before, start, end, end of the period after.
-- Reply: for each window the number of units that were returned.
beginCall()
local inTotals = number()
local units
local key = KEYS[1]
local epoch = epochOfAll + tonumber(KEYS[2] and call('HGET', KEYS[2], 'e') or 0)

-- Removes units from the list, oldest first: drops entries, and lowers the first entry that is larger than the remaining units.
-- Returns the number of units that the list did not have.
local function refundList(state, left)
  local list = state.key .. ':' .. state.field
  while left > 0 do
    local chunk = call('LRANGE', list, state.dropped, state.dropped + 127)
    for i = 1, #chunk, 2 do
      local at, held = tonumber(chunk[i]), tonumber(chunk[i + 1])
      state.oldest = at
      if held > left then
        call('LSET', list, state.dropped + 1, held - left)
        state.sum = state.sum - left
        return 0
      end
      state.dropped, state.sum, left = state.dropped + 2, state.sum - held, left - held
    end
    if #chunk < 128 then
      state.oldest = 0
      return left
    end
  end
  local head = call('LINDEX', list, state.dropped)
  state.oldest = head and tonumber(head) or 0
  return left
end

local function refundSliding(field, packed, span)
  local state = {}
  loadSliding(state, key, field, packed, span, epoch)
  local left = units
  if state.oldest ~= 0 and not state.cleared then
    left = refundList(state, left)
  end
  local open = min(left, state.units)
  state.units = state.units - open
  state.sum = max(state.units, state.sum - open)
  call('HSET', key, field, writeSliding(state, span))
  return units - (left - open)
end

-- Units that are included in ClickHouse's totals are added to the baseline, so that a total with these units does not raise the
-- quota again.
local function refundQuota(field, packed, window)
  local state = {}
  loadQuota(state, packed, window, epoch)
  local returned = min(units, state.used)
  state.used = state.used - returned
  if inTotals == 1 then
    state.baseline = state.baseline + returned
  elseif inTotals == 2 and returned > 0 then
    addReturned(key, field, state.start, state.epoch, returned)
  end
  -- Without returned units nothing is written: a new period would replace the count of the period before, which is carried over.
  if returned > 0 then
    call('HSET', key, field, writeQuota(state))
  end
  return returned
end

local reply = {}
while position < #ARGV do
  units = number()
  local field, quota, span = text(), number() == 1, number()
  local window = { before = number(), start = number(), finish = number(), after = number() }
  local packed = call('HGET', key, field)
  local returned = 0
  if packed and quota then
    returned = refundQuota(field, packed, window)
  elseif packed then
    returned = refundSliding(field, packed, span)
  end
  reply[#reply + 1] = returned
end
return reply
