// One actuator as a card: what its device reports, what it is asked for, and the button for it. Needs order.js, dom.js,
// standing.js.

// A press so soon after a button changed its word was meant for the word before, or is the second half of a double one.
const MEANT_BEFORE_MS = 500;
const VERBS = { ON: "Turn on", OFF: "Turn off" };

class ActuatorCard {
  /** `ask(order)` is called when somebody asks for a state. `may`: whether there are buttons at all. */
  constructor(device, name, ask) {
    Object.assign(this, { device, name, ask, kind: null, progress: null, said: undefined });
    this.element = make("li", "card");
    const head = make("div", "head");
    const heading = make("h3", "name");
    this.title = make("span", "device");
    heading.append(this.title, make("span", "actuator", name));
    this.standing = make("span", "standing");
    this.word = make("span", "word");
    this.standing.append(make("span", "shape"), this.word);
    head.append(heading, this.standing);
    this.state = make("span", "state");
    this.mark = make("span", "mark");
    this.stateText = make("span");
    this.state.append(this.mark, this.stateText);
    this.asking = make("div", "asking");
    const now = make("div", "now");
    now.append(this.state, this.asking);
    this.since = make("p", "since");
    this.element.append(head, now, this.since, this.buildProgress());
    this.buttons = ["ON", "OFF"].map((order) => this.buildButton(order));
    this.number = null;
    this.shownTargets = null;
    this.changedAt = -Infinity;
  }

  buildProgress() {
    this.progressLine = make("div", "progress");
    this.progressText = make("span", "progress-text");
    this.progressShape = make("span", "shape");
    this.again = make("button", "again", "Try again");
    this.again.type = "button";
    this.again.append(make("span", "unseen", ` ${this.name} of ${this.device.name}`));
    this.again.addEventListener("click", () => this.ask(this.progress.again));
    this.bar = make("span", "bar");
    this.progressLine.append(this.progressShape, this.progressText, this.again, this.bar);
    return this.progressLine;
  }

  buildButton(order) {
    const button = make("button", "verb", VERBS[order]);
    button.type = "button";
    button.append(make("span", "unseen", ` ${this.name} of ${this.device.name}`));
    button.addEventListener("click", () => {
      if (performance.now() - this.changedAt < MEANT_BEFORE_MS) return;
      this.changedAt = performance.now();
      this.ask(order);
    });
    return { order, button };
  }

  /** Show what changed. `view`: {now, zone, may, lost, command, commands, press}. */
  paint(view) {
    this.actuator = this.device.actuators.get(this.name);
    this.view = view;
    write(this.title, titleOf(this.device));
    this.title.title = this.device.name;
    write(this.stateText, stateWord(this.actuator));
    this.element.dataset.state = this.actuator.state === "ON" || this.actuator.state === "OFF" ? this.actuator.state : this.actuator.state === null ? "none" : "number";
    const by = broughtBy(this.actuator, view.commands);
    this.by = by === null ? "" : ` \u00b7 by ${by}`;
    if (!view.may) this.asking.replaceChildren();
    else if (kindOf(this.actuator) === "number") this.paintNumber(view);
    else this.paintSwitch(view);
    this.tick(view.now, view.zone, view.lost);
  }

  paintSwitch({ command, press, lost }) {
    const targets = targetsOf(this.actuator, command, press);
    const key = targets.join();
    if (key !== this.shownTargets) {
      if (this.shownTargets !== null) this.changedAt = performance.now();
      this.shownTargets = key;
      const shown = this.buttons.filter(({ order }) => targets.includes(order)).map(({ button }) => button);
      const focused = this.asking.getRootNode().activeElement;
      const had = this.buttons.some(({ button }) => button === focused);
      this.asking.replaceChildren(...shown);
      if (had) shown[0].focus({ preventScroll: true });
    }
    for (const { button } of this.buttons) button.disabled = lost;
  }

  paintNumber({ command, press, lost }) {
    this.number ??= new NumberField(this.device.name, this.name, this.ask);
    if (this.asking.firstChild !== this.number.element) this.asking.replaceChildren(this.number.element);
    this.shownTargets = null;
    this.number.paint(this.actuator, wantedOf(command, press), lost);
  }

