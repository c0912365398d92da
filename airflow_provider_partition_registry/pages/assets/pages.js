// What pages do beyond showing what the service made of them: they stay up to date, and draw a source's timeline.

const SVG = "http://www.w3.org/2000/svg";
const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const EARLIEST = Date.parse("0001-01-01T00:00:00Z"), LATEST = Date.parse("9999-12-31T00:00:00Z");

const byId = (id) => document.getElementById(id);
const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent?.append(made);
  return made;
}

/** Calls often, does it seldom: at once if it was not done lately, else as soon as the pause is over. */
function seldom(work, pause) {
  let timer = 0, last = 0;
  return () => {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; last = Date.now(); work(); }, Math.max(0, last + pause - Date.now()));
  };
}

const ASKED_EVERY = 5 * SECOND;
const pauseAfter = (failures) => Math.min(2 ** (failures - 1), 30) * SECOND * (0.5 + Math.random() / 2);

// Staying up to date: news are hints to look again.

async function renewLiveParts() {
  const answer = await fetch(location.href).catch(() => null);
  if (answer?.status === 401) location.reload(); // to sign in again
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh || fresh.innerHTML === part.innerHTML) continue;
    const focused = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
    part.replaceChildren(...fresh.childNodes);
    if (focused) [...part.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
  }
}

function follow(onNews) {
  const { follows, news } = document.body.dataset;
  if (follows === undefined) return;
  const sign = byId("live");
  const say = (isOn) => {
    const text = isOn ? "Live" : "Connecting again";
    if (sign.textContent !== text) sign.textContent = text;
    sign.classList.toggle("on", isOn);
  };
  (news === "stream" ? followStream : askNowAndThen)(follows, say, onNews);
  setInterval(() => { if (!document.hidden) onNews(); }, MINUTE);
}

function followStream(follows, say, onNews) {
  let stream = null, failures = 0, reopening = 0;
  const open = () => {
    const query = follows ? `?${new URLSearchParams({ source_name: follows })}` : "";
    stream = new EventSource(`api/v1/events/stream${query}`);
    stream.onopen = () => { failures = 0; say(true); onNews(); };
    stream.onerror = () => {
      say(false);
      // The browser goes on by itself, but not after a refusal, such as a proxy's while the service restarts.
      if (stream.readyState === EventSource.CLOSED) reopening = setTimeout(open, pauseAfter(++failures));
    };
    for (const type of document.body.dataset.eventTypes.split(" ")) stream.addEventListener(type, onNews);
  };
  const close = () => { clearTimeout(reopening); stream.close(); };
  // Browsers open few connections to a host: a page that nobody sees gives its own back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else { open(); onNews(); }
  });
  addEventListener("pagehide", close);
  open();
}

/** For pages in a program that has a few workers, of which a stream would keep one. */
function askNowAndThen(follows, say, onNews) {
  const query = new URLSearchParams({ source_name: follows, limit: 1 });
  const address = follows ? `api/v1/events/latest?${query}` : "api/v1/events/last";
  let last = null, failures = 0, asking = 0;
  const ask = async () => {
    const answer = await fetch(address).catch(() => null);
    const now = answer?.ok ? await answer.text() : null;
    say(now !== null);
    if (now !== last && (now !== null || answer?.status === 401)) onNews();
    last = now ?? last;
    failures = now === null ? failures + 1 : 0;
    asking = document.hidden ? 0 : setTimeout(ask, failures ? ASKED_EVERY + pauseAfter(failures) : ASKED_EVERY);
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !asking) ask(); });
  ask();
}

// The axis

const STEPS = [
  SECOND, 5 * SECOND, 15 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 3 * DAY, 7 * DAY,
];
const MONTHS = [1, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 2400, 6000, 12000];
const format = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
const AS_SECONDS = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const AS_TIME = format({ hour: "2-digit", minute: "2-digit" });
const AS_DAY = format({ day: "numeric", month: "short" });
const AS_MONTH = format({ month: "short", year: "numeric" });
const FIRST_MONDAY = Date.UTC(1970, 0, 5);

