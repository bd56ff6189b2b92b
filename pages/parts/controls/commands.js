// The last commands as a table: when, who, what, how long, and how it ended. Needs order.js, dom.js.

const LISTED = 15;

class CommandList {
  constructor() {
    this.element = make("section", "last");
    this.body = make("tbody");
    this.none = make("p", "none", "Nothing was asked yet. Each command stays here with who asked, and how it ended.");
    this.more = make("button", "plain", "Show all");
    this.more.type = "button";
    this.more.addEventListener("click", () => {
      this.all = true;
      this.paint(this.view);
    });
    this.all = false;
    this.rows = new Map();
    this.element.append(make("h2", "", "Last commands"), this.none, this.buildTable(), this.more);
  }

  buildTable() {
    this.table = make("table");
    this.table.setAttribute("role", "table");
    this.table.append(make("caption", "unseen", "Last commands"));
    const head = make("tr");
    head.setAttribute("role", "row");
    for (const name of COLUMNS) {
      const cell = make("th", "", name);
      cell.scope = "col";
      cell.setAttribute("role", "columnheader");
      head.append(cell);
    }
    const top = make("thead");
    for (const group of [top, this.body]) group.setAttribute("role", "rowgroup");
    top.append(head);
    this.table.append(top, this.body);
    return this.table;
  }

  /** `view`: {newest, devices, now, zone}. */
  paint(view) {
    this.view = view;
    const shown = view.newest.slice(0, this.all ? undefined : LISTED);
    this.none.hidden = shown.length > 0;
    this.table.hidden = shown.length === 0;
    this.more.hidden = shown.length === view.newest.length;
    const ids = new Set(shown.map((command) => command.id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.rows.delete(id);
    }
    shown.forEach((command, index) => {
      if (!this.rows.has(command.id)) this.rows.set(command.id, new CommandRow());
      const row = this.rows.get(command.id);
      row.paint(command, view);
      if (this.body.children[index] !== row.element) this.body.insertBefore(row.element, this.body.children[index] ?? null);
    });
  }

  tick(now, zone) {
    for (const row of this.rows.values()) row.tick(now, zone);
  }
}

const COLUMNS = ["When", "Who", "What", "How long", "How it ended"];

class CommandRow {
  constructor() {
    this.element = make("tr");
    this.element.setAttribute("role", "row");
    this.cells = COLUMNS.map((name, index) => {
      const cell = make(index === 0 ? "th" : "td");
      cell.setAttribute("role", index === 0 ? "rowheader" : "cell");
      if (index === 0) cell.scope = "row";
      else cell.dataset.label = name;
      this.element.append(cell);
      return cell;
    });
    this.end = make("span", "ended");
    this.shape = make("span", "shape");
    this.word = make("span");
    this.evidence = make("span", "evidence");
    this.end.append(this.shape, this.word);
    this.cells[4].append(this.end, this.evidence);
  }

  paint(command, { devices, now, zone }) {
    this.command = command;
    const device = devices.get(command.device);
    const unit = device?.actuators.get(command.actuator)?.unit ?? null;
    const [, who, what] = this.cells;
    write(who, command.by ?? "");
    write(what, `${device === undefined ? command.device : titleOf(device)} ${command.actuator} ${stateWord({ state: command.state, unit })}`);
    const [shape, word] = STATUS_WORDS[command.status];
    this.shape.className = `shape ${shape}`;
    write(this.word, word);
    write(this.evidence, lastStep(command).evidence);
    this.tick(now, zone);
  }

  tick(now, zone) {
    const [when, , , how] = this.cells;
    write(when, formatAge(this.command.made_at, now, zone).replace(/^at /, ""));
    const exact = formatExact(this.command.made_at, zone);
    if (when.title !== exact) when.title = exact;
    write(how, shortSpan((endOf(this.command) ?? now) - this.command.made_at));
  }
}