  /** Show what time alone changes. Returns what is worth reading out, or null. */
  tick(now, zone, lost) {
    const { actuator, view } = this;
    const standing = standingOf(this.device, now, zone);
    if (!lost && standing.kind !== this.kind) {
      this.kind = standing.kind;
      this.element.dataset.kind = standing.kind;
      this.standing.firstChild.className = `shape ${standing.kind}`;
    }
    if (!lost) write(this.word, standing.kind === "silent" || standing.kind === "unknown" ? standing.text : standing.kind);
    const since = actuator.since === null ? "Never reported" : `since ${formatMoment(actuator.since, now, zone)}${this.by}`;
    write(this.since, since);
    const exact = actuator.since === null ? "" : formatExact(actuator.since, zone);
    if (this.since.title !== exact) this.since.title = exact;
    return this.tickProgress(progressOf({ actuator, command: view.command, press: view.press, now, kind: this.kind }));
  }

  tickProgress(progress) {
    this.progress = progress;
    const kind = progress?.kind ?? "none";
    if (this.progressLine.dataset.kind !== kind) {
      this.progressLine.dataset.kind = kind;
      const shapes = { waiting: "waiting", done: "online", trouble: "trouble", told: "silent" };
      this.progressShape.className = `shape ${shapes[kind] ?? ""}`;
    }
    write(this.progressText, progress?.text ?? "");
    this.again.hidden = !this.view.may || progress?.again === undefined;
    this.again.disabled = this.view.lost;
    this.bar.style.setProperty("--share", String(progress?.share ?? 0));
    const news = kind === this.said || this.said === undefined || kind === "none" ? null : `${this.device.name} ${this.name}: ${progress.text}`;
    this.said = kind;
    return news;
  }

  /** Whether its words change several times a second. */
  get hurries() {
    return this.progress?.kind === "waiting" && this.progress.share !== undefined;
  }

  /** Higher is worse: what needs a person, then what is under way, then what is not there. */
  get trouble() {
    const rank = { trouble: 4, waiting: 3 }[this.progress?.kind] ?? 0;
    return Math.max(rank, { silent: 2, late: 1 }[this.kind] ?? 0);
  }
}

/** A number to ask for: a field, a slider where the range is known, and a button that says what it would do. */
class NumberField {
  constructor(device, name, ask) {
    this.touched = false;
    this.element = make("form", "number");
    this.field = make("input", "figure");
    Object.assign(this.field, { type: "number", step: "any", inputMode: "decimal", autocomplete: "off" });
    this.field.setAttribute("aria-label", `${name} of ${device}`);
    this.slider = make("input", "slider");
    this.slider.type = "range";
    this.slider.setAttribute("aria-label", `${name} of ${device}, slider`);
    this.button = make("button", "verb");
    this.verb = make("span", "", "Set");
    this.button.append(this.verb, make("span", "unseen", ` ${name} of ${device}`));
    this.problem = make("p", "wrong");
    this.problem.setAttribute("role", "alert");
    this.element.append(this.slider, this.field, this.button, this.problem);
    this.field.addEventListener("input", () => this.take(this.field.value));
    this.slider.addEventListener("input", () => this.take(this.slider.value));
    this.element.noValidate = true;
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      const { order, problem } = orderOf(this.field.value, this.actuator);
      write(this.problem, problem ?? "");
      if (problem !== undefined) return;
      this.touched = false;
      ask(order);
    });
  }

  take(text) {
    this.touched = true;
    this.show(text);
  }

  /** `wanted`: what is asked for already, as text, null if nothing is. */
  paint(actuator, wanted, lost) {
    this.actuator = actuator;
    const { minimum, maximum, step } = actuator;
    const ranged = minimum != null && maximum != null;
    this.slider.hidden = !ranged;
    if (ranged) Object.assign(this.slider, { min: minimum, max: maximum, step: step ?? "any" });
    Object.assign(this.field, { min: minimum ?? "", max: maximum ?? "", step: step ?? "any" });
    this.button.disabled = lost;
    if (!this.touched) this.show(wanted ?? (Number.isFinite(Number(actuator.state ?? NaN)) ? actuator.state : ""));
  }

  show(text) {
    if (this.field.value !== text) this.field.value = text;
    if (!this.slider.hidden && text !== "") this.slider.value = text;
    const { order } = orderOf(text, this.actuator);
    write(this.verb, order === undefined ? "Set" : `Set to ${stateWord({ state: String(order), unit: this.actuator.unit })}`);
    write(this.problem, "");
  }
}
