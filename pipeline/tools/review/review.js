"use strict";
// Names come from users: they are set as text alone, never as HTML.
const at = (id) => document.getElementById(id);
let all = [], shown = [], labels = [], decided = {}, pairs = {}, place = 0, busy = false, swapped = false;
const chosen = { label: "", source: "", split: "", role: "" };

// Of a pair both images; labels are decided on the first.
const both = (entry) => (entry.other ? [entry, entry.other] : [entry]);
const current = () => {
  const images = shown[place] ? both(shown[place]) : [];
  return swapped ? images.reverse() : images;
};
const nameOf = (entry) => both(entry).map((image) => image.sha256).sort().join(" ");
const isDecided = (entry) => (entry.other ? nameOf(entry) in pairs : entry.sha256 in decided);

async function load() {
  const answer = await fetch("state");
  const state = await answer.json();
  all = state.items; labels = state.labels; decided = state.decided; pairs = state.pairs;
  for (const name of Object.keys(chosen)) addFilter(name);
  const ofPairs = [["s", "same", () => decidePair("same")], ["x", "not the same", () => decidePair("not_same")],
    ["n", "not sure", () => decidePair("not_sure")], ["w", "swap the two", swap]];
  const ofLabels = [["k", "keep", () => decide("keep")], ["d", "drop", () => decide("drop")]];
  const inPairs = all.some((entry) => entry.other);
  addButtons("pairs", inPairs ? ofPairs : []);
  addButtons("actions", inPairs ? ofLabels : [...ofLabels, ["n", "not sure", () => decide("not_sure")]]);
  addButtons("actions", [["u", "undo", undo], ["←", "back", () => go(-1)], ["→", "next", () => go(1)]]);
  filter();
}

function addButtons(where, buttons) {
  for (const [key, word, act] of buttons) {
    const button = document.createElement("button");
    button.textContent = `${word} (${key})`;
    button.addEventListener("click", () => { act(); button.blur(); });
    at(where).append(button, " ");
  }
}

function addFilter(name) {
  const values = [...new Set(all.flatMap(both).map((image) => image[name]))].sort();
  const select = document.createElement("select");
  select.setAttribute("aria-label", name);
  select.append(new Option(`all ${name}s`, ""), ...values.filter(Boolean).map((value) => new Option(value, value)));
  select.addEventListener("change", () => { chosen[name] = select.value; select.blur(); filter(); });
  at("filters").append(select);
}

function filter() {
  const fits = (image) => Object.entries(chosen).every(([name, value]) => !value || image[name] === value);
  shown = all.filter((entry) => both(entry).some(fits));
  const open = shown.findIndex((entry) => !isDecided(entry));
  show(open < 0 ? 0 : open);
}

function show(number) {
  place = number;
  swapped = false;
  draw();
}

function draw() {
  const entry = shown[place], [item, other] = current();
  const done = shown.filter(isDecided).length;
  let said = `${done} of ${shown.length} decided`;
  if (all.some((one) => one.is_error !== null)) {
    const changed = (error) => all.filter((one) => one.is_error === error && decided[one.sha256]
      && ["relabel", "drop"].includes(decided[one.sha256].decision)).length;
    said += `; changed: ${changed(true)} errors, ${changed(false)} correct predictions`;
  }
  at("progress").textContent = said;
  picture("picture", item);
  picture("beside", other);
  for (const part of document.querySelectorAll(".of-pairs")) part.hidden = !other;
  for (const part of document.querySelectorAll(".of-one")) part.hidden = Boolean(other);
  if (!item) return;
  at("label").textContent = item.label || "none";
  at("model").textContent = item.predicted
    ? item.predicted + (item.confidence === null ? "" : ` (${Math.round(100 * item.confidence)} %)`) : "no prediction";
  at("place").textContent = facts(item);
  at("yours").textContent = decision(item);
  if (other) {
    at("other-label").textContent = other.label || "none";
    at("other-place").textContent = [facts(other), decision(other)].filter(Boolean).join(" · ");
    at("found").textContent = entry.found_as;
    const said = pairs[nameOf(entry)];
    at("together").textContent = said ? `saved: ${{ same: "same", not_same: "not the same", not_sure: "not sure" }[said]}` : "";
  }
  const next = shown[place + 1];
  for (const image of next ? both(next) : []) new Image().src = `picture/${image.sha256}`;
  list();
  similar(other ? null : item);
}

function facts(image) {
  return [image.id, image.role, image.split].filter(Boolean).join(" · ");
}

function decision(image) {
  const mine = decided[image.sha256];
  return mine ? `saved: ${mine.decision.replace("_", " ")} ${mine.to}` : "";
}

function picture(id, image) {
  at(id).hidden = !image;
  if (!image) { at(id).removeAttribute("src"); return; }
  at(id).src = `picture/${image.sha256}`;
  at(id).alt = image.id;
}

// What looks like it, once the answer is there and the image is still the one that is shown.
async function similar(item) {
  at("near").replaceChildren();
  if (!item) return;
  let found = [];
  try { found = await (await fetch(`near/${item.sha256}`)).json(); } catch { return; }
  if (shown[place] !== item) return;
  at("near").replaceChildren(...found.map((one) => {
    const line = document.createElement("li"), image = document.createElement("img"), name = document.createElement("span");
    image.src = `picture/${one.sha256}`;
    image.alt = one.id;
    image.title = `${one.id} · ${one.split}`;
    name.textContent = one.label || "none";
    if (one.label !== item.label) line.className = "other";
    line.append(image, name);
    return line;
  }));
}

function list() {
  const [item] = current(), text = at("search").value.trim().toLowerCase();
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
  const [item, other] = current();
  const saved = item && await post("decide", { sha256: item.sha256, decision, to, why: at("why").value.trim() });
  if (!saved) return;
  decided[saved.sha256] = saved.decision;
  at("search").value = "";
  at("search").blur();
  // The question of a pair stays open.
  if (other) { at("why").value = ""; draw(); } else forward();
}

async function decidePair(decision) {
  const [item, other] = current();
  if (!other) return;
  const saved = await post("pair", { one: item.sha256, other: other.sha256, decision, why: at("why").value.trim() });
  if (!saved) return;
  pairs[saved.pair] = saved.decision;
  forward();
}

function forward() {
  at("why").value = "";
  if (place + 1 < shown.length) show(place + 1); else draw();
}

async function undo() {
  const back = await post("undo", {});
  if (!back) return;
  const [known, name] = back.pair ? [pairs, back.pair] : [decided, back.sha256];
  if (back.decision) known[name] = back.decision; else delete known[name];
  const is = (entry) => (back.pair ? nameOf(entry) === name : both(entry).some((image) => image.sha256 === name));
  const found = shown[place] && is(shown[place]) ? place : shown.findIndex(is);
  if (found >= 0 && found !== place) show(found); else draw();
}

function swap() {
  if (!shown[place]?.other) return;
  swapped = !swapped;
  draw();
}

function go(step) {
  show(Math.max(0, Math.min(shown.length - 1, place + step)));
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
  const actions = { k: () => decide("keep"), d: () => decide("drop"), u: undo, s: () => decidePair("same"),
    x: () => decidePair("not_same"), n: () => (current()[1] ? decidePair("not_sure") : decide("not_sure")), w: swap,
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
