-- Empties all windows of a tenant in O(1): windows written under an older epoch count as empty.
-- KEYS[1]  the tenant's hash.
-- ARGV     as in clock.lua.
-- Reply: the tenant's new epoch (Unix milliseconds).
--
-- The epoch is kept longer than the longest window, because windows of the tenant's users have hashes of their own, which may
-- expire later than the tenant's other windows.
local EPOCH_TTL_MS = 400 * 86400000

beginCall()
local epoch = max(timestampMs, tonumber(call('HGET', KEYS[1], 'e') or 0) + 1)
call('HSET', KEYS[1], 'e', string.format('%.0f', epoch), 't', string.format('%.0f', nowMs + EPOCH_TTL_MS))
call('PEXPIRE', KEYS[1], EPOCH_TTL_MS)
return epoch