function ticks(from, to, most) {
  const least = (to - from) / most;
  const step = STEPS.find((each) => each >= least);
  if (step) {
    const zero = step === 7 * DAY ? FIRST_MONDAY : 0;
    const found = [];
    for (let at = Math.ceil((from - zero) / step) * step + zero; at < to; at += step) found.push(at);
    const label = (at) => at % DAY === 0 ? AS_DAY.format(at) : step < MINUTE ? AS_SECONDS.format(at) : AS_TIME.format(at);
    return found.map((at) => [at, label(at)]);
  }
  const months = MONTHS.find((each) => each * 30 * DAY >= least) ?? MONTHS.at(-1);
  const start = new Date(from), found = [];
  let month = Math.ceil((start.getUTCFullYear() * 12 + start.getUTCMonth()) / months) * months;
  for (; ; month += months) {
    const date = new Date(0);
    date.setUTCFullYear(Math.floor(month / 12), month % 12, 1);
    if (+date >= to) return found;
    if (+date >= from) found.push([+date, months < 12 ? AS_MONTH.format(date) : String(date.getUTCFullYear())]);
  }
}

const iso = (at) => new Date(clamp(at, EARLIEST, LATEST)).toISOString();
function inWords(at) {
  const text = iso(at).slice(0, 19).replace("T", " ");
  return text.endsWith(":00") ? text.slice(0, 16) : text;
}

function lengthInWords(length) {
  const units = [[365 * DAY, "y"], [DAY, "d"], [HOUR, "h"], [MINUTE, "min"], [SECOND, "s"]];
  const first = units.findIndex(([unit]) => length >= unit);
  if (first < 0) return "less than 1 s";
  const parts = [];
  let rest = length;
  for (const [unit, name] of units.slice(first, first < 3 ? first + 2 : first + 1)) {
    const count = Math.floor(rest / unit);
    if (count) parts.push(`${count} ${name}`);
    rest -= count * unit;
  }
  return parts.join(" ");
}

// What a timeline shows: lanes of marks, each a stretch of time with something to say.

const span = (interval) => ({ start: Date.parse(interval.start), end: Date.parse(interval.end) });

function lanesOf(told, extent) {
  const partitions = told.partitions.map((each) => ({ kind: each.state, ...span(each.interval), partition: each }));
  const blockers = partitions.filter((each) => ["locked", "expired", "failed"].includes(each.kind));
  const ready = told.ready.map((each) => ({ kind: each.is_whole ? "ready" : "partly", ...span(each.interval) }));
  const covered = [...ready, ...blockers].sort((a, b) => a.start - b.start);
  const gaps = gapsBetween(covered, span(told.interval), extent).map((each) => ({ kind: told.lists_blockers ? "gap" : "unready", ...each }));
  const lanes = [{ name: "All providers", marks: [...gaps, ...ready, ...blockers] }];
  const named = new Map();
  for (const lane of told.lanes) {
    named.set(lane.provider_name, lane.marks.map((each) => ({ kind: each.state, ...span(each.interval), isSome: true })));
  }
  for (const mark of partitions) {
    const name = mark.partition.provider_name;
    if (!named.has(name)) named.set(name, []);
    named.get(name).push(mark);
  }
  for (const name of [...named.keys()].sort()) lanes.push({ name, marks: named.get(name) });
  // The longest first, so that what lies in them is seen.
  for (const lane of lanes.slice(1)) lane.marks.sort((a, b) => (b.end - b.start) - (a.end - a.start));
  return lanes;
}

function gapsBetween(covered, window, extent) {
  const from = Math.max(window.start, extent.start), to = Math.min(window.end, extent.end);
  const gaps = [];
  let at = from;
  for (const each of [...covered, { start: to, end: to }]) {
    if (each.start > at && at < to) gaps.push({ start: at, end: Math.min(each.start, to) });
    at = Math.max(at, each.end);
  }
  return gaps;
}

const WORDS = {
  ready: "Ready", partly: "Partly ready", gap: "Gap", unready: "Not ready", locked: "Locked", expired: "Expired: its lease is over",
  failed: "Failed", registered: "Registered, never published",
};
const ABOUT = {
  partly: "There are more pieces than can be shown; zoom in.",
  gap: "Nobody has published it.",
  unready: "Nobody has published it, or something blocks it.",
};

