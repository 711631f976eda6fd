-- The unit of an alert's amounts, so that lists of alerts show money with its currency. The view is replaced, so its comments are
-- written again.
ALTER TABLE {database}.stored_alerts {on_cluster} ADD COLUMN IF NOT EXISTS
    unit LowCardinality(String) COMMENT 'Unit of used and limit: the currency of money, the name of another quantity, else units; empty before this column existed' AFTER `limit`;

CREATE OR REPLACE VIEW {database}.alerts {on_cluster} AS
SELECT alert_id, time, tenant_id, kind, limit_name, threshold, period, used, `limit`, unit, exhausted_at,
       channel, target, status, attempts, error
FROM {database}.stored_alerts FINAL;

ALTER TABLE {database}.alerts {on_cluster}
    COMMENT COLUMN alert_id 'Id of the alert, the same for every target',
    COMMENT COLUMN time 'Time of the alert (UTC)',
    COMMENT COLUMN tenant_id 'Tenant',
    COMMENT COLUMN kind 'threshold, exceeded, recovered, forecast, rejections or test',
    COMMENT COLUMN limit_name 'Name of the limit',
    COMMENT COLUMN threshold 'Share of the limit that was crossed, e.g. 0.8',
    COMMENT COLUMN period 'Start of the period of the quota (UTC)',
    COMMENT COLUMN used 'Used part of the limit at the time of the alert',
    COMMENT COLUMN `limit` 'Limit at the time of the alert, in the unit of the quantity that it counts',
    COMMENT COLUMN unit 'Unit of used and limit: the currency of money, the name of another quantity, else units; empty before this column existed',
    COMMENT COLUMN exhausted_at 'Forecast at the recent rate: time at which the quota is used up (UTC); empty: not in this period',
    COMMENT COLUMN channel 'webhook, slack or email; log: the entry of the alert in the service log',
    COMMENT COLUMN target 'Target, without secrets',
    COMMENT COLUMN status 'pending, delivered, dead, dropped, or superseded by a higher threshold',
    COMMENT COLUMN attempts 'Number of attempts',
    COMMENT COLUMN error 'Error of the last attempt; empty after a success',
    MODIFY COMMENT 'Notifications to each target and the state of their delivery';
