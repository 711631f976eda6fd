import { loopback } from '../settings.ts';
import type { AlertRule } from './rule.ts';

const jobs = Object.keys(loopback.services).map((service) => `tollgate-${service}`);
/** PromQL that returns 0 for each job without a target in Prometheus. So a job that disappears raises the alert. */
const missingJobs = jobs.map((job) => `(absent(up{job="${job}"}) - 1)`).join(' or ');

export const serviceDown: AlertRule = {
  name: 'TollgateServiceDown',
  severity: 'critical',
  query: `min by (job, instance) (up{job=~"tollgate-.*"}) or ${missingJobs}`,
  fires: 'below',
  threshold: 1,
  forMinutes: 1,
  // A restarted alerter receives its first heartbeat within a minute.
  keepFiringMinutes: 2,
  summary: '{{ .Labels.job }}{{ with .Labels.instance }} at {{ . }}{{ end }} does not answer (up is VALUE)',
  format: 'number',
  impact: 'Its work waits or is done by other processes. Nothing is lost.',
  action: 'Start it again. If it stops by itself, the last line of its log is the reason.',
  runbook: 'service-down',
  dashboard: 'fleet',
  panel: 'Services up',
  whenAbsent: 'fires',
};

export const kafkaUnavailable: AlertRule = {
  name: 'TollgateKafkaUnavailable',
  severity: 'critical',
  query: 'sum(max by (topic) (tollgate_kafka_offline_partitions))',
  fires: 'above',
  threshold: 0,
  forMinutes: 1,
  // Consumers catch up, and the next heartbeat arrives, within a minute after Kafka is back.
  keepFiringMinutes: 2,
  summary: 'VALUE {partition|partitions} of Kafka cannot be used',
  format: 'count',
  impact:
    'Requests are served and limits enforced. Usage waits in the spools of the gateways; totals and notifications are late.',
  action: 'Start the brokers that are down. Watch the free disk of the spools until then.',
  where: {
    query: 'max by (topic) (tollgate_kafka_offline_partitions) > 0',
    text: '{{ .Labels.topic }} ({{ printf "%.3g" .Value }})',
  },
  runbook: 'kafka-unavailable',
  dashboard: 'pipeline',
  panel: 'Offline partitions',
  whenAbsent: 'keeps',
};

/** Evaluated by Grafana only: Prometheus cannot report its own absence. */
export const prometheusDown: AlertRule = {
  name: 'TollgatePrometheusDown',
  severity: 'critical',
  query: 'vector(1)',
  fires: 'below',
  threshold: 1,
  forMinutes: 1,
  summary: 'Grafana receives no data from Prometheus (result: VALUE)',
  format: 'number',
  impact: 'Requests are served. No other alert can fire or resolve, and dashboards have no current values.',
  action: 'Start Prometheus again, and check its disk. Until then, use the /metrics of each process.',
  runbook: 'prometheus-down',
  dashboard: 'fleet',
  panel: 'Services up',
  whenAbsent: 'fires',
};
