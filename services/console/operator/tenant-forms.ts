import { boostPhase } from '../../../shared/domain/boost.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { apiKeysOf } from '../../../shared/domain/tenant.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { limitNames } from '../../../shared/tenants/record/policy-violations.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { durationForReading } from '../../../shared/domain/time/format-duration.ts';
import { title } from '../components/format.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { isExpired } from '../../../shared/tenants/api-keys.ts';
import { boostSize } from '../../../shared/tenants/boosts.ts';
import { blockNow } from '../../../shared/tenants/block.ts';

export interface TenantForms {
  readonly id: string;
  readonly path: string;
  readonly record: TenantRecord | null;
  readonly policy: Policy;
  readonly nowMs: number;
}

export function planSection({ path, record, policy }: TenantForms): Html {
  const overrides = Object.entries(record?.overrides ?? {})
    .map(([name, value]) => `${name} = ${value}`)
    .join('\n');
  return html`<section class="card">
    <h2 class="card-head">Plan and own limits</h2>
    <form method="post" action="${path}/plan">
      <div class="field">
        <label for="plan">Plan</label>
        <select id="plan" name="plan">
          <option value="">As its token says</option>
          ${[...policy.plans.keys()].map(
            (name) =>
              html`<option value="${name}" ${name === record?.plan ? html`selected` : null}>
                ${title(name)}
              </option>`,
          )}
        </select>
      </div>
      <div class="field">
        <label for="display-name">Name</label>
        <input id="display-name" name="display_name" maxlength="200" value="${record?.display_name ?? ''}" />
      </div>
      <div class="field">
        <label for="overrides">Own limits</label>
        <textarea class="mono" id="overrides" name="overrides" placeholder="minute = 500">
${overrides}</textarea>
        <p class="hint">One a line, for good. Names: ${limitNames(policy).join(', ')}.</p>
      </div>
      <button type="submit">Save</button>
    </form>
  </section>`;
}

export function boostSection({ path, record, policy, nowMs }: TenantForms): Html {
  const boosts = (record?.boosts ?? []).toReversed();
  return html`<section class="card" id="boosts">
    <h2 class="card-head">Raised limits</h2>
    ${
      boosts.length === 0
        ? html`<p class="soft">None. A raised limit ends by itself.</p>`
        : html`<ul class="list">
            ${boosts.map((boost) => {
              const phase = boostPhase(boost, nowMs);
              return html`<li>
                <strong>${title(boost.limit)}</strong> ${boostSize(boost)}
                <span class="badge ${phase === 'running' ? 'good' : 'plain'}">${phase}</span>
                ${phase === 'running' ? html`<span class="soft">ends in ${durationForReading(Date.parse(boost.ends_at) - nowMs)}</span>` : null}<br />
                <span class="soft small"
                  >${formatTime(boost.starts_at)} to ${formatTime(boost.ends_at)} · ${boost.actor}:
                  ${boost.reason}</span
                >
                ${
                  phase === 'ended'
                    ? null
                    : html`<form class="plain" method="post" action="${path}/boosts/${boost.id}/end">
                        <button class="quiet" type="submit">End now</button>
                      </form>`
                }
              </li>`;
            })}
          </ul>`
    }
    <details class="fold">
      <summary>Raise a limit for a time</summary>
      <form method="post" action="${path}/boosts">
        <div class="row">
          <div class="field">
            <label for="boost-limit">Limit</label>
            <select id="boost-limit" name="limit">
              ${limitNames(policy).map((name) => html`<option value="${name}">${title(name)}</option>`)}
            </select>
          </div>
          <div class="field">
            <label for="boost-how">How</label>
            <select id="boost-how" name="how">
              <option value="multiply">Multiply by</option>
              <option value="set_to">Set to</option>
            </select>
          </div>
          <div class="field">
            <label for="boost-value">Value</label>
            <input id="boost-value" name="value" type="number" step="any" min="0" value="2" required />
          </div>
          <div class="field">
            <label for="boost-for">For</label>
            <select id="boost-for" name="for">
              <option value="1h">1 hour</option>
              <option value="1d">1 day</option>
              <option value="7d" selected>1 week</option>
              <option value="30d">30 days</option>
            </select>
          </div>
        </div>
        <div class="field">
          <label for="boost-reason">Why</label>
          <input id="boost-reason" name="reason" required maxlength="500" placeholder="Launch week" />
        </div>
        <button type="submit">Raise</button>
      </form>
    </details>
  </section>`;
}

