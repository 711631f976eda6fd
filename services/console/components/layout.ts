import type { FastifyReply } from 'fastify';
import type { Shell } from '../browser/shell.ts';
import { html } from './html.ts';
import type { Html, HtmlValue } from './html.ts';

export interface NavItem {
  readonly href: string;
  readonly label: string;
}

/**
 * The parts of a page that differ between pages; the header and the navigation are the same on all pages of an area.
 */
export interface PageContent {
  readonly title: string;
  readonly body: HtmlValue;
  /** True if the page has a chart. */
  readonly charts?: boolean;
  /** Status of the response; absent: 200. */
  readonly status?: number;
  /** Result of the last action. The page shows it above its content, and the next page does not show it again. */
  readonly notice?: Notice | null;
}

export interface PageFrame extends PageContent {
  /** Area of the page. It determines the title and the colour of the header. */
  readonly area: 'portal' | 'operator';
  readonly nav: readonly NavItem[];
  /** `href` of the navigation item of this page. */
  readonly here: string;
  /** Name of the signed-in tenant or operator; null on a sign-in page. */
  readonly who: string | null;
}

export interface Notice {
  readonly tone: 'good' | 'bad';
  readonly text: string;
}

/** Settings of htmx. The content security policy allows no inline style and no evaluated script. */
const htmxConfig = JSON.stringify({
  extensions: 'sse',
  history: false,
  includeIndicatorCSS: false,
  // A refreshed part leaves the details open that the visitor has opened.
  morphIgnore: ['data-htmx-powered', 'open'],
});

/**
 * Sends a page with a header that forbids caches to store it, because pages contain data of one tenant or for one
 * operator.
 */
export function sendPage(reply: FastifyReply, frame: PageFrame): FastifyReply {
  return reply
    .code(frame.status ?? 200)
    .header('cache-control', 'no-store')
    .type('text/html')
    .send(page(frame, reply.server.shell));
}

/** Sends a part of a page. Undefined: the page has no such part. */
export function sendPart(reply: FastifyReply, part: Html | undefined, status = 200): FastifyReply {
  return reply
    .code(part === undefined ? 404 : status)
    .header('cache-control', 'no-store')
    .type('text/html')
    .send(part?.markup ?? '');
}

/**
 * The complete HTML document of a page. It contains no inline script or style, because the content security policy
 * forbids both.
 */
export function page(frame: PageFrame, { brand, assetUrl }: Shell): string {
  const { title, area, body, charts = false, notice = null } = frame;
  const scripts = ['htmx.js', ...(charts ? ['uplot.js', 'chart.js'] : []), 'console.js'];
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="no-referrer" />
        <meta name="htmx-config" content="${htmxConfig}" />
        <title>${title} · ${brand.name}</title>
        <link rel="icon" href="${assetUrl(brand.logo === null ? 'icon.svg' : 'logo')}" />
        <link rel="stylesheet" href="${assetUrl('console.css')}" />
        ${scripts.map((script) => html`<script defer src="${assetUrl(script)}"></script>`)}
      </head>
      <body class="${area}">
        <a class="skip" href="#content">Skip to content</a>
        ${header(frame, { brand, assetUrl })}
        <main id="content" tabindex="-1">
          ${
            notice === null
              ? null
              : html`<p class="notice ${notice.tone}" role="${notice.tone === 'bad' ? 'alert' : 'status'}">
                  ${notice.text}
                </p>`
          }
          ${body}
        </main>
        <footer class="foot">
          <p>
            Limits are live from the rate limiter; totals and history come from the usage log. Times without a
            time zone are
            UTC.${brand.support === null ? null : html` <a href="${brand.support}" rel="noreferrer">Support</a>`}
          </p>
        </footer>
      </body>
    </html>`.markup;
}

function header({ area, nav, here, who }: PageFrame, { brand, assetUrl }: Shell): Html {
  const base = area === 'portal' ? '' : '/operator';
  return html`<header class="top">
    <div class="top-row">
      <a class="brand" href="${base === '' ? '/' : base}">
        ${brand.logo === null ? mark : html`<img class="logo" src="${assetUrl('logo')}" alt="" height="28" />`}
        <span>${brand.name}</span>
        ${area === 'operator' ? html`<span class="area">Operator</span>` : null}
      </a>
      ${
        who === null
          ? null
          : html`<div class="who">
              <span class="who-name" title="${who}">${who}</span>
              <form method="post" action="${base}/sign-out">
                <button class="quiet" type="submit">Sign out</button>
              </form>
            </div>`
      }
    </div>
    ${
      nav.length === 0 || who === null
        ? null
        : html`<nav class="tabs" aria-label="Sections">
            ${nav.map(
              ({ href, label }) =>
                html`<a href="${href}" ${href === here ? html`aria-current="page"` : null}>${label}</a>`,
            )}
          </nav>`
    }
  </header>`;
}

const mark = html`<svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
  <rect class="brand-post" x="3" y="9" width="6" height="20" rx="2" />
  <rect class="brand-bar" x="8" y="11" width="22" height="6" rx="3" />
  <path class="brand-stripe" d="M14 11h4l-3 6h-4zM22 11h4l-3 6h-4z" />
  <circle class="brand-lamp" cx="6" cy="6" r="3" />
</svg>`;

/** Block that replaces an empty list. It says what is empty, and what the visitor can do. */
export function emptyState(title: string, text: HtmlValue): Html {
  return html`<div class="empty">
    <p class="empty-title">${title}</p>
    <p>${text}</p>
  </div>`;
}

/** Block that replaces a part of the page that could not be read. */
export function failedState(what: string): Html {
  return html`<div class="empty failed" role="alert">
    <p class="empty-title">${what} cannot be shown right now</p>
    <p>
      The store behind it did not answer, so there is no figure to show, not even a zero. Your requests are
      not affected. Reload in a moment.
    </p>
  </div>`;
}
