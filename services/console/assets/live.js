/**
 * Refreshes the cards of limits: fetches new figures every two seconds while the page is visible, and updates
 * countdowns between two fetches.
 */
const fetchEveryMs = 2000;
const root = document.querySelector('[data-live]');
const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

/**
 * Difference between the server's clock and the visitor's clock in milliseconds. It corrects countdowns if the
 * visitor's clock is wrong.
 */
let aheadMs = 0;
let failures = 0;

if (root !== null) {
  tick();
  setInterval(tick, 250);
  void refresh();
}

async function refresh() {
  if (document.visibilityState === 'visible') await fetchOnce();
  setTimeout(refresh, Math.min(fetchEveryMs * 2 ** Math.min(failures, 4), 30_000));
}

async function fetchOnce() {
  try {
    const response = await fetch(root.dataset.live, { signal: AbortSignal.timeout(8000) });
    if (response.status === 401) {
      location.reload();
      return;
    }
    if (!response.ok) throw new Error(`status ${response.status}`);
    const snapshot = await response.json();
    aheadMs = snapshot.as_of_ms - Date.now();
    failures = 0;
    show(snapshot);
  } catch {
    failures += 1;
    showError(failures > 1 ? 'Live figures have stopped. Trying again…' : null);
  }
}

function show(snapshot) {
  showError(
    snapshot.limits === null
      ? 'Live usage cannot be read right now. The figures below are the last ones known.'
      : null,
  );
  for (const limit of snapshot.limits ?? []) showLimit(limit);
  const today = document.querySelector('[data-today]');
  if (today !== null && snapshot.today !== null) {
    const { requests, limited, errors, units } = snapshot.today;
    for (const [slot, value] of Object.entries({
      requests,
      served: requests - limited,
      limited,
      errors,
      units,
    }))
      setText(today, slot, value === null ? 'unknown' : whole.format(value));
  } else if (snapshot.today !== null && snapshot.today.requests > 0) {
    drawAnew();
  }
  if (snapshot.limits?.length > 0 && document.querySelector('[data-limit]') === null) drawAnew();
  const fresh = document.querySelector('[data-fresh] time');
  if (fresh !== null && snapshot.complete_through !== null) {
    fresh.dateTime = snapshot.complete_through;
    fresh.textContent = stamp(snapshot.complete_through);
  }
}

/**
 * Reloads a page that was rendered without figures. Only the usage page is reloaded, because a visitor may be filling
 * in the form of another page.
 */
function drawAnew() {
  if (root.dataset.live === '/data/usage') location.reload();
}

function showLimit(limit) {
  const card = [...document.querySelectorAll('[data-limit]')].find((one) => one.dataset.limit === limit.key);
  if (card === undefined) return;
  setText(card, 'used', whole.format(limit.used));
  setText(card, 'limit', whole.format(limit.limit));
  setText(card, 'remaining', whole.format(limit.remaining));
  const part = limit.limit > 0 ? limit.used / limit.limit : 1;
  const bar = card.querySelector('.bar');
  bar.classList.toggle('near', part >= 0.8 && part < 1);
  bar.classList.toggle('full', part >= 1);
  bar.setAttribute('aria-valuenow', limit.used);
  bar.setAttribute('aria-valuemax', limit.limit);
  bar.setAttribute('aria-valuetext', `${whole.format(limit.used)} of ${whole.format(limit.limit)}`);
  bar.querySelector('.fill').setAttribute('width', Math.min(100, Math.round(part * 1000) / 10));
  const reset = card.querySelector('[data-slot=reset]');
  reset.dataset.resetAt = limit.reset_at_ms;
  reset.dataset.unused = limit.used === 0 ? 'yes' : '';
  showState(card, limit, part);
}

function showState(card, limit, part) {
  const slot = card.querySelector('[data-slot=state]');
  const [tone, text] = limit.shadow
    ? ['plain', 'not enforced']
    : limit.retry_after_ms !== 0
      ? ['bad', 'limit reached']
      : part >= 0.8
        ? ['warn', 'close to the limit']
        : ['', ''];
  if (slot.textContent.trim() === text) return;
  slot.replaceChildren();
  if (text === '') return;
  const badge = document.createElement('span');
  badge.className = `badge ${tone}`;
  badge.textContent = text;
  slot.append(badge);
}

function tick() {
  for (const reset of document.querySelectorAll('[data-reset-at]')) {
    const leftMs = Number(reset.dataset.resetAt) - Date.now() - aheadMs;
    const calendar = reset.dataset.calendar !== '';
    const idle = !calendar && (leftMs <= 0 || reset.dataset.unused === 'yes');
    const text = idle
      ? 'all available'
      : `${calendar ? 'starts anew' : 'all available again'} in ${span(leftMs)}`;
    if (reset.textContent !== text) reset.textContent = text;
  }
}

function span(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days ${hours % 24} h`;
}

function stamp(time) {
  const text = new Intl.DateTimeFormat('en-GB', {
    timeZone: 'UTC',
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  }).format(new Date(time));
  return `${text} UTC`;
}

function showError(text) {
  const line = root.querySelector('[data-live-error]');
  line.hidden = text === null;
  if (text !== null && line.textContent !== text) line.textContent = text;
}

function setText(parent, slot, text) {
  const element = parent.querySelector(`[data-slot=${slot}]`);
  if (element !== null && element.textContent !== text) element.textContent = text;
}
