-- First part of every script that counts: arguments and time. Times are Unix milliseconds.

local call = redis.call
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local pack, unpackFrom = struct.pack, struct.unpack
local TTL_SLACK_MS = 60000
-- A stored time further ahead of the server's clock than this was written while that clock was wrong, and is corrected.
-- Up to it the clock stands still instead: a failover to a server that is a little behind changes nothing stored.
local AHEAD_MS_MAX = 1000
local correctedWindows = 0

local position = 0
local function text()
  position = position + 1
  return ARGV[position]
end
local function number()
  position = position + 1
  return tonumber(ARGV[position])
end

-- What is counted is stamped late and what is decided uses the earlier time, so that a unit never leaves
-- its window before the full span has passed, to the microsecond.
local nowMs, stampMs
local given = text()
if given ~= '' then
  nowMs = tonumber(given)
  stampMs = nowMs
else
  local time = call('TIME')
  local micros = time[1] * 1000000 + time[2]
  nowMs = floor(micros / 1000)
  stampMs = ceil(micros / 1000)
end
local epochOfAll = number()
