/** Behaviour that all pages share. Pages are complete without it. */
document.addEventListener('htmx:sse:error', ({ detail, target }) => {
  // The session has ended: the page is loaded again, which shows the sign-in.
  if (detail.status === 401) location.reload();
  showStopped(target, true);
});
document.addEventListener('htmx:sse:after:message', ({ target }) => showStopped(target, false));
document.addEventListener('session-ended', () => location.reload());
document.addEventListener('htmx:after:swap', addCopyButtons);
document.addEventListener('input', ({ target }) => chooseDates(target));
addCopyButtons();

function showStopped(source, stopped) {
  const notice = source.closest?.('[data-live]')?.querySelector('[data-live-stopped]');
  if (notice) notice.hidden = !stopped;
}

/** A date that a person enters applies only with the time “From … to …”. */
function chooseDates({ type, form }) {
  const span = type === 'date' ? form?.elements.namedItem('span') : null;
  if (span) span.value = 'custom';
}

function addCopyButtons() {
  for (const sample of document.querySelectorAll('.sample:not([data-copy])')) {
    sample.dataset.copy = '';
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'quiet';
    button.textContent = 'Copy';
    button.addEventListener('click', () => copy(sample, button));
    sample.append(button);
  }
}

async function copy(sample, button) {
  try {
    await navigator.clipboard.writeText(sample.querySelector('code').textContent);
    button.textContent = 'Copied';
  } catch {
    button.textContent = 'Select and copy by hand';
  }
  setTimeout(() => {
    button.textContent = 'Copy';
  }, 2000);
}
