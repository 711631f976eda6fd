/**
 * What an installation changes before it generates: addresses that stand in alerts and configuration.
 * `npm run dashboards` writes everything below `generated/` anew.
 */
export const settings = {
  /** Where on-call people reach Grafana: links in alerts begin with it. */
  grafanaUrl: 'http://localhost:3000',
  /** Grafana's contact points. */
  onCallEmail: 'on-call@example.com',
  teamEmail: 'team@example.com',
} as const;

/** What Alertmanager notifies, in its webhook format: of critical alerts, and of the others. */
export const receivers = {
  onCallUrl: 'http://localhost:9098/on-call',
  teamUrl: 'http://localhost:9098/team',
} as const;

/** The folder in Grafana of dashboards and rules. */
export const folder = 'Tollgate';

/** Where a process finds the others: beside `npm start`, and among the containers of docker-compose.yml. */
export interface Place {
  readonly prometheusUrl: string;
  readonly alertmanager: string;
  readonly clickhouseHost: string;
  readonly clickhousePort: number;
  /** host:port of each service's /metrics. */
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
    console: '127.0.0.1:8082',
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
    console: 'console:8082',
  },
  rulesFile: 'rules.yml',
};
