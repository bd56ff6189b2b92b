// All devices as cards: painted from the page's data at once, moved by the event stream from then on.

const TOOLS_FROM = 9;
const KINDS = ["online", "late", "silent", "unknown"];
// In the order "silent and late first".
const RANKS = { silent: 0, late: 1, unknown: 2, online: 3 };
const LIVE_PATH = "api/live/";
const CHART_ANCHOR = "last-hour";
// Tells the page's style sheet that a word of ours says already what Streamlit's dialog would.
const LOST_CLASS = "sm-lost";

class Cards {
  constructor(parent) {
    this.house = new House();
    this.cards = new Map();
    this.dataNow = 0;
    this.offset = 0;
    this.frame = 0;
    this.announced = null;
    this.lost = false;
    this.build();
    parent.append(this.root);
    this.timer = setInterval(() => document.hidden || this.tick(), 1000);
    this.onWake = () => document.hidden || this.schedule();
    document.addEventListener("visibilitychange", this.onWake);
  }

  build() {
    this.root = make("div", "live");
    this.away = make("p", "away");
    this.away.hidden = true;
    this.counts = make("p", "counts");
    this.count = Object.fromEntries(KINDS.map((kind) => [kind, make("span", "count-word")]));
    for (const kind of KINDS) {
      const item = make("span", "count");
      item.append(make("span", `shape ${kind}`), this.count[kind]);
      this.counts.append(item);
    }
    const top = make("div", "top");
    top.append(this.counts, this.buildTools());
    this.none = make("p", "none");
    this.none.hidden = true;
    this.list = make("ul", "cards");
    this.list.setAttribute("role", "list");
    this.said = make("p", "unseen");
    this.said.setAttribute("role", "status");
    this.root.append(make("h2", "unseen", "Devices"), this.away, top, this.none, this.list, this.said);
  }

  buildTools() {
    const sorts = [["name", "By name"], ["place", "By place"], ["trouble", "Silent and late first"]];
    const tools = makeTools("Search devices", "Sort devices", sorts, () => this.arrange());
    Object.assign(this, { tools: tools.element, search: tools.search, sort: tools.sort });
    return this.tools;
  }

  /** Take what the page gives: new data, another chosen device, other colours. Called again with the same data too. */
  take({ data, setTriggerValue }) {
    this.send = setTriggerValue;
    this.zone = data.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
    const colours = getComputedStyle(this.root).getPropertyValue("--st-chart-categorical-colors");
    this.colours = colours.split(",").map((colour) => colour.trim()).filter(Boolean);
    if (this.colours.length === 0) this.colours = ["currentColor"];
    for (const device of this.house.devices.values()) device.changed = true;
    if (data.now !== this.dataNow) {
      this.dataNow = data.now;
      this.offset = data.now - Date.now();
      this.house.takeData(data);
      this.chosen = data.chosen;
    }
    this.paint();
    this.stream ??= new Stream(new URL(LIVE_PATH, document.baseURI), () => this.house.lastId, {
      take: (kind, id, body) => this.takeEvent(kind, id, body),
      up: (awayMs) => this.up(awayMs),
      down: (lostAt) => this.down(lostAt),
    });
  }

  get now() {
    return Date.now() + this.offset;
  }

  takeEvent(kind, id, body) {
    this.house.takeEvent(kind, id, body);
    this.schedule();
  }

  up(awayMs) {
    this.showLost(false);
    // The stream tells what is so now; only the page knows what the sparklines missed.
    if (awayMs > BIN_MS) this.send("refresh", Date.now());
  }

  down(lostAt) {
    const clock = formatClock(lostAt + this.offset, this.zone);
    write(this.away, `Connection lost, trying again. Values below are from ${clock}.`);
    this.showLost(true);
    this.say(this.away.textContent);
  }

  showLost(lost) {
    this.lost = lost;
    this.away.hidden = !lost;
    this.root.classList.toggle("lost", lost);
    document.documentElement.classList.toggle(LOST_CLASS, lost);
    this.tick();
  }

