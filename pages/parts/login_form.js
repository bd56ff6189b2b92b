// The login form's fields tell the browser what they are, so that password managers can fill them in.

const FORM = ".st-key-log_in, [data-testid=stForm]";

export default function () {
  const form = document.querySelector(FORM);
  if (form === null) return;
  describe(form);
  const watcher = new MutationObserver(() => describe(form));
  watcher.observe(form, { childList: true, subtree: true, attributes: true, attributeFilter: ["autocomplete", "type"] });
  return () => watcher.disconnect();
}

function describe(form) {
  const [name, password] = form.querySelectorAll("input");
  set(name, { autocomplete: "username", autocapitalize: "none", spellcheck: "false", name: "username" });
  set(password, { autocomplete: "current-password", name: "password" });
}

function set(input, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (input !== undefined && input.getAttribute(name) !== value) input.setAttribute(name, value);
  }
}
