import { freePort } from '../servers/free-port.ts';
import type { ServiceName } from './services.ts';

/** Listeners of the services and of the sample API, each with its preferred port. */
export const preferredPorts = {
  gateway: 8080,
  api: 8081,
  admin: 8082,
  console: 8083,
  rls: 8084,
  gatewayOps: 8090,
  aggregatorOps: 8091,
  reconcilerOps: 8092,
  alerterOps: 8093,
  consoleOps: 8094,
  upstream: 9000,
} as const;

export type Listener = keyof typeof preferredPorts;
export type Ports = Readonly<Record<Listener, number>>;

/** Replaces ports that are in use by free ports. */
export async function choosePorts(): Promise<Ports> {
  const ports: Partial<Record<Listener, number>> = {};
  for (const [name, preferred] of Object.entries(preferredPorts) as [Listener, number][]) {
    ports[name] = await freePort(preferred);
  }
  return ports as Ports;
}

/** Port of `/readyz` and `/metrics` of a service. */
export function opsPort(name: ServiceName, ports: Ports): number {
  return name === 'admin' ? ports.admin : ports[`${name}Ops`];
}

/** All ports of a service, the port of its probes first. */
export function portsOf(name: ServiceName, ports: Ports): number[] {
  const ops = opsPort(name, ports);
  if (name === 'gateway') return [ops, ports.gateway, ports.api, ports.rls];
  return name === 'console' ? [ops, ports.console] : [ops];
}

export function movedPorts(ports: Ports): string[] {
  const names = Object.keys(preferredPorts) as Listener[];
  return names
    .filter((name) => ports[name] !== preferredPorts[name])
    .map((name) => `${name} ${preferredPorts[name]} → ${ports[name]}`);
}