export function blockSection({ path, record, nowMs }: TenantForms): Html {
  const held = blockNow(record, nowMs);
  if (held !== null)
    return html`<section class="card stack">
      <h2>Blocked</h2>
      <p>
        ${held.until === null ? 'Until lifted' : `Until ${formatTime(held.until)}`}: ${held.reason}
        <span class="soft small">(${held.actor})</span>
      </p>
      <form method="post" action="${path}/unblock"><button type="submit">Lift the block</button></form>
    </section>`;
  return html`<section class="card">
    <h2 class="card-head">Block</h2>
    <form method="post" action="${path}/block">
      <div class="field">
        <label for="block-for">How long</label>
        <select id="block-for" name="for">
          <option value="1h">1 hour</option>
          <option value="1d">1 day</option>
          <option value="7d">1 week</option>
          <option value="">Until lifted</option>
        </select>
      </div>
      <div class="field">
        <label for="block-reason">Why</label>
        <input id="block-reason" name="reason" required maxlength="500" />
      </div>
      <button class="danger" type="submit">Block every request</button>
    </form>
  </section>`;
}

export function resetSection({ path, id, record }: TenantForms): Html {
  return html`<section class="card">
    <h2 class="card-head">Reset counters</h2>
    ${record?.reset === undefined ? null : html`<p class="soft small">Last reset by ${record.reset.actor}, ${formatTime(record.reset.at_ms)}</p>`}
    <form method="post" action="${path}/reset">
      <div class="field">
        <label for="reset-confirm">Type the tenant’s id to confirm</label>
        <input
          class="mono"
          id="reset-confirm"
          name="confirm"
          required
          autocomplete="off"
          placeholder="${id}"
        />
        <p class="hint">Every window becomes empty. History and cost stay.</p>
      </div>
      <div class="field">
        <label for="reset-reason">Why</label>
        <input id="reset-reason" name="reason" required maxlength="500" />
      </div>
      <button class="danger" type="submit">Reset</button>
    </form>
  </section>`;
}

export function keySection({ path, record, nowMs }: TenantForms): Html {
  const keys = record === null ? [] : apiKeysOf(record);
  return html`<section class="card stack">
    <h2>API keys</h2>
    ${
      keys.length === 0
        ? html`<p class="soft">None.</p>`
        : html`<ul class="list">
            ${keys.map(
              (key) =>
                html`<li>
                  <code>${key.sha256.slice(0, 12)}…</code> ${key.name ?? null}
                  ${key.expires_at === undefined ? null : keyEnd(key.expires_at, isExpired(key, nowMs))}
                  <form class="plain" method="post" action="${path}/api-keys/${key.sha256}/delete">
                    <button class="quiet" type="submit">Delete</button>
                  </form>
                </li>`,
            )}
          </ul>`
    }
    <form method="post" action="${path}/api-keys">
      <div class="row">
        <div class="field">
          <label for="key-name">What for</label>
          <input id="key-name" name="name" maxlength="200" placeholder="CI" />
        </div>
        <div class="field">
          <label for="key-for">Good for</label>
          <select id="key-for" name="for">
            <option value="">Ever</option>
            <option value="1d">1 day</option>
            <option value="7d">1 week</option>
            <option value="90d">90 days</option>
            <option value="365d">1 year</option>
          </select>
        </div>
      </div>
      <button class="second" type="submit">Create a key</button>
    </form>
  </section>`;
}

function keyEnd(end: string, expired: boolean): Html {
  return expired
    ? html`<span class="badge plain">expired</span>`
    : html`<span class="soft small">until ${formatTime(end)}</span>`;
}

export function portalSection({ path }: TenantForms): Html {
  return html`<section class="card stack">
    <h2>Portal link</h2>
    <p class="soft">
      Opens the tenant’s own portal without a key. Every holder of the link can sign in until it expires or is
      ended.
    </p>
    <form method="post" action="${path}/portal-link">
      <button class="second" type="submit">Make a link for 24 hours</button>
    </form>
    <form method="post" action="${path}/sessions/end">
      <button class="quiet" type="submit">End all its links and sessions</button>
    </form>
  </section>`;
}