/** What there is to say about a mark, as nodes. Names, reasons and addresses are other people's text. */
function describe(lane, mark, source) {
  const line = (...parts) => element("p", {}, ...parts);
  const said = [line(element("strong", {}, WORDS[mark.kind]), ` ${inWords(mark.start)} – ${inWords(mark.end)}, ${lengthInWords(mark.end - mark.start)}`)];
  const partition = mark.partition;
  if (partition) {
    const lock = partition.lock;
    const since = mark.kind === "expired" ? lock.expires_at : partition.changed_at;
    said.push(line(`Provider ${partition.provider_name}, since ${inWords(Date.parse(since))} (${lengthInWords(Date.now() - Date.parse(since))})`));
    if (partition.reason) said.push(line(`Reason: ${partition.reason}`));
    if (lock) said.push(line(`${mark.kind === "ready" ? "Written" : "Locked"} by ${lock.holder.identity}${lock.expires_at && mark.kind !== "failed" ? `, lease until ${inWords(Date.parse(lock.expires_at))}` : ""}`));
    const log = logLink(lock?.holder.details.log_url);
    if (log) said.push(line(log));
  } else if (mark.isSome) {
    said.push(line(`Provider ${lane.name} has ${mark.kind} partitions all along here; zoom in to see each.`));
  } else if (ABOUT[mark.kind]) {
    said.push(line(ABOUT[mark.kind]));
  }
  const query = new URLSearchParams({ name: source, start: iso(mark.start).slice(0, 19), end: iso(Math.ceil(mark.end / SECOND) * SECOND).slice(0, 19) });
  said.push(line(element("a", { href: `source?${query}#ask` }, "Is it ready?")));
  return said;
}

function logLink(address) {
  const url = address && URL.canParse(address) ? new URL(address) : null;
  if (!url || !["http:", "https:"].includes(url.protocol)) return null;
  return element("a", { href: url.href, rel: "noreferrer noopener", target: "_blank" }, "Log");
}

// Drawing

const PATTERNS = `
<pattern id="partly" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="a-soft" width="5" height="5"/><rect class="a" width="2" height="5"/></pattern>
<pattern id="expired" width="6" height="6" patternUnits="userSpaceOnUse"><rect class="e-soft" width="6" height="6"/><rect class="e" width="4" height="6"/></pattern>
<pattern id="failed" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><rect class="f" width="5" height="5"/><line class="f-line" x1="0" y1="0" x2="0" y2="5"/></pattern>
<pattern id="gap" width="4" height="4" patternUnits="userSpaceOnUse"><circle class="g" cx="2" cy="2" r="1"/></pattern>`;
const PATTERNED = { partly: "partly", expired: "expired", failed: "failed", gap: "gap", unready: "gap" };
const TOP = 22, LANE = 44, BAR = 20, NAME = 16;

class Timeline {
  constructor(box, details) {
    this.box = box;
    this.details = details;
    this.help = [...details.childNodes];
    this.source = box.dataset.source;
    this.lanes = [];
    this.chosen = null; // [lane, mark] that stays described
    this.places = new WeakMap(); // drawn mark -> [lane, mark]
    this.pointers = new Map();
    this.request = null;
    [this.from, this.to] = this.firstWindow();
    this.load = seldom(() => this.loadNow(), 150);
    this.listen();
    new ResizeObserver(() => { this.draw(); this.load(); }).observe(box);
  }

  firstWindow() {
    const told = new URLSearchParams(location.hash.slice(1));
    const [from, to] = [Date.parse(told.get("from")), Date.parse(told.get("to"))];
    if (from < to) return [from, to];
    const end = clamp(Date.now(), this.extent.start, this.extent.end);
    const length = clamp((end - this.extent.start) * 1.1, HOUR, 30 * DAY);
    return [end - length * 0.9, end + length * 0.1];
  }

  /** From the first partition to the last; it may grow. */
  get extent() { return span(byId("extent").dataset); }
  get width() { return Math.max(this.box.clientWidth, 100); }
  at(x) { return this.from + (x / this.width) * (this.to - this.from); }
  x(at) { return ((at - this.from) / (this.to - this.from)) * this.width; }

  show(from, to) {
    const length = clamp(to - from, MINUTE, LATEST - EARLIEST);
    const middle = (from + to) / 2;
    this.from = clamp(middle - length / 2, EARLIEST, LATEST - length);
    this.to = this.from + length;
    this.draw();
    this.load();
  }

  move(part) { const by = (this.to - this.from) * part; this.show(this.from + by, this.to + by); }
  zoom(factor, around = (this.from + this.to) / 2) {
    this.show(around - (around - this.from) * factor, around + (this.to - around) * factor);
  }
  showSpan(name) {
    const { start, end } = this.extent;
    if (name === "all") return this.show(start - (end - start) * 0.02, end + (end - start) * 0.02);
    const length = { day: DAY, week: 7 * DAY, month: 31 * DAY, year: 366 * DAY }[name];
    const newest = clamp(Date.now(), start, end), mark = this.chosen?.[1];
    if (!mark && this.from <= newest && newest <= this.to) return this.show(newest - length * 0.9, newest + length * 0.1);
    const middle = mark ? (mark.start + mark.end) / 2 : (this.from + this.to) / 2;
    return this.show(middle - length / 2, middle + length / 2);
  }

