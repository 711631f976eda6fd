-- First file of every script that counts units: reads the arguments and the time. Times are Unix milliseconds; units are whole
-- numbers. The main part of a script first calls `beginCall`.
-- ARGV[1]  the time, in tests only; '' in production, where Redis's own time is used.
-- ARGV[2]  the global epoch. Further arguments are read with `text()` and `number()`, in order.

local call = redis.call
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local pack, unpackFrom = struct.pack, struct.unpack
local TTL_SLACK_MS = 60000
-- A stored timestamp that is ahead of the server's clock by more than this was written while the clock was wrong, and is
-- corrected. If it is ahead by less, the decision uses the stored timestamp as its time, so that a failover to a server whose
-- clock is a little behind changes no stored value.
local AHEAD_MS_MAX = 1000
-- Timestamps are ahead of the clock by at most this after a lease of units, which are stored with the time of its end: the longest
-- life of a lease, and a millisecond because stored timestamps are rounded up.
local AHEAD_MS_OF_LEASE = 251
local correctedWindows, position = 0, 0

local function text()
  position = position + 1
  return ARGV[position]
end
local function number()
  position = position + 1
  return tonumber(ARGV[position])
end

-- Decisions use the time rounded down (`nowMs`), and stored timestamps are rounded up (`timestampMs`), so that no unit leaves its
-- window even a microsecond before the full span has passed.
local nowMs, timestampMs, epochOfAll
-- Microseconds of the time beyond `nowMs`.
local nowMicros

-- Reads the first arguments and the time. Sets all variables of this file, because a library keeps them between calls.
local function beginCall()
  correctedWindows, position = 0, 0
  local testTime = text()
  if testTime ~= '' then
    nowMs = floor(testTime)
    timestampMs = ceil(testTime)
    nowMicros = floor((testTime - nowMs) * 1000)
  else
    local time = call('TIME')
    local micros = time[1] * 1000000 + time[2]
    nowMs = floor(micros / 1000)
    nowMicros = micros - nowMs * 1000
    timestampMs = ceil(micros / 1000)
  end
  epochOfAll = number()
end
