// The status page. The server sends every stream once, then those that changed; all text goes in as text, never as HTML.
const $ = (id) => document.getElementById(id);
const make = (tag, props = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...children);
  return element;
};
const set = (node, text) => { if (node.textContent !== text) node.textContent = text; };

const PHASES = ["RUNNING", "FAILED", "PAUSED", "STOPPED", "UNASSIGNED"];
const URGENCY = { FAILED: 0, UNASSIGNED: 1, RUNNING: 2, PAUSED: 3, STOPPED: 4 };
const streams = new Map(); // name -> { row: the server's, cells, tr }
let lanes = [];
let ahead = 0; // the server's clock minus ours, ms
let told = null; // phases as last announced
let opened = null; // the stream in the dialog
let shown = [];
let order = { by: "phase", up: true };
let phase = "";

// ---------------------------------------------------------------- words

const now = () => Date.now() + ahead;
const inOrder = new Intl.Collator("en", { numeric: true });
const count = (n) => n.toLocaleString("en");
const rate = (n) => (n >= 100 ? count(Math.round(n)) : n.toFixed(1));
function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${String(s % 60).padStart(2, "0")} s`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${String(Math.floor(s / 60) % 60).padStart(2, "0")} m`;
  return `${Math.floor(s / 86400)} d`;
}
const ago = (at) => {
  const ms = now() - at;
  return !at ? "" : ms < 60e3 ? `${span(ms)} ago` : ms < 36e5 ? `${Math.floor(ms / 6e4)} m ago` : `${span(ms)} ago`;
};
const lag = (s) => (s == null ? "–" : s < 1 ? `${Math.round(Math.max(0, s) * 1000)} ms` : span(s * 1000));
const state = (r) => r.state.replaceAll("_", " ");

function token(r) {
  if (!r.token_ms) return "–";
  const left = r.token_ms - now();
  return left > 0 ? span(left) : "expired";
}

// ---------------------------------------------------------------- columns: title, text, second line, what sorts

const COLUMNS = [
  { id: "name", title: "Stream", sort: (r) => r.name },
  { id: "phase", title: "State", sort: (r) => URGENCY[r.phase] * 1e6 - r.failures, small: (r) => r.trace || (r.phase === "RUNNING" && r.state !== "live" ? state(r) : "") },
  { id: "rate", title: "Events/s", n: true, text: (r) => (r.phase === "RUNNING" ? rate(r.rate) : "–"), sort: (r) => r.rate, small: (r) => (r.reading_paused ? "buffer full" : "") },
  { id: "lag", title: "Lag", n: true, text: (r) => lag(r.lag_s), sort: (r) => r.lag_s ?? -1, small: (r) => (r.committed_ms ? ago(r.committed_ms) : "") },
  { id: "position", title: "Position", n: true, text: (r) => r.position ?? "–", sort: (r) => Number(r.position ?? -1), small: (r) => (r.epoch ? `epoch ${r.epoch}` : "") },
  { id: "token", title: "Token", n: true, text: token, sort: (r) => r.token_ms ?? Infinity },
  { id: "rotated", title: "Last rotation", text: (r) => (r.rotated_ms ? ago(r.rotated_ms) : "–"), sort: (r) => -(r.rotated_ms ?? 0), small: (r) => (r.rotated_ms ? `overlap ${r.overlap_ms} ms` : "") },
  { id: "breaker", title: "Breaker", text: (r) => (r.state === "breaker_open" ? "open" : r.failures ? `${r.failures} failures` : "closed"), alarm: (r) => r.state === "breaker_open", sort: (r) => -r.failures, small: (r) => (r.next_dial_ms ? `dials in ${span(r.next_dial_ms - now())}` : "") },
  { id: "gaps", title: "Gaps", n: true, text: (r) => count(r.gaps), alarm: (r) => r.gaps > 0, sort: (r) => -r.gaps, small: (r) => (r.gaps ? r.gap : "") },
  { id: "worker", title: "Worker", text: (r) => r.worker ?? "nobody", sort: (r) => r.worker ?? "", small: (r) => `lane ${r.lane}` },
];

const head = document.querySelector("#streams thead tr");
for (const column of COLUMNS) {
  const button = make("button", { type: "button", textContent: column.title });
  const th = make("th", { scope: "col", className: column.n ? "n" : "" }, button);
  button.onclick = () => { order = { by: column.id, up: order.by === column.id ? !order.up : true }; arrange(); };
  column.th = th;
  head.append(th);
}

function rowOf(name) {
  const tr = make("tr");
  const cells = COLUMNS.map((column) => {
    const main = column.id === "name" ? make("button", { type: "button", className: "name", textContent: name, tabIndex: -1 })
      : make("span", { className: column.id === "phase" ? "badge" : "" });
    const small = make("small", { hidden: true });
    tr.append(make("td", { className: column.n ? "n" : "" }, main, small));
    return { main, small };
  });
  cells[0].main.onclick = () => open(name);
  cells[0].main.title = name;
  tr.dataset.name = name;
  sight.observe(tr);
  return { tr, cells };
}

