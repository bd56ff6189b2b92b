// Actuators of one place, and one order for all of a name. Needs order.js, dom.js.

/** {title, cards, groups: Map name -> cards} for each area, those without one last; one for all where none is known. */
function sectionsOf(cards) {
  const sections = new Map();
  for (const card of cards) {
    const title = card.device.area ?? "";
    if (!sections.has(title)) sections.set(title, []);
    sections.get(title).push(card);
  }
  const titles = [...sections.keys()].sort((one, other) => (one === "") - (other === "") || byName.compare(one, other));
  return titles.map((title) => ({ title, cards: sections.get(title), groups: groupsOf(sections.get(title)) }));
}

/** Switches that have one name, where there are two or more. */
function groupsOf(cards) {
  const groups = new Map();
  for (const card of cards) {
    const actuator = card.device.actuators.get(card.name);
    if (actuator === undefined || kindOf(actuator) !== "switch") continue;
    if (!groups.has(card.name)) groups.set(card.name, []);
    groups.get(card.name).push(card);
  }
  return new Map([...groups].filter(([, of]) => of.length > 1).sort());
}

/** One area on the page: its title, a line for each group, its cards. */
class Section {
  /** `askAll(cards, order)` asks all of them. */
  constructor(askAll) {
    this.askAll = askAll;
    this.element = make("section", "area");
    this.title = make("h2", "area-title");
    this.groupList = make("div", "groups");
    this.list = make("ul", "cards");
    this.list.setAttribute("role", "list");
    this.element.append(this.title, this.groupList, this.list);
    this.groups = new Map();
  }

  /** `only`: there is no other section, so nothing needs a name. */
  paint({ title, cards, groups }, only, view) {
    write(this.title, title || (only ? "All actuators" : "Without a place"));
    this.title.classList.toggle("unseen", only && title === "");
    for (const name of [...this.groups.keys()]) {
      if (groups.has(name)) continue;
      this.groups.get(name).element.remove();
      this.groups.delete(name);
    }
    for (const [name, of] of groups) {
      if (!this.groups.has(name)) this.groups.set(name, new Group(name, title, this.askAll));
      this.groups.get(name).paint(of, view);
    }
    const lines = [...this.groups].sort().map(([, group]) => group.element);
    if (lines.some((line, index) => this.groupList.children[index] !== line)) this.groupList.replaceChildren(...lines);
    const shown = cards.map((card) => card.element);
    if (shown.length === this.list.children.length && shown.every((one, index) => this.list.children[index] === one)) return;
    const focused = this.element.getRootNode().activeElement;
    this.list.replaceChildren(...shown);
    if (focused?.isConnected) focused.focus({ preventScroll: true });
  }
}

/** "led: 3 on, 1 off", with a button for each state, and what came of the last order. */
class Group {
  constructor(name, place, askAll) {
    this.run = null;
    this.element = make("div", "group");
    this.text = make("span", "group-text");
    this.buttons = ["ON", "OFF"].map((order) => {
      const button = make("button", "verb", VERBS[order]);
      button.type = "button";
      button.append(make("span", "", " all"), make("span", "unseen", ` ${name}${place ? ` of ${place}` : ""}`));
      button.addEventListener("click", () => {
        this.run = { order, items: askAll(this.cards, order) };
      });
      return button;
    });
    this.outcome = make("div", "outcome");
    this.outcome.setAttribute("role", "status");
    const verbs = make("span", "verbs");
    verbs.append(...this.buttons);
    this.element.append(make("b", "", name), this.text, verbs, this.outcome);
  }

  paint(cards, { may, lost, presses, commands }) {
    this.cards = cards;
    write(this.text, standOf(cards.map((card) => card.device.actuators.get(card.name))));
    for (const button of this.buttons) {
      button.hidden = !may;
      button.disabled = lost;
    }
    if (this.run === null) return;
    const runs = this.run.items.map(({ device, press }) => ({
      device, press: presses.get(press.id), command: commands.get(press.command),
    }));
    const { text, bad } = groupOutcome(this.run.order, null, runs);
    const key = `${text}\n${bad.join("\n")}`;
    if (key === this.shown) return;
    this.shown = key;
    const list = make("ul", "bad");
    for (const [device, why] of bad) {
      const item = make("li");
      item.append(make("b", "", device), ` ${why}`);
      list.append(item);
    }
    this.outcome.replaceChildren(make("p", "", text), ...(bad.length > 0 ? [list] : []));
  }
}
