import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { RejectedMessage } from '../../../shared/kafka/consumer/handling.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import { alertIdOf } from '../alert-id.ts';
import { unitText } from '../unit-text.ts';
import { readDelivery } from '../../../shared/domain/topics/delivery.ts';
import type { Delivery } from '../../../shared/domain/topics/delivery.ts';

/**
 * Copies delivery states into ClickHouse for users and analysts. There is one row for each combination of alert, target
 * and number of attempts; the view shows the row with the most attempts. Lower thresholds that were crossed at the same
 * moment get a row with status `superseded`. Safe to repeat. Returns the messages that are not deliveries.
 */
export async function logDeliveries(
  clickhouse: ClickHouse,
  messages: readonly ConsumedMessage[],
): Promise<readonly RejectedMessage[]> {
  const deliveries: Delivery[] = [];
  const rejected: RejectedMessage[] = [];
  for (const message of messages) {
    if (message.value === null) continue;
    const delivery = readDelivery(message);
    if (delivery === null)
      rejected.push({ message, reason: 'is no delivery, or its key is the key of another delivery' });
    else deliveries.push(delivery);
  }
  await clickhouse.insert('stored_alerts', deliveries.flatMap(rowsOf));
  return rejected;
}

function rowsOf(delivery: Delivery): object[] {
  const { alert, channel, target, status, attempts, error } = delivery;
  const row = { ...alertColumns(alert), channel, target, status, attempts, error };
  if (channel !== 'log') return [row];
  const superseded = (alert.also_crossed ?? []).map((threshold) => ({
    ...row,
    alert_id: alertIdOf(alert.tenant_id, alert.limit_name, alert.period, threshold, alert.generation),
    kind: 'threshold',
    threshold,
    channel: '',
    target: '',
    status: 'superseded',
    error: '',
  }));
  return [row, ...superseded];
}

function alertColumns(alert: AlertEvent): object {
  const { id, at, tenant_id, kind, limit_name, threshold, period, used, limit, exhausted_at } = alert;
  return {
    alert_id: id,
    time: at,
    tenant_id,
    kind,
    limit_name,
    threshold,
    period,
    used,
    limit,
    unit: unitText(alert),
    exhausted_at,
  };
}