// Only rows in sight are painted: a thousand would cost more than they tell.
const seen = new Set();
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const stream = streams.get(target.dataset.name);
    if (!isIntersecting || !stream) seen.delete(target.dataset.name);
    else { seen.add(target.dataset.name); paint(stream); }
  }
}, { root: document.querySelector(".frame"), rootMargin: "300px" });

function paint(stream) {
  const r = stream.row;
  COLUMNS.forEach((column, i) => {
    const { main, small } = stream.cells[i];
    if (column.id === "phase") {
      set(main, r.phase);
      main.className = `badge ${r.phase}`;
      small.className = r.trace ? "why" : "";
      small.title = r.trace;
    } else if (column.text) {
      set(main, String(column.text(r)));
      if (column.id === "worker") main.title = r.worker ?? "";
      if (column.alarm) main.className = column.alarm(r) ? "alarm" : "";
    }
    const second = column.small ? column.small(r) : "";
    set(small, second);
    small.hidden = !second;
  });
}

// ---------------------------------------------------------------- which rows, in which order

const body = document.querySelector("#streams tbody");

function arrange() {
  const wanted = $("find").value.trim().toLowerCase();
  const column = COLUMNS.find((each) => each.id === order.by);
  const hit = ({ row: r }) => (!phase || r.phase === phase)
    && (!wanted || `${r.name} ${r.worker ?? "nobody"} ${r.state} ${r.trace}`.toLowerCase().includes(wanted));
  const next = [...streams.values()].filter(hit).sort((a, b) => {
    const [x, y] = [column.sort(a.row), column.sort(b.row)];
    const step = x < y ? -1 : x > y ? 1 : 0;
    return (order.up ? step : -step) || inOrder.compare(a.row.name, b.row.name);
  });
  for (const each of COLUMNS) {
    if (each === column) each.th.ariaSort = order.up ? "ascending" : "descending";
    else each.th.removeAttribute("aria-sort");
  }
  if (next.length !== shown.length || next.some((each, i) => each !== shown[i])) {
    const focused = document.activeElement;
    body.replaceChildren(...next.map((each) => each.tr));
    if (body.contains(focused)) focused.focus({ preventScroll: true });
    shown = next;
  }
  if (shown.length && !shown.some((each) => each.cells[0].main.tabIndex === 0)) shown[0].cells[0].main.tabIndex = 0;
  $("none").hidden = shown.length > 0 || !streams.size;
}

body.addEventListener("keydown", (event) => {
  const at = shown.findIndex((each) => each.cells[0].main === document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1, PageDown: at + 15, PageUp: at - 15 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  const target = shown[Math.min(shown.length - 1, Math.max(0, to))].cells[0].main;
  shown[at].cells[0].main.tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
});

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== $("find") && !$("one").open) {
    event.preventDefault();
    $("find").focus();
  }
});
$("find").addEventListener("input", arrange);

const chips = new Map();
for (const each of ["", ...PHASES]) {
  const input = make("input", { type: "radio", name: "phase", value: each, checked: !each });
  const number = make("b", { textContent: "0" });
  input.onchange = () => { phase = each; arrange(); };
  chips.set(each, number);
  $("phases").append(make("label", { className: "chip" }, input, each ? each.toLowerCase() : "all", number));
}

// ---------------------------------------------------------------- summary

function summarize() {
  const rows = [...streams.values()].map((each) => each.row);
  const phases = Object.fromEntries(PHASES.map((each) => [each, rows.filter((r) => r.phase === each).length]));
  set(chips.get(""), count(rows.length));
  for (const each of PHASES) set(chips.get(each), count(phases[each]));
  const lags = rows.filter((r) => r.phase === "RUNNING" && r.lag_s != null).map((r) => r.lag_s);
  const tokens = rows.filter((r) => r.token_ms).map((r) => r.token_ms);
  set($("sum-rate"), rate(rows.reduce((sum, r) => sum + r.rate, 0)));
  set($("sum-lag"), lags.length ? lag(lags.reduce((a, b) => Math.max(a, b))) : "–");
  set($("sum-token"), tokens.length ? span(tokens.reduce((a, b) => Math.min(a, b)) - now()) : "–");
  set($("sum-gaps"), count(rows.reduce((sum, r) => sum + r.gaps, 0)));
  set($("sum-workers"), count(new Set(lanes.filter((each) => each.worker).map((each) => each.worker)).size));
  set($("sum-lanes"), `${lanes.filter((each) => each.worker).length} of ${lanes.length}`);
  const news = `${phases.FAILED} failed, ${phases.UNASSIGNED} unassigned, ${phases.PAUSED} paused, ${phases.STOPPED} stopped`;
  if (told !== null && told !== news) set($("news"), news);
  told = news;
}

function showLanes() {
  $("lanes").replaceChildren(...lanes.map((each) => make("li", { className: each.worker ? "" : "nobody" },
    make("b", { textContent: `${each.lane}` }), each.worker ?? "nobody",
    make("small", { textContent: `${each.streams} streams${each.worker && each.state ? `, ${each.state}` : ""}` }))));
}

