import { Type } from 'typebox';
import type { Static, TObject } from 'typebox';

/** The provider of the API, as tenants see it in pages and in notifications. */
export interface Provider {
  readonly name: string;
  /** Address of the support: `mailto:` or `https:`; null: none. */
  readonly support: string | null;
}

export const defaultProviderName = 'Tollgate';

/** Environment variables of the services whose pages or messages tenants read. */
export const providerVariables = {
  TOLLGATE_BRAND_NAME: Type.String({
    default: defaultProviderName,
    minLength: 1,
    maxLength: 60,
    pattern: '^[^\\u0000-\\u001f\\u007f]+$',
    description:
      'Name of the provider: in the header and the title of all pages, and in notifications to tenants.',
  }),
  TOLLGATE_SUPPORT_URL: Type.String({
    default: '',
    pattern: '^((https?://|mailto:)[^ ]+)?$',
    description:
      'Address of the support, `https:` or `mailto:`: in the footer, where a page advises to contact it, and in ' +
      'notifications to tenants.',
  }),
};

export function providerOf(config: Static<TObject<typeof providerVariables>>): Provider {
  const { TOLLGATE_BRAND_NAME: name, TOLLGATE_SUPPORT_URL: support } = config;
  return { name, support: support === '' ? null : support };
}
