-- A lease: units that a node may spend without a call until the lease ends. They are charged together with a check, or alone as a
-- renewal, with the timestamp of the end of the lease, which is their latest possible use. So each of them counts for at least one whole span from
-- its use.

-- A node holds at most this part of the units that are left, so that other nodes are not refused for units that one node holds.
local LEASE_PART = 20
-- A smaller lease would save too few calls.
local LEASE_UNITS_MIN = 3

-- Returns how many of the `wanted` units may be leased beside a check of `cost` units; 0 for none. `held` are the unspent units of
-- the earlier leases of the node, which are charged.
local function leasableUnits(shape, cost, wanted, lifeMs, held)
  local units, untilMs = wanted, timestampMs + lifeMs
  for w = 1, #shape do
    local window, state = shape[w], states[w]
    local left = window.limit - cost - (window.quota and state.used or state.sum)
    units = min(units, floor((left + held) / LEASE_PART) - held)
    -- Units of a quota must be used in the period in which they are charged. Timestamps of a sliding window only grow, and the
    -- returned units are found by the end of their lease.
    if window.quota and untilMs >= state.finish or not window.quota and state.last > untilMs then
      return 0
    end
  end
  return units >= LEASE_UNITS_MIN and units or 0
end

-- Stores the units of the check with the end of a lease.
local function stampWithEnd(shape, lifeMs)
  for w = 1, #shape do
    states[w].timestamp = timestampMs + lifeMs
  end
end
