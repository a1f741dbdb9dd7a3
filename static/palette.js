// The command palette and the keyboard shortcuts.
(() => {
  "use strict";

  const palette = document.getElementById("palette");
  if (!palette) return; // a stranger's page
  const input = document.getElementById("palette-input");
  const list = document.getElementById("palette-list");
  const status = document.getElementById("palette-status");
  const WAIT = 120; // milliseconds after the last key

  /* --- the palette: a combobox with a list, whose lines are the search page's -------------------- */

  let asked = 0;
  let running = null;
  let timer = null;
  const options = () => [...list.querySelectorAll("[role=option]")];
  const chosen = () => list.querySelector("[aria-selected=true]");

  const choose = (option) => {
    chosen()?.setAttribute("aria-selected", "false");
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) input.setAttribute("aria-activedescendant", option.id);
    else input.removeAttribute("aria-activedescendant");
  };

  const recentKey = `recently-${palette.dataset.me}`;
  const recently = () => {
    try {
      return JSON.parse(sessionStorage.getItem(recentKey) || "[]");
    } catch {
      return [];
    }
  };
  // What somebody looked at in this tab; text is set as text, never as markup.
  const addRecent = () => {
    const found = recently().filter((each) => each.path !== location.pathname);
    if (!found.length) return;
    const group = document.createElement("div");
    group.setAttribute("role", "group");
    group.setAttribute("aria-labelledby", "found-recent");
    const title = document.createElement("div");
    title.className = "palette-title";
    title.id = "found-recent";
    title.textContent = "Recently";
    group.append(title);
    found.slice(0, 4).forEach((each, index) => {
      const line = document.createElement("a");
      line.className = "hit";
      line.id = `hit-recent-${index}`;
      line.href = each.path;
      line.tabIndex = -1;
      line.setAttribute("role", "option");
      line.setAttribute("aria-selected", "false");
      line.textContent = each.title;
      group.append(line);
    });
    list.prepend(group);
  };

  const show = (markup, text) => {
    list.innerHTML = markup; // our own server's, which escapes what people wrote
    if (!text) addRecent();
    const all = options();
    input.setAttribute("aria-expanded", String(all.length > 0));
    choose(all[0]);
    list.scrollTop = 0;
    status.textContent = all.length === 1 ? "1 result" : `${all.length} results`;
  };

  const look = async () => {
    const text = input.value.trim();
    const mine = ++asked;
    running?.abort();
    running = new AbortController();
    try {
      const address = `${palette.dataset.source}?${new URLSearchParams({ q: text, part: "palette" })}`;
      const answer = await fetch(address, { signal: running.signal, credentials: "same-origin" });
      if (mine !== asked) return; // an answer to what is no longer asked
      if (answer.redirected) return location.reload(); // signed out meanwhile
      if (!answer.ok) throw new Error(String(answer.status));
      const markup = await answer.text();
      if (mine === asked) show(markup, text);
    } catch (problem) {
      if (mine === asked && problem.name !== "AbortError") {
        status.textContent = "Search does not answer. Press Enter to try its page.";
      }
    }
  };

  const open = () => {
    if (palette.open) return;
    for (const other of document.querySelectorAll("dialog[open]")) other.close();
    for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
    input.value = "";
    list.replaceChildren();
    status.textContent = "";
    palette.showModal();
    input.focus();
    look();
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, WAIT);
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const all = options();
    const at = all.indexOf(chosen());
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 5, PageUp: at - 5 }[event.key];
    if (to !== undefined && all.length) {
      event.preventDefault();
      const far = event.key.startsWith("Page");
      choose(all[far ? Math.min(Math.max(to, 0), all.length - 1) : (to + all.length) % all.length]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      const line = chosen();
      const page = `${palette.dataset.source}?${new URLSearchParams({ q: input.value })}`;
      if (!line) location.assign(page);
      else if (event.ctrlKey || event.metaKey) window.open(line.href, "_blank", "noopener");
      else {
        palette.close();
        location.assign(line.href);
      }
    }
  });
  list.addEventListener("click", (event) => {
    if (event.target.closest("a") && !event.ctrlKey && !event.metaKey) palette.close();
  });
  palette.addEventListener("close", () => {
    ++asked;
    clearTimeout(timer);
    running?.abort();
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  });

  /* --- dialogs ------------------------------------------------------------------------------------ */

  const help = document.getElementById("keys");
  const openHelp = () => {
    if (palette.open) palette.close();
    for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
    if (!help.open) help.showModal();
  };
  document.addEventListener("click", (event) => {
    const closes = event.target.closest("[data-closes]");
    if (closes) document.getElementById(closes.dataset.closes).close();
    // A click beside a dialog is a click on its backdrop.
    else if (event.target instanceof HTMLDialogElement) event.target.close();
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    if (event.target.closest("a.find")) {
      event.preventDefault();
      open();
    } else if (event.target.closest("[data-opens=keys]")) {
      event.preventDefault();
      openHelp();
    }
  });
  for (const key of document.querySelectorAll(".find-key")) {
    if (/Mac|iPhone|iPad/.test(navigator.platform)) key.textContent = "⌘ K";
    key.hidden = false;
  }

  /* --- shortcuts ------------------------------------------------------------------------------------ */

  const visible = (element) => element.getClientRects().length > 0;
  const LINES = "[data-item], .ask, .rows > .row, .matrix tbody tr, .table tbody tr, .event, .choice";
  const INSIDE = "a[href], summary, button:not([disabled]), input:not([disabled])";
  const lines = () =>
    [...document.querySelectorAll(LINES)].filter(
      (line) => line.closest("main") && visible(line) && [...line.querySelectorAll(INSIDE)].some(visible),
    );

  const step = (by) => {
    const all = lines();
    if (!all.length) return;
    let at = -1;
    all.forEach((line, index) => {
      if (line.contains(document.activeElement)) at = index;
    });
    if (at < 0) at = by > 0 ? -1 : all.length;
    const line = all[Math.min(Math.max(at + by, 0), all.length - 1)];
    [...line.querySelectorAll(INSIDE)].find(visible).focus({ preventScroll: true });
    line.scrollIntoView({ block: "nearest" });
  };

  const focusOn = (selector) => {
    const found = [...document.querySelectorAll(selector)].find(visible);
    found?.focus();
    found?.scrollIntoView({ block: "nearest" });
    return Boolean(found);
  };

  const reject = () => {
    const reason = document.getElementById("decision-text");
    const there = document.querySelector(".actions button[value=reject]");
    if (there && reason && visible(reason) && !reason.value.trim()) reason.focus();
    else focusOn(".actions button[value=reject]");
  };

  let waitsForPlace = 0; // until when `g` was the key before
  const KEYS = {
    "?": openHelp,
    "/": () =>
      focusOn("main [data-filter], main .filters input[name=q], main input[type=search]") || open(),
    j: () => step(1),
    k: () => step(-1),
    e: () => document.dispatchEvent(new CustomEvent("exact-times")),
    a: () => focusOn(".actions button[value=approve]"),
    r: reject,
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    const letter = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && letter === "k") {
      event.preventDefault();
      if (palette.open) palette.close();
      else open();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && !"jk".includes(letter)) return;
    if (!("keys" in document.body.dataset) || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
    const goes = event.timeStamp < waitsForPlace;
    waitsForPlace = 0;
    if (goes) {
      const place = [...document.querySelectorAll("#keys [data-go]")].find((each) => each.dataset.go === letter);
      if (place) {
        event.preventDefault();
        location.assign(place.href);
      }
      return;
    }
    if (letter === "g" && !event.shiftKey) waitsForPlace = event.timeStamp + 1500;
    else if (Object.hasOwn(KEYS, event.key)) {
      event.preventDefault();
      KEYS[event.key]();
    }
  });

  /* --- what was looked at in this tab ------------------------------------------------------------ */

  if (/^\/(models|promotions|changes)\//.test(location.pathname)) {
    const title = document.title.replace(/^\(\d+\) /, "").replace(/ · Countersign$/, "");
    const before = recently().filter((each) => each.path !== location.pathname);
    try {
      const entries = [{ path: location.pathname, title }, ...before].slice(0, 6);
      sessionStorage.setItem(recentKey, JSON.stringify(entries));
    } catch {
      // Without storage there is nothing recent.
    }
  }
})();
