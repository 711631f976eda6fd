import { clickhouseType, clickhouseUid, prometheusUid } from './boards/sources.ts';
import { folder } from './settings.ts';
import type { Place } from './settings.ts';

/** Data sources: the file for `provisioning/datasources`. */
export function datasources(place: Place): unknown {
  return {
    apiVersion: 1,
    datasources: [
      {
        name: 'Tollgate Prometheus',
        uid: prometheusUid,
        type: 'prometheus',
        access: 'proxy',
        url: place.prometheusUrl,
        isDefault: true,
        jsonData: { httpMethod: 'POST', timeInterval: '5s' },
      },
      {
        name: 'Tollgate ClickHouse',
        uid: clickhouseUid,
        type: clickhouseType,
        access: 'proxy',
        jsonData: {
          host: place.clickhouseHost,
          port: place.clickhousePort,
          protocol: 'http',
          secure: false,
          defaultDatabase: 'tollgate',
          username: 'default',
          dialTimeout: '10',
          queryTimeout: '60',
        },
        secureJsonData: { password: '' },
      },
    ],
  };
}

/** Dashboards: the file for `provisioning/dashboards`, which lists the folders with the JSON files. */
export function dashboardProviders(path: string): unknown {
  const provider = {
    orgId: 1,
    type: 'file',
    disableDeletion: false,
    updateIntervalSeconds: 30,
    allowUiUpdates: false,
  };
  return {
    apiVersion: 1,
    providers: [
      { name: 'tollgate', folder, ...provider, options: { path: `${path}/dashboards` } },
      {
        name: 'tollgate-runbooks',
        folder: `${folder} runbooks`,
        ...provider,
        options: { path: `${path}/runbooks` },
      },
    ],
  };
}
