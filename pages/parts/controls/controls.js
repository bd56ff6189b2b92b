// All actuators: painted from the page's data at once, moved by the event stream from then on. A press goes to the page,
// which answers it; what becomes of it comes by the stream. A state is shown when its device reported it, never before.

const TOOLS_FROM = 9;
const LIVE_PATH = "api/live/";
const LOST_CLASS = "sm-lost";
const SLOW_MS = 1000;
const QUICK_MS = 100;
// The page's data is asked for again this long after something came that it alone knows more about.
const REFRESH_AFTER_MS = 500;

class Controls {
  constructor(parent) {
    this.house = new House();
    this.cards = new Map();
    this.sections = new Map();
    this.presses = new Map();
    this.arrangement = null; // the sections as they were arranged last, until something makes others of them
    this.last = new CommandList();
    this.lost = false;
    this.dataNow = 0;
    this.offset = 0;
    this.frame = 0;
    this.build();
    parent.append(this.root);
    this.timer = setInterval(() => document.hidden || this.tick(), SLOW_MS);
    this.quick = 0;
    this.onWake = () => document.hidden || this.schedule();
    document.addEventListener("visibilitychange", this.onWake);
  }

  build() {
    this.root = make("div", "live control");
    this.away = make("p", "away");
    this.away.hidden = true;
    this.places = make("div", "places");
    this.none = make("p", "none");
    this.none.hidden = true;
    this.said = make("p", "unseen");
    this.said.setAttribute("role", "status");
    this.root.append(this.away, this.buildTools(), this.none, this.places, this.last.element, this.said);
  }

  buildTools() {
    const sorts = [["place", "By place"], ["name", "By name"], ["trouble", "Trouble first"]];
    const tools = makeTools("Search devices and places", "Sort actuators", sorts, () => this.rearrange());
    Object.assign(this, { tools: tools.element, search: tools.search, sort: tools.sort });
    return this.tools;
  }

  /** Take what the page gives. Called again with the same data too. */
  take({ data, setTriggerValue }) {
    this.send = setTriggerValue;
    this.zone = data.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
    this.may = data.may;
    this.last.element.hidden = !data.commands_shown;
    if (data.now !== this.dataNow) {
      this.dataNow = data.now;
      this.offset = data.now - Date.now();
      this.house.takeData(data);
      this.takeAnswers(data.answers);
      this.arrangement = null; // names and places may be others
    }
    this.paint();
    this.stream ??= new Stream(new URL(LIVE_PATH, document.baseURI), () => this.house.lastId, {
      take: (kind, id, body) => this.takeEvent(kind, id, body),
      up: (awayMs) => this.up(awayMs),
      down: (lostAt) => this.down(lostAt),
    });
  }

  takeAnswers(answers) {
    for (const { press, command, problem } of answers) {
      const known = this.presses.get(press);
      if (known === undefined || known.problem !== null) continue;
      Object.assign(known, { command, problem });
      if (problem === null) this.presses.delete(press);
      this.house.deviceOf(known.device).changed = true;
    }
  }

  get now() {
    return Date.now() + this.offset;
  }

  takeEvent(kind, id, body) {
    this.house.takeEvent(kind, id, body);
    if (kind === "command") this.forgetProblem(body);
    // Of an actuator that is new the page knows its range, of a command who made it.
    if (kind === "state" && this.may !== undefined && !this.cards.has(keyOf(body.device, body.actuator))) this.refreshSoon();
    if (kind === "command" && this.house.commands.get(body.id)?.by === null && !this.last.element.hidden) this.refreshSoon();
    this.schedule();
  }

  /** A press that went wrong is of no interest any more once something newer is asked. */
  forgetProblem({ device, actuator }) {
    for (const [id, press] of this.presses) {
      if (press.problem !== null && press.device === device && press.actuator === actuator) this.presses.delete(id);
    }
  }

  refreshSoon() {
    this.refreshing ??= setTimeout(() => {
      this.refreshing = undefined;
      this.send("refresh", Date.now());
    }, REFRESH_AFTER_MS);
  }

  up(awayMs) {
    this.showLost(false);
    if (awayMs > SLOW_MS) this.send("refresh", Date.now());
  }

  down(lostAt) {
    write(this.away, `Connection lost, trying again. What is below is from ${formatClock(lostAt + this.offset, this.zone)}; nothing can be asked until it is back.`);
    this.showLost(true);
    write(this.said, this.away.textContent);
  }

  showLost(lost) {
    this.lost = lost;
    this.away.hidden = !lost;
    this.root.classList.toggle("lost", lost);
    document.documentElement.classList.toggle(LOST_CLASS, lost);
    for (const device of this.house.devices.values()) device.changed = true;
    this.paint();
  }

  /** Ask for a state of each of these. One that is asked anew replaces what was asked before and not answered yet. */
  ask(cards, order) {
    const asked = cards.map((card) => {
      for (const [id, press] of this.presses) {
        if (press.device === card.device.name && press.actuator === card.name) this.presses.delete(id);
      }
      const press = { id: crypto.randomUUID?.() ?? randomId(), device: card.device.name, actuator: card.name, order, at: Date.now(), problem: null };
      this.presses.set(press.id, press);
      card.device.changed = true;
      return { device: press.device, press };
    });
    const open = [...this.presses.values()].filter((press) => press.problem === null);
    this.send("presses", open.map(({ id, device, actuator, order: what }) => ({ id, device, actuator, order: what })));
    this.schedule();
    return asked;
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
    const newest = this.house.newestCommands();
    const byActuator = grouped(newest);
    const pressed = new Map([...this.presses.values()].map((press) => [keyOf(press.device, press.actuator), press]));
    this.forget();
    for (const device of this.house.shown) {
      for (const name of device.actuators.keys()) {
        const key = keyOf(device.name, name);
        const fresh = !this.cards.has(key);
        if (fresh) this.add(key, device, name);
        if (!fresh && !device.changed) continue;
        const commands = byActuator.get(key) ?? [];
        this.cards.get(key).paint({
          now: this.now, zone: this.zone, may: this.may, lost: this.lost, commands, command: commands[0], press: pressed.get(key),
        });
      }
      device.changed = false;
    }
    this.last.paint({ newest, devices: this.house.devices, now: this.now, zone: this.zone });
    this.tick();
  }

