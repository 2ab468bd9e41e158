// The live log, and the question before what cannot be undone. Everything else works without this.
"use strict";

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
}

const lines = document.getElementById("log-lines");
if (lines) {
  const state = document.getElementById("log-state");
  const only = lines.dataset.canister;
  const most = 300;
  const stream = new EventSource(lines.dataset.stream);
  const show = (text) => { if (state.textContent !== text) state.textContent = text; };
  let fresh = false;
  stream.addEventListener("open", () => { fresh = true; show("Connected: what canisters print appears here."); });
  stream.addEventListener("error", () => show("Not connected; trying again."));
  stream.addEventListener("message", (event) => {
    if (fresh) { lines.replaceChildren(); fresh = false; }
    const line = JSON.parse(event.data);
    if (only && line.canister !== only) return;
    const item = document.createElement("li");
    const when = document.createElement("time");
    when.textContent = new Date(Number(BigInt(line.time) / 1000000n)).toISOString().slice(11, 19);
    const who = document.createElement("span");
    who.className = "who";
    who.textContent = line.canister.slice(0, 5);
    who.title = line.canister;
    const text = document.createElement("span");
    text.textContent = line.text;
    item.append(when, who, text);
    const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
    lines.append(item);
    while (lines.children.length > most) lines.firstChild.remove();
    if (atEnd) lines.scrollTop = lines.scrollHeight;
  });
  window.addEventListener("pagehide", () => stream.close());
}