  schedule() {
    if (this.frame === 0) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.paint();
      });
    }
  }

  paint() {
    for (const [name, card] of this.cards) {
      if (this.house.devices.get(name) !== card.device || this.house.hidden.has(name)) {
        card.element.remove();
        this.cards.delete(name);
      }
    }
    for (const device of this.house.shown) {
      const { name } = device;
      if (!this.cards.has(name)) this.cards.set(name, new Card(device, (chosen) => this.choose(chosen)));
      if (device.changed) this.cards.get(name).paint(this.now, this.zone, this.colours);
      device.changed = false;
    }
    this.tick();
    this.showChosen();
  }

  tick() {
    const counted = { online: 0, late: 0, silent: 0, unknown: 0 };
    const news = [];
    for (const [name, card] of this.cards) {
      const before = card.kind;
      const kind = card.tick(this.now, this.zone, this.lost);
      counted[kind] += 1;
      if (this.announced?.has(name) && this.announced.get(name) !== kind) news.push(`${name} is ${kind}`);
      if (before !== kind) this.arranged = null;
    }
    for (const kind of KINDS) {
      write(this.count[kind], `${counted[kind]} ${kind}`);
      this.count[kind].parentElement.classList.toggle("zero", counted[kind] === 0);
      this.count[kind].parentElement.hidden = kind === "unknown" && counted[kind] === 0;
    }
    this.announced = new Map([...this.cards].map(([name, card]) => [name, card.kind]));
    if (news.length > 0) this.say(news.length > 3 ? `${news.length} devices changed` : news.join(", "));
    this.arrange();
  }

  /** Cards that are searched for, in the order that was asked for. Moves nothing that is in its place. */
  arrange() {
    this.tools.hidden = this.cards.size < TOOLS_FROM;
    const wanted = this.tools.hidden ? "" : this.search.value.trim().toLowerCase();
    const rank = (card) => (this.sort.value === "trouble" ? RANKS[card.kind] : 0);
    const byPlace = this.sort.value === "place" ? ({ device: one }, { device: other }) => compareAreas(one.area, other.area) : () => 0;
    const shown = [...this.cards.values()]
      .filter((card) => fits(card.device, wanted))
      .sort((one, other) => rank(one) - rank(other) || byPlace(one, other) || byTitle(one.device, other.device));
    const key = shown.map((card) => card.device.name).join("\n");
    if (key === this.arranged) return;
    this.arranged = key;
    const focused = this.root.getRootNode().activeElement;
    this.list.replaceChildren(...shown.map((card) => card.element));
    if (focused?.isConnected) focused.focus({ preventScroll: true });
    this.none.hidden = shown.length > 0;
    write(this.none, `No device is called \u201c${this.search.value.trim()}\u201d. Clear the search to see all ${this.cards.size}.`);
  }

  choose(name) {
    this.chosen = name;
    this.showChosen();
    this.send("device", name);
    showChart();
  }

  showChosen() {
    for (const [name, card] of this.cards) card.choose(name === this.chosen);
  }

  say(text) {
    write(this.said, text);
  }

  close() {
    this.stream?.close();
    document.documentElement.classList.remove(LOST_CLASS);
    clearInterval(this.timer);
    cancelAnimationFrame(this.frame);
    document.removeEventListener("visibilitychange", this.onWake);
    this.root.remove();
  }
}

function byTitle(one, other) {
  return titleOf(one).localeCompare(titleOf(other), "en", { numeric: true }) || (one.name < other.name ? -1 : 1);
}

/** Devices of which nobody said where they stand come last. */
function compareAreas(one, other) {
  return (one === null) - (other === null) || (one ?? "").localeCompare(other ?? "", "en", { numeric: true });
}

/** Bring the chart into sight, unless a good part of it is. */
function showChart() {
  const heading = document.getElementById(CHART_ANCHOR);
  if (heading === null || heading.getBoundingClientRect().top < innerHeight * 0.6) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  heading.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
}

/** Called at each rerun and each change of theme; the last one's answer ends it. */
export default function liveCards(component) {
  return mount(Cards, component);
}
