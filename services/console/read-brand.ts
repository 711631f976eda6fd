import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import type { Static } from 'typebox';
import { TollgateError } from '../../shared/runtime/errors.ts';
import { providerOf } from '../../shared/runtime/provider.ts';
import type { Brand } from './browser/brand.ts';
import type { environment } from './environment.ts';

const imageTypes: Readonly<Record<string, string>> = {
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webp': 'image/webp',
};
const logoBytesMax = 256 * 1024;

/** The brand as the environment states it. Throws if the logo cannot be used, so that the process does not start. */
export async function readBrand(config: Static<typeof environment>): Promise<Brand> {
  const { TOLLGATE_BRAND_COLOUR: colour } = config;
  return {
    ...providerOf(config),
    logo: await readLogo(config.TOLLGATE_BRAND_LOGO),
    colour: colour === '' ? null : colour,
  };
}

async function readLogo(path: string): Promise<Brand['logo']> {
  if (path === '') return null;
  const type = imageTypes[extname(path).toLowerCase()];
  if (type === undefined) throw unusable('is not an SVG, PNG or WebP file');
  let content: Buffer;
  try {
    content = await readFile(path);
  } catch (cause) {
    throw unusable('cannot be read', cause);
  }
  if (content.length > logoBytesMax) throw unusable(`has more than ${logoBytesMax} bytes`);
  return { type, content };

  function unusable(reason: string, cause?: unknown): TollgateError {
    return new TollgateError('CONFIG_INVALID', `TOLLGATE_BRAND_LOGO: ${path} ${reason}.`, { cause });
  }
}