// ---------------------------------------------------------------- one stream

const VERBS = {
  pause: { title: "Pause", method: "PUT", ask: (n) => `Pause ${n}? Its sockets close; its position is kept.` },
  resume: { title: "Resume", method: "PUT", ask: (n) => `Resume ${n}? It goes on from its last commit.` },
  restart: { title: "Restart", method: "POST", ask: (n) => `Restart ${n}? Its sockets close and open again at its last commit.` },
};

function open(name) {
  opened = name;
  $("one-sure").hidden = true;
  set($("one-said"), "");
  detail();
  $("one").showModal();
}

function detail() {
  const r = streams.get(opened)?.row;
  if (!r) return;
  set($("one-name"), r.name);
  $("one-phase").replaceChildren(make("span", { className: `badge ${r.phase}`, textContent: r.phase }), ` ${state(r)}${r.since_ms ? `, for ${span(now() - r.since_ms)}` : ""}`);
  set($("one-trace"), r.trace);
  const facts = [
    ["Position", `${r.position ?? "–"} in epoch ${r.epoch}`],
    ["Last commit", ago(r.committed_ms) || "–"],
    ["Complete until", r.complete_ms ? new Date(r.complete_ms).toISOString() : "–"],
    ["Rate", `${rate(r.rate)} events/s; ${count(r.events)} read here`],
    ["Lag", lag(r.lag_s)],
    ["In hand", `${count(r.in_hand)} events${r.reading_paused ? ", buffer full: the socket is not read" : ""}`],
    ["Token", r.token_ms ? `expires in ${token(r)}` : "–"],
    ["Rotations", r.rotated_ms ? `${count(r.rotations)}; last ${ago(r.rotated_ms)}, overlap ${r.overlap_ms} ms` : "none yet"],
    ["Network", r.state === "breaker_open" ? "breaker open" : `breaker closed${r.failures ? `, ${r.failures} failures in a row` : ""}`],
    ["Gaps", r.gaps ? `${count(r.gaps)}; last ${ago(r.gap_ms)}: ${r.gap}` : "none"],
    ["Dropped", `${count(r.duplicates)} duplicates`],
    ["Dead letters", count(r.dead_letters)],
    ["Lane", `${r.lane}, ${r.worker ?? "nobody has it"}`],
  ];
  if ($("one-facts").children.length !== facts.length * 2) {
    $("one-facts").replaceChildren(...facts.flatMap(([title]) => [make("dt", { textContent: title }), make("dd")]));
  }
  facts.forEach(([, text], i) => set($("one-facts").children[2 * i + 1], text));
  const verbs = r.target === "running" ? ["pause", "restart"] : ["resume"];
  if ($("one-verbs").dataset.for !== verbs.join()) {
    $("one-verbs").dataset.for = verbs.join();
    $("one-verbs").replaceChildren(...verbs.map((verb) => make("button", { type: "button", textContent: VERBS[verb].title, onclick: () => sure(verb) })));
  }
}

function sure(verb) {
  set($("one-ask"), VERBS[verb].ask(opened));
  set($("one-do"), VERBS[verb].title);
  $("one-do").onclick = () => steer(opened, verb);
  $("one-sure").hidden = false;
  $("one-do").focus();
}
$("one-not").onclick = () => { $("one-sure").hidden = true; };

async function steer(name, verb) {
  $("one-sure").hidden = true;
  set($("one-said"), "asking …");
  try {
    const answer = await fetch(`connectors/${encodeURIComponent(name)}/${verb}`, { method: VERBS[verb].method });
    set($("one-said"), answer.ok ? `${VERBS[verb].title}: asked for; it shows here once it is done.` : (await answer.json()).message);
  } catch {
    set($("one-said"), "The worker does not answer; nothing is known to have changed.");
  }
}

// ---------------------------------------------------------------- live

function forget(name) {
  sight.unobserve(streams.get(name).tr);
  streams.delete(name);
  seen.delete(name);
}

function take(message) {
  ahead = message.now_ms - Date.now();
  set($("group"), message.group);
  for (const r of message.streams) {
    const known = streams.get(r.name);
    if (known) known.row = r;
    else streams.set(r.name, { row: r, ...rowOf(r.name) });
  }
  if (message.names) {
    const kept = new Set(message.names);
    for (const name of streams.keys()) if (!kept.has(name)) forget(name);
  }
  if (message.lanes) { lanes = message.lanes; showLanes(); }
  draw();
}

function draw() {
  arrange();
  for (const name of seen) paint(streams.get(name));
  summarize();
  if ($("one").open) detail();
}

const source = new EventSource("ui/events");
source.onmessage = (event) => {
  const message = JSON.parse(event.data);
  $("link").className = "link live";
  set($("link"), `live, by ${message.worker}`);
  take(message);
};
source.onerror = () => {
  $("link").className = "link lost";
  set($("link"), "the worker does not answer; what is shown is old");
};
