// Shows HTML that the server made and escaped, and tells it which of the buttons in it was pressed.

export default function ({ parentElement, data, setTriggerValue }) {
  let root = parentElement.querySelector(":scope > .sm-acting");
  if (root === null) {
    root = document.createElement("div");
    root.className = "sm-acting stHtml";
    parentElement.append(root);
  }
  if (root.shown !== data.html) show(root, data.html);
  root.onclick = (event) => {
    const button = event.target.closest("button[data-act]");
    if (button !== null) setTriggerValue("act", button.dataset.act);
  };
}

/** New HTML in place of the old; what was open stays open, and what had the focus keeps it. */
function show(root, html) {
  const open = [...root.querySelectorAll("details[open][data-id]")].map((one) => one.dataset.id);
  const focused = root.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  root.shown = html;
  root.innerHTML = html;
  for (const one of root.querySelectorAll("details[data-id]")) one.open = open.includes(one.dataset.id);
  if (focused === null) return;
  [...root.querySelectorAll("button, summary")].find((one) => nameOf(one) === focused)?.focus({ preventScroll: true });
}

function nameOf(element) {
  return element.dataset.act ?? element.closest("details")?.dataset.id ?? null;
}