  async loadNow() {
    this.request?.abort();
    const request = this.request = new AbortController();
    const [start, end] = [iso(Math.floor(this.from)), iso(Math.ceil(this.to))];
    const query = new URLSearchParams({ source_name: this.source, start, end, resolution: clamp(Math.round(this.width / 2), 100, 600) });
    history.replaceState(null, "", `#${new URLSearchParams({ from: start, to: end })}`);
    try {
      const answer = await fetch(`api/v1/timeline?${query}`, { signal: request.signal });
      if (!answer.ok) throw new Error((await answer.json()).error.message);
      const told = await answer.json();
      this.lanes = lanesOf(told, this.extent);
      this.hasMore = told.has_more_lanes;
      this.keepChosen();
      this.draw();
    } catch (error) {
      if (!request.signal.aborted) this.details.replaceChildren(element("p", { class: "problem" }, error.message));
    }
  }

  /** Of the marks that were drawn anew, choose again what was chosen. */
  keepChosen() {
    if (!this.chosen) return;
    const [lane, mark] = this.chosen;
    const same = this.lanes.find((each) => each.name === lane.name);
    const again = same?.marks.find((each) => each.start === mark.start && each.end === mark.end);
    if (again) this.choose(same, again);
  }

  choose(lane, mark) {
    this.chosen = mark ? [lane, mark] : null;
    this.tell(this.chosen);
    this.draw();
  }

  tell(what) { this.details.replaceChildren(...(what ? describe(...what, this.source) : this.help)); }

  draw() {
    const height = TOP + Math.max(this.lanes.length, 1) * LANE + 4;
    const svg = shape("svg", { viewBox: `0 0 ${this.width} ${height}`, height, "aria-hidden": "true" });
    shape("defs", {}, svg).innerHTML = PATTERNS;
    for (const [at, label] of ticks(this.from, this.to, Math.max(2, this.width / 85))) {
      const x = this.x(at);
      shape("line", { class: "tick", x1: x, x2: x, y1: TOP - 4, y2: height }, svg);
      if (x < this.width - 50) shape("text", { x: x + 3, y: 12 }, svg).textContent = label;
    }
    this.lanes.forEach((lane, number) => this.drawLane(svg, lane, TOP + number * LANE));
    const now = this.x(Date.now());
    if (now >= 0 && now <= this.width) shape("line", { class: "now", x1: now, x2: now, y1: TOP - 4, y2: height }, svg);
    if (this.chosen) this.drawChosen(svg);
    this.box.replaceChildren(svg);
    if (this.hasMore) this.box.append(element("p", { class: "faint" }, "There are more providers than can be shown; zoom in."));
    byId("timeline-window").textContent = `${inWords(this.from)} – ${inWords(this.to)} UTC`;
    for (const button of document.querySelectorAll("[data-span]")) {
      const length = { day: DAY, week: 7 * DAY, month: 31 * DAY, year: 366 * DAY }[button.dataset.span];
      button.setAttribute("aria-pressed", String(Math.abs(this.to - this.from - length) < SECOND));
    }
  }

  drawLane(svg, lane, y) {
    const name = shape("text", { class: "lane-name", x: 0, y: y + NAME - 4 }, svg);
    const room = Math.max(8, Math.floor(this.width / 7.5));
    name.textContent = lane.name.length > room ? `${lane.name.slice(0, room - 1)}…` : lane.name;
    shape("rect", { class: "lane", x: 0, y: y + NAME, width: this.width, height: BAR, rx: 3 }, svg);
    for (const mark of lane.marks) {
      const place = this.placeOf(mark);
      if (!place) continue;
      const drawn = shape("rect", { class: `mark ${mark.kind} ${mark.partition && place.width > 5 ? "apart" : ""}`, y: y + NAME, height: BAR, rx: 1.5, ...place }, svg);
      if (PATTERNED[mark.kind]) drawn.setAttribute("fill", `url(#${PATTERNED[mark.kind]})`);
      this.places.set(drawn, [lane, mark]);
    }
  }

