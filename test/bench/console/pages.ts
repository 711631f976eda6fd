import { tenantOrders } from '../../../shared/tenants/list/select.ts';
import { consoleSamples } from '../../integration/access/console-routes.ts';
import { keySha256, tenantId } from './installation.ts';

export interface MeasuredPage {
  readonly name: string;
  readonly area: 'portal' | 'operator';
  /** Address of the page in a view of this tenant. */
  path(tenant: ViewedTenant): string;
}

export interface ViewedTenant {
  readonly number: number;
  /** Id of a refused request of the tenant. */
  readonly refusalId: string;
}

/** Pages that exist for certain contents of the stores only, which the benchmark does not have. */
const withoutContent = new Set(['/operator/dead-letters/replay']);

/** Pages with another range, grouping or order than the default one. */
const variants: readonly string[] = [
  ...['', '&by=route', '&by=user', '&by=model', '&by=route&compare=1'].map((by) => `/history?span=90d${by}`),
  ...['1h', '24h', '7d'].map((span) => `/history?span=${span}&by=route`),
  '/history?span=24h&by=user',
  ...tenantOrders.map((order) => `/operator/tenants?sort=${order}`),
];

/** All pages for signed-in users: the GET routes of the access tests, which have every route, and the variants. */
export function measuredPages(): readonly MeasuredPage[] {
  const routes = Object.keys(consoleSamples(''))
    .filter((route) => route.startsWith('GET '))
    .map((route) => route.slice('GET '.length))
    .filter((route) => !isOpen(route) && !route.endsWith('/live') && !withoutContent.has(route));
  return [...routes, ...variants].map((route) => ({
    name: route,
    area: route.startsWith('/operator') ? 'operator' : 'portal',
    path: (tenant) => withParameters(route, tenant),
  }));
}

function isOpen(route: string): boolean {
  const isSignIn = ['/', '/sign-in', '/operator', '/healthz'].includes(route);
  return isSignIn || route.startsWith('/assets/') || route.startsWith('/operator/oidc/');
}

function withParameters(route: string, { number, refusalId }: ViewedTenant): string {
  const values: Readonly<Record<string, string>> = {
    '/operator/tenants/:id': tenantId(number),
    '/operator/tenants/:id/delete': tenantId(number),
    '/keys/:id': keySha256(number).slice(0, 12),
    '/refusals/:id': refusalId,
    '/events/:id': refusalId,
    '/operator/decisions/:id': refusalId,
  };
  return route.replace(/:\w+/, () => {
    const value = values[route];
    if (value === undefined) throw new Error(`${route} needs a value of its parameter in this benchmark`);
    return value;
  });
}
