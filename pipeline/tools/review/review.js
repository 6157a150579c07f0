"use strict";
// Names come from users: they are set as text alone, never as HTML.
const at = (id) => document.getElementById(id);
let all = [], shown = [], labels = [], decided = {}, place = 0, busy = false;
const chosen = { label: "", source: "", split: "", role: "" };

async function load() {
  const answer = await fetch("state");
  const state = await answer.json();
  all = state.items; labels = state.labels; decided = state.decided;
  for (const name of Object.keys(chosen)) addFilter(name);
  for (const [key, word, act] of [["k", "keep", () => decide("keep")], ["d", "drop", () => decide("drop")],
    ["n", "not sure", () => decide("not_sure")], ["u", "undo", undo], ["←", "back", () => go(-1)], ["→", "next", () => go(1)]]) {
    const button = document.createElement("button");
    button.textContent = `${word} (${key})`;
    button.addEventListener("click", () => { act(); button.blur(); });
    at("actions").append(button, " ");
  }
  filter();
}

function addFilter(name) {
  const values = [...new Set(all.map((item) => item[name]))].sort();
  const select = document.createElement("select");
  select.setAttribute("aria-label", name);
  select.append(new Option(`all ${name}s`, ""), ...values.filter(Boolean).map((value) => new Option(value, value)));
  select.addEventListener("change", () => { chosen[name] = select.value; select.blur(); filter(); });
  at("filters").append(select);
}

function filter() {
  shown = all.filter((item) => Object.entries(chosen).every(([name, value]) => !value || item[name] === value));
  const open = shown.findIndex((item) => !(item.sha256 in decided));
  place = open < 0 ? 0 : open;
  draw();
}

function draw() {
  const item = shown[place];
  const done = shown.filter((one) => one.sha256 in decided).length;
  let said = `${done} of ${shown.length} decided`;
  if (all.some((one) => one.is_error !== null)) {
    const changed = (error) => all.filter((one) => one.is_error === error && decided[one.sha256]
      && ["relabel", "drop"].includes(decided[one.sha256].decision)).length;
    said += `; changed: ${changed(true)} errors, ${changed(false)} correct predictions`;
  }
  at("progress").textContent = said;
  if (!item) { at("picture").removeAttribute("src"); return; }
  at("picture").src = `picture/${item.sha256}`;
  at("picture").alt = item.id;
  at("label").textContent = item.label || "none";
  at("model").textContent = item.predicted
    ? item.predicted + (item.confidence === null ? "" : ` (${Math.round(100 * item.confidence)} %)`) : "no prediction";
  at("place").textContent = `${item.id} · ${item.role} · ${item.split}`;
  const mine = decided[item.sha256];
  at("yours").textContent = mine ? `saved: ${mine.decision.replace("_", " ")} ${mine.to}` : "";
  const next = shown[place + 1];
  if (next) new Image().src = `picture/${next.sha256}`;
  list();
  beside(item);
}

// What looks like it, once the answer is there and the image is still the one that is shown.
async function beside(item) {
  at("near").replaceChildren();
  let found = [];
  try { found = await (await fetch(`near/${item.sha256}`)).json(); } catch { return; }
  if (shown[place] !== item) return;
  at("near").replaceChildren(...found.map((one) => {
    const line = document.createElement("li"), image = document.createElement("img"), name = document.createElement("span");
    image.src = `picture/${one.sha256}`;
    image.alt = one.id;
    image.title = `${one.id} · ${one.split}`;
    name.textContent = (one.copy ? "copy: " : "") + (one.label || "none");
    if (one.label !== item.label) line.className = "other";
    line.append(image, name);
    return line;
  }));
}

function list() {
  const item = shown[place], text = at("search").value.trim().toLowerCase();
  const fits = labels.filter((label) => item && label !== item.label && label.toLowerCase().includes(text));
  at("classes").replaceChildren(...fits.slice(0, 200).map((label, number) => {
    const button = document.createElement("button"), line = document.createElement("li");
    button.textContent = number < 9 ? `${label} (${number + 1})` : label;
    button.dataset.label = label;
    button.addEventListener("click", () => { decide("relabel", label); button.blur(); });
    line.append(button);
    return line;
  }));
}

async function post(where, value) {
  if (busy) return null;
  busy = true;
  try {
    const answer = await fetch(where, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });
    at("message").textContent = answer.ok ? "" : `Not saved: ${await answer.text()}`;
    return answer.ok ? await answer.json() : null;
  } catch {
    at("message").textContent = "Not saved: the server does not answer. Start `pipeline review` again.";
    return null;
  } finally { busy = false; }
}

async function decide(decision, to = "") {
  const item = shown[place];
  const saved = item && await post("decide", { sha256: item.sha256, decision, to, why: at("why").value.trim() });
  if (!saved) return;
  at("why").value = "";
  decided[saved.sha256] = saved.decision;
  at("search").value = "";
  at("search").blur();
  if (place + 1 < shown.length) place += 1;
  draw();
}

async function undo() {
  const back = await post("undo", {});
  if (!back) return;
  if (back.decision) decided[back.sha256] = back.decision; else delete decided[back.sha256];
  const found = shown.findIndex((item) => item.sha256 === back.sha256);
  if (found >= 0) place = found;
  draw();
}

function go(step) {
  place = Math.max(0, Math.min(shown.length - 1, place + step));
  draw();
}

at("search").addEventListener("input", list);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const searching = event.target === at("search");
  if (event.target === at("why")) {
    if (event.key === "Enter" || event.key === "Escape") at("why").blur();
    return;
  }
  if (searching && event.key === "Enter") at("classes").querySelector("button")?.click();
  else if (searching && event.key === "Escape") { at("search").value = ""; at("search").blur(); list(); }
  if (searching || event.target.tagName === "SELECT") return;
  const actions = { k: () => decide("keep"), d: () => decide("drop"), n: () => decide("not_sure"), u: undo,
    ArrowLeft: () => go(-1), ArrowRight: () => go(1), "/": () => at("search").focus(),
    t: () => at("why").focus() };
  const number = "123456789".indexOf(event.key);
  if (actions[event.key]) { event.preventDefault(); actions[event.key](); }
  else if (number >= 0 && event.key) {
    const label = at("classes").querySelectorAll("button")[number]?.dataset.label;
    if (label !== undefined) decide("relabel", label);
  }
});
load();
