-- Stores money as decimals, because sums of floats are inexact: 1,000,000 calls at 0.000075 cost 75, but their sum as floats is
-- 75.00000000006.
--
-- This adds a column, because adding a column rewrites no parts and is repeatable. Older rows have no value in it and return the
-- default, which is their `cost` as a decimal. Newer rows have 0 in `cost`, which takes almost no bytes. Older totals keep the
-- rounding error of floats, about 10⁻¹⁵ of the total, until they are computed again.
ALTER TABLE {database}.stored_events {on_cluster} ADD COLUMN IF NOT EXISTS
    cost_exact Decimal(38, 12) DEFAULT toDecimal128(toString(round(cost, 12)), 12) CODEC(ZSTD(1)) AFTER cost;

ALTER TABLE {database}.stored_minutes {on_cluster} ADD COLUMN IF NOT EXISTS
    cost_exact Decimal(38, 12) DEFAULT toDecimal128(toString(round(cost, 12)), 12) CODEC(ZSTD(1)) AFTER cost;

ALTER TABLE {database}.stored_hours {on_cluster} ADD COLUMN IF NOT EXISTS
    cost_exact Decimal(38, 12) DEFAULT toDecimal128(toString(round(cost, 12)), 12) CODEC(ZSTD(1)) AFTER cost;

ALTER TABLE {database}.stored_days {on_cluster} ADD COLUMN IF NOT EXISTS
    cost_exact Decimal(38, 12) DEFAULT toDecimal128(toString(round(cost, 12)), 12) CODEC(ZSTD(1)) AFTER cost;
