-- Money in decimals: floats add up to 75.00000000006 where 1,000,000 calls at 0.000075 cost 75.
--
-- A column beside the old one, because it costs no rewriting of parts and may be repeated at will: rows from before read
-- the default, which is the decimal that was written, and rows from now on leave `cost` at 0, which takes no bytes.
-- Totals from before keep what floats had rounded of them, some 10⁻¹⁵ of their size, until their cell is computed anew.
ALTER TABLE {database}.stored_events {on_cluster} ADD COLUMN IF NOT EXISTS
    cost_exact Decimal(38, 12) DEFAULT toDecimal128(toString(round(cost, 12)), 12) CODEC(ZSTD(1)) AFTER cost;

ALTER TABLE {database}.stored_minutes {on_cluster} ADD COLUMN IF NOT EXISTS
    cost_exact Decimal(38, 12) DEFAULT toDecimal128(toString(round(cost, 12)), 12) CODEC(ZSTD(1)) AFTER cost;

ALTER TABLE {database}.stored_hours {on_cluster} ADD COLUMN IF NOT EXISTS
    cost_exact Decimal(38, 12) DEFAULT toDecimal128(toString(round(cost, 12)), 12) CODEC(ZSTD(1)) AFTER cost;

ALTER TABLE {database}.stored_days {on_cluster} ADD COLUMN IF NOT EXISTS
    cost_exact Decimal(38, 12) DEFAULT toDecimal128(toString(round(cost, 12)), 12) CODEC(ZSTD(1)) AFTER cost;
