/**
 * Settings of an installation: addresses that alerts and configuration files contain. After a change, run `npm run
 * dashboards` to generate the files in `generated/` again.
 */
export const settings = {
  /** URL of Grafana for on-call. Links in alerts begin with it. */
  grafanaUrl: 'http://localhost:3000',
  /** Grafana's contact points. */
  onCallEmail: 'on-call@example.com',
  teamEmail: 'team@example.com',
} as const;

/** Webhooks to which Alertmanager sends alerts: critical alerts to on-call, all others to the team. */
export const receivers = {
  onCallUrl: 'http://localhost:9098/on-call',
  teamUrl: 'http://localhost:9098/team',
} as const;

/** Grafana folder of the dashboards and alert rules. */
export const folder = 'Tollgate';

/** Addresses of the other processes under `npm start`, or of the containers in docker-compose.yml. */
export interface Place {
  readonly prometheusUrl: string;
  readonly alertmanager: string;
  readonly clickhouseHost: string;
  readonly clickhousePort: number;
  /** Address (host:port) of each service's /metrics. */
  readonly services: Readonly<Record<string, string>>;
  readonly rulesFile: string;
}

export const loopback: Place = {
  prometheusUrl: 'http://127.0.0.1:9090',
  alertmanager: '127.0.0.1:9093',
  clickhouseHost: '127.0.0.1',
  clickhousePort: 8123,
  services: {
    gateway: '127.0.0.1:8090',
    aggregator: '127.0.0.1:8091',
    reconciler: '127.0.0.1:8092',
    alerter: '127.0.0.1:8093',
    admin: '127.0.0.1:8082',
    console: '127.0.0.1:8094',
  },
  rulesFile: 'rules.yml',
};

export const containers: Place = {
  prometheusUrl: 'http://prometheus:9090',
  alertmanager: 'alertmanager:9093',
  clickhouseHost: 'clickhouse',
  clickhousePort: 8123,
  services: {
    gateway: 'gateway:8090',
    aggregator: 'aggregator:8091',
    reconciler: 'reconciler:8092',
    alerter: 'alerter:8093',
    admin: 'admin:8082',
    console: 'console:8094',
  },
  rulesFile: 'rules.yml',
};
