/**
 * Settings of an installation: addresses that alerts and configuration files contain. After a change, run `npm run
 * dashboards` to generate the files in `generated/` again.
 */
export const settings: Settings = {
  grafanaUrl: 'http://localhost:3000',
  alertNotifier: 'alertmanager',
  onCallEmail: null,
  teamEmail: null,
};

export interface Settings {
  /** URL of Grafana for on-call. All links in alerts and runbooks begin with it. */
  readonly grafanaUrl: string;
  /** The one system that sends the alerts that Prometheus evaluates: docs/decisions/132-one-system-sends-an-alert.md. */
  readonly alertNotifier: Notifier;
  /**
   * Addresses to which Grafana sends its notifications besides the webhook; null for none. They need a mail server in
   * Grafana (`GF_SMTP_*`).
   */
  readonly onCallEmail: string | null;
  readonly teamEmail: string | null;
}

/** `grafana` is for installations without Alertmanager. */
export type Notifier = 'alertmanager' | 'grafana';

/** URLs to which Alertmanager and Grafana post notifications: critical alerts to on-call, all others to the team. */
export interface Receivers {
  readonly onCallUrl: string;
  readonly teamUrl: string;
}

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
  readonly receivers: Receivers;
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
  receivers: { onCallUrl: 'http://localhost:9098/on-call', teamUrl: 'http://localhost:9098/team' },
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
  receivers: {
    onCallUrl: 'http://host.docker.internal:9098/on-call',
    teamUrl: 'http://host.docker.internal:9098/team',
  },
};