  add(key, device, name) {
    const card = new ActuatorCard(device, name, (order) => this.ask([card], order));
    this.cards.set(key, card);
    this.arrangement = null;
  }

  /** Cards of actuators that are no more. */
  forget() {
    for (const [key, card] of this.cards) {
      const device = this.house.devices.get(card.device.name);
      if (device === card.device && device.actuators.has(card.name) && !this.house.hidden.has(device.name)) continue;
      card.element.remove();
      this.cards.delete(key);
      this.arrangement = null;
    }
  }

  tick() {
    this.giveUpPresses();
    this.tickCards([...this.cards.values()]);
    this.last.tick(this.now, this.zone);
    this.arrange();
    this.hurry([...this.cards.values()].some((card) => card.hurries));
  }

  tickCards(cards) {
    const news = [];
    for (const card of cards) {
      const before = card.trouble;
      const said = card.tick(this.now, this.zone, this.lost);
      if (said !== null) news.push(said);
      if (card.trouble !== before && this.sort.value === "trouble") this.arrangement = null;
    }
    if (news.length > 0) write(this.said, news.length > 3 ? `${news.length} actuators have news` : news.join(". "));
  }

  /** Count tenths of seconds while somebody waits for a device. */
  hurry(hurries) {
    if (hurries === (this.quick !== 0)) return;
    clearInterval(this.quick);
    const count = () => this.tickCards([...this.cards.values()].filter((card) => card.hurries));
    this.quick = hurries ? setInterval(() => document.hidden || count(), QUICK_MS) : 0;
  }

  giveUpPresses() {
    for (const press of this.presses.values()) {
      if (press.problem !== null || Date.now() - press.at < UNANSWERED_MS) continue;
      press.problem = "The server did not answer, so it is not known whether it was asked. Look at the last commands below.";
      const device = this.house.devices.get(press.device);
      if (device !== undefined) device.changed = true;
      this.schedule();
    }
  }

  rearrange() {
    this.arrangement = null;
    this.arrange();
  }

  /** The sections as they are to be: what is searched for, in the order that was asked for. */
  arranged() {
    this.tools.hidden = this.cards.size < TOOLS_FROM;
    const wanted = this.tools.hidden ? "" : this.search.value.trim().toLowerCase();
    const order = this.tools.hidden ? "place" : this.sort.value;
    const shown = [...this.cards.values()]
      .filter((card) => fits(card.device, wanted) || card.name.toLowerCase().includes(wanted))
      .sort((one, other) => (order === "trouble" ? other.trouble - one.trouble : 0) || byName.compare(nameOf(one), nameOf(other)));
    this.none.hidden = shown.length > 0;
    const searched = `Nothing here is called \u201c${this.search.value.trim()}\u201d. Clear the search to see all ${this.cards.size}.`;
    write(this.none, wanted ? searched : "All devices that can be controlled are hidden. An admin shows them again on Devices.");
    return order === "place" ? sectionsOf(shown) : [{ title: "", cards: shown, groups: new Map() }];
  }

  /** Moves nothing that is in its place. */
  arrange() {
    this.arrangement ??= this.arranged();
    const sections = this.arrangement;
    const view = { may: this.may, lost: this.lost, presses: this.presses, commands: this.house.commands };
    for (const title of [...this.sections.keys()]) {
      if (sections.some((section) => section.title === title)) continue;
      this.sections.get(title).element.remove();
      this.sections.delete(title);
    }
    sections.forEach((section, index) => {
      if (!this.sections.has(section.title)) this.sections.set(section.title, new Section((cards, state) => this.ask(cards, state)));
      const place = this.sections.get(section.title);
      if (this.places.children[index] !== place.element) this.places.insertBefore(place.element, this.places.children[index] ?? null);
      place.paint(section, sections.length === 1, view);
    });
  }

  close() {
    this.stream?.close();
    document.documentElement.classList.remove(LOST_CLASS);
    clearInterval(this.timer);
    clearInterval(this.quick);
    clearTimeout(this.refreshing);
    cancelAnimationFrame(this.frame);
    document.removeEventListener("visibilitychange", this.onWake);
    this.root.remove();
  }
}

const byName = new Intl.Collator("en", { numeric: true });

function keyOf(device, actuator) {
  return `${device}\n${actuator}`;
}

function nameOf(card) {
  return `${titleOf(card.device)} ${card.name}`;
}

function grouped(commands) {
  const groups = new Map();
  for (const one of commands) {
    const key = keyOf(one.device, one.actuator);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(one);
  }
  return groups;
}

/** Where the page came over plain HTTP from another machine, the browser has no randomUUID. */
function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Called at each rerun and each change of theme; the last one's answer ends it. */
export default function controls(component) {
  return mount(Controls, component);
}
