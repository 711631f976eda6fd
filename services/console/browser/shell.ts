import type { FastifyInstance } from 'fastify';
import { loadAssets, registerAssets } from './assets.ts';
import { brandSheet } from './brand.ts';
import type { Brand } from './brand.ts';

/** What all pages share: the brand, and the addresses of the files that they load. */
export interface Shell {
  readonly brand: Brand;
  readonly assetUrl: (name: string) => string;
}

declare module 'fastify' {
  interface FastifyInstance {
    shell: Shell;
  }
}

export function registerShell(app: FastifyInstance, brand: Brand): void {
  const assets = loadAssets(brandSheet(brand), brand.logo);
  app.decorate('shell', { brand, assetUrl: (name) => assets.url(name) });
  registerAssets(app, assets);
}
