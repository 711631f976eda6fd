import type { FastifyRequest } from 'fastify';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';

/**
 * Parts of a page that read a store which may be slow. All parts of a page share one budget of time. A part that is
 * not complete within it is sent as a placeholder, which the browser replaces by the part as soon as it is complete.
 */
export interface Parts {
  /** The part, or its placeholder. `what` names the part in the placeholder: `Today's totals`. */
  render(id: string, what: string, make: () => Promise<Html>, options?: PartOptions): Promise<Html>;
  /**
   * The part that the request names; null if the request is for the complete page. It is undefined if the page has no
   * part of that name.
   */
  readonly wanted: Html | null | undefined;
}

export interface PartOptions {
  /** The browser requests the part again after this time; absent: never. */
  readonly refreshMs?: number;
}

/** Longest time that the parts of a page may delay the page. */
const budgetMsDefault = 250;

/** `url` is the address of the page, if it is not the address of the request: for the page that answers a form. */
export function createParts(
  request: FastifyRequest,
  {
    budgetMs = budgetMsDefault,
    url = request.url,
  }: { readonly budgetMs?: number; readonly url?: string } = {},
): Parts {
  const query = request.query as { part?: string; wait?: string };
  const { part: wantedId } = query;
  const waits = query.wait !== undefined;
  let wanted: Html | null | undefined = wantedId === undefined ? null : undefined;
  let budget: Promise<null> | null = null;
  return {
    get wanted() {
      return wanted;
    },
    async render(id, what, make, options = {}) {
      const partOf = (content: Html): Html => complete(id, content, url, options);
      if (wantedId !== undefined) {
        if (id === wantedId) wanted = partOf(await make());
        return html``;
      }
      if (waits) return partOf(await make());
      budget ??= new Promise((resolve) => setTimeout(resolve, budgetMs, null).unref());
      const making = make();
      // A part that fails after its placeholder was sent fails again when the browser requests it.
      making.catch(() => undefined);
      const made = await Promise.race([making, budget]);
      return made === null ? placeholder(id, what, url) : partOf(made);
    },
  };
}

function complete(id: string, content: Html, url: string, { refreshMs }: PartOptions): Html {
  if (refreshMs === undefined) return html`<div class="part" id="part-${id}">${content}</div>`;
  return html`<div
    class="part"
    id="part-${id}"
    hx-get="${withQuery(url, 'part', id)}"
    hx-trigger="every ${refreshMs}ms"
    hx-swap="innerMorph"
    hx-select="#part-${id} > *"
  >
    ${content}
  </div>`;
}

function placeholder(id: string, what: string, url: string): Html {
  return html`<div
    class="part loading"
    id="part-${id}"
    hx-get="${withQuery(url, 'part', id)}"
    hx-trigger="load"
    hx-swap="outerHTML"
  >
    <p role="status">${what}: loading…</p>
    <noscript><a href="${withQuery(url, 'wait', '1')}">Wait for all figures</a></noscript>
  </div>`;
}

/** The address of the same page with one more field in its query. */
function withQuery(url: string, name: string, value: string): string {
  const [path = '', query = ''] = url.split('?', 2);
  const fields = new URLSearchParams(query);
  fields.set(name, value);
  return `${path}?${fields.toString()}`;
}
