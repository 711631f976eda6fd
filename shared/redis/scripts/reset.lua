-- Empties all windows of a tenant in O(1): whatever was written under an older epoch counts as gone.
-- KEYS[1] the tenant's hash. ARGV as in clock.lua. Answers the epoch.
--
-- The epoch outlives the longest window, since a user's hash may live on after the tenant's own is gone.
local EPOCH_TTL_MS = 400 * 86400000

local epoch = max(stampMs, tonumber(call('HGET', KEYS[1], 'e') or 0) + 1)
call('HSET', KEYS[1], 'e', string.format('%.0f', epoch), 't', string.format('%.0f', nowMs + EPOCH_TTL_MS))
call('PEXPIRE', KEYS[1], EPOCH_TTL_MS)
return epoch