  placeOf(mark) {
    const left = clamp(this.x(mark.start), -5, this.width + 5), right = clamp(this.x(mark.end), -5, this.width + 5);
    if (this.x(mark.end) <= 0 || this.x(mark.start) >= this.width) return null;
    const least = ["locked", "expired", "failed"].includes(mark.kind) ? 4 : 0.75;
    return { x: left, width: Math.max(right - left, least) };
  }

  drawChosen(svg) {
    const number = this.lanes.indexOf(this.chosen[0]);
    const place = this.placeOf(this.chosen[1]);
    if (number >= 0 && place) shape("rect", { class: "chosen", y: TOP + number * LANE + NAME - 1, height: BAR + 2, rx: 2, ...place }, svg);
  }

  listen() {
    const box = this.box;
    box.addEventListener("pointerdown", (event) => this.press(event));
    box.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, (event) => this.release(event));
    box.addEventListener("pointerleave", () => { if (!this.pointers.size) this.tell(this.chosen); });
    box.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    box.addEventListener("keydown", (event) => this.key(event));
    for (const button of document.querySelectorAll("[data-span]")) button.addEventListener("click", () => this.showSpan(button.dataset.span));
    const doing = { earlier: () => this.move(-0.5), later: () => this.move(0.5), in: () => this.zoom(0.5), out: () => this.zoom(2) };
    for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", doing[button.dataset.do]);
  }

  press(event) {
    if (event.button !== 0) return;
    this.pointers.set(event.pointerId, event.clientX);
    if (this.pointers.size === 1) this.hasMoved = false;
    this.pressed = this.places.get(event.target);
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (before === undefined) {
      this.tell(this.places.get(event.target) ?? this.chosen);
      return;
    }
    if (!this.hasMoved && Math.abs(event.clientX - before) < 5) return;
    if (!this.hasMoved) {
      this.hasMoved = true;
      this.box.setPointerCapture(event.pointerId);
      this.box.classList.add("moving");
    }
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, x]) => x);
    this.pointers.set(event.pointerId, event.clientX);
    if (others.length) {
      const [fixed] = others;
      const factor = Math.max(Math.abs(before - fixed), 1) / Math.max(Math.abs(event.clientX - fixed), 1);
      this.zoom(factor, this.at(fixed - this.box.getBoundingClientRect().left));
    } else {
      this.move((before - event.clientX) / this.width);
    }
  }

  release(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    this.box.classList.remove("moving");
    if (!this.hasMoved && event.type === "pointerup") this.choose(...(this.pressed ?? []));
  }

  wheel(event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.at(event.clientX - this.box.getBoundingClientRect().left));
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.move(event.deltaX / this.width);
    }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: () => this.move(-0.25), ArrowRight: () => this.move(0.25) };
    const keys = {
      ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1), ArrowUp: () => this.changeLane(-1), ArrowDown: () => this.changeLane(1),
      PageUp: () => this.move(-0.5), PageDown: () => this.move(0.5), "+": () => this.zoom(0.5), "=": () => this.zoom(0.5),
      "-": () => this.zoom(2), Escape: () => this.choose(),
    };
    const act = (event.shiftKey && moves[event.key]) || keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  seen(lane) {
    return lane.marks.filter((mark) => this.placeOf(mark)).sort((a, b) => a.start - b.start || a.end - b.end);
  }

  step(by) {
    const lane = this.chosen?.[0] ?? this.lanes[0];
    if (!lane) return;
    const marks = this.seen(lane), now = marks.indexOf(this.chosen?.[1]);
    const next = now < 0 ? (by > 0 ? 0 : marks.length - 1) : clamp(now + by, 0, marks.length - 1);
    if (marks.length) this.choose(lane, marks[next]);
  }

  changeLane(by) {
    const number = this.chosen ? this.lanes.indexOf(this.chosen[0]) + by : 0;
    const lane = this.lanes[number];
    if (!lane) return;
    const marks = this.seen(lane), near = this.chosen?.[1].start ?? this.from;
    const nearest = marks.reduce((best, each) => best && Math.abs(best.start - near) <= Math.abs(each.start - near) ? best : each, null);
    if (nearest) this.choose(lane, nearest);
  }
}

const box = byId("timeline");
const timeline = box && new Timeline(box, byId("timeline-details"));
follow(seldom(async () => {
  await renewLiveParts();
  timeline?.load();
  if (!timeline && byId("extent")) location.reload(); // its first partition
}, 1000));
