"use strict";
// Fetches the page anew while what it shows still changes, and puts the part that may change in place.
// Without this script the page is complete, and asks for itself again.
const live = document.getElementById("live");
let timer = 0;
let asked = false;

async function refresh() {
  asked = true;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  asked = false;
  if (!answer) return;
  if (new URL(answer.url).pathname === "/sign-in") { location.reload(); return; }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
  if (!fresh) return;
  const ended = live.dataset.events && !fresh.dataset.events;
  if (ended) { location.reload(); return; }  // the buttons outside change, too
  replace(live, fresh);
  if (!fresh.dataset.every) clearInterval(timer);
}

function replace(old, fresh) {
  const focused = document.activeElement && document.activeElement.id;
  const checked = [...old.querySelectorAll("input:checked")].map((input) => input.id);
  const open = [...old.querySelectorAll("details")].map((details) => details.open);
  old.replaceChildren(...fresh.childNodes);
  for (const id of checked) { const input = document.getElementById(id); if (input) input.checked = true; }
  old.querySelectorAll("details").forEach((details, index) => { if (open[index]) details.open = true; });
  const again = focused && document.getElementById(focused);
  if (again) again.focus();
}

function watch() {
  // Every event says that something changed; it is shown at most once a second.
  let due = 0;
  const source = new EventSource(live.dataset.events);
  source.addEventListener("analysis", () => {
    if (due) return;
    due = setTimeout(() => { due = 0; refresh(); }, asked ? 1000 : 600);
  });
  source.addEventListener("error", () => {  // no events, through some proxies: ask now and then
    if (source.readyState === EventSource.CLOSED) timer = setInterval(refresh, 3000);
  });
}

function estimateAsFilledIn() {
  const form = document.getElementById("analysis");
  const place = document.getElementById("estimate");
  if (!form || !place) return;
  let due = 0;
  const ask = async () => {
    const body = new URLSearchParams(new FormData(form));
    body.set("action", "estimate");
    const answer = await fetch(form.getAttribute("action"), {  // `form.action` is the button of that name
      method: "POST",
      body,
    }).catch(() => null);
    if (answer && answer.status === 409) later(1500);  // a worker has yet to look into a file
    if (!answer || !answer.ok) { place.replaceChildren(); return; }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("estimate");
    if (fresh) place.replaceChildren(...fresh.childNodes);
  };
  const later = (milliseconds) => { clearTimeout(due); due = setTimeout(ask, milliseconds); };
  form.addEventListener("change", () => later(400));
  if ([...form.querySelectorAll("select[name^=role-]")].some((select) => select.value)) ask();
}

if (live && live.dataset.events) watch();
if (live && live.dataset.every) timer = setInterval(refresh, Number(live.dataset.every));
estimateAsFilledIn();
