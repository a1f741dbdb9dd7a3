// Keeps an open page true: the server tells of changes, the page asks for what changed and works it in.
(() => {
  "use strict";

  const pulse = () => document.getElementById("pulse");

  // --- waking -----------------------------------------------------------------------------------------------------

  let stream = null;
  let healthy = false;
  let last = 0; // the newest event that this page knows of
  let waking = 0; // the timer of a wake-up that is on its way
  let woken = false;
  let asked = Date.now();
  let retry = 0;

  // Many pages hear of one change in the same moment; a fraction of a second keeps them from asking at once, and
  // makes one of several changes in a row.
  const wake = () => {
    if (waking) return;
    waking = setTimeout(() => {
      waking = 0;
      const element = pulse();
      if (!element) return;
      woken = true;
      element.dispatchEvent(new CustomEvent("changed"));
      woken = false;
    }, 60 + Math.random() * 340);
  };
  const concerns = (words) => {
    const about = (pulse()?.dataset.about || "").split(" ").filter(Boolean);
    return !about.length || words.includes("all") || words.some((word) => about.includes(word));
  };
  const close = () => {
    clearTimeout(retry);
    if (stream) stream.close();
    stream = null;
    healthy = false;
  };
  const open = () => {
    const address = pulse()?.dataset.live;
    // A hidden page needs no place among the few connections that a browser opens to one server.
    if (!address || stream || document.hidden || !window.EventSource) return;
    const url = new URL(address, location.href);
    const known = Number(url.searchParams.get("since"));
    if (last > known) url.searchParams.set("since", last);
    stream = new EventSource(url);
    stream.addEventListener("open", () => { healthy = true; });
    stream.addEventListener("changed", (event) => {
      last = Number(event.lastEventId);
      if (concerns(event.data.split(" "))) wake();
    });
    stream.addEventListener("error", () => {
      healthy = false;
      if (!stream || stream.readyState !== EventSource.CLOSED) return; // it comes back by itself
      close();
      retry = setTimeout(open, 30000 + Math.random() * 30000);
    });
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);

  // While the server tells of changes, a page on which nothing moves asks only now and then: for what has no event.
  const CALM = 5; // seconds; pages that follow something ask more often than that
  const RARELY = 30000;
  document.addEventListener("htmx:beforeRequest", (event) => {
    const element = event.detail.elt;
    if (element.id !== "pulse") return;
    const now = Date.now();
    if (healthy && !woken && Number(element.dataset.seconds) >= CALM && now - asked < RARELY) {
      event.preventDefault();
      return;
    }
    asked = now;
  });

  // --- working in what changed ------------------------------------------------------------------------------------

  // The old element becomes like the new one, piece by piece, so that what did not change is not touched: focus,
  // selection, scroll, opened details and what was typed stay. What a person opens, types and ticks is theirs, and
  // belongs to an element with an id: by its place alone it could slip to a neighbour.
  const CONTROLS = "textarea, select, input:not([type=hidden])";
  const owned = (element, name) =>
    (name === "open" && element.matches("details")) ||
    ((name === "checked" || name === "value") && element.id &&
      (element.matches(CONTROLS) || (element.matches("input[type=hidden]") && begun(element))));
  // Who has begun to decide decides on what they saw: the seal of that moment. The server says what moved since.
  const begun = (element) => element.closest("[data-decides]")?.querySelector("details[open], input:checked");
  const typed = (element) =>
    [...element.querySelectorAll("textarea")].some((each) => each.value !== each.defaultValue);
  // Nothing that somebody typed into is taken away; it says that it is over.
  const remove = (gone) => {
    if (gone.nodeType === Node.ELEMENT_NODE) {
      if (gone.dataset?.stays !== undefined) return;
      if (typed(gone)) {
        gone.dataset.stays = "";
        for (const hint of gone.querySelectorAll("[data-when-gone]")) hint.hidden = false;
        return;
      }
    }
    gone.remove();
  };
  const stays = (node) => node.nodeType === Node.ELEMENT_NODE && node.dataset?.stays !== undefined;
  const like = (one, other) => {
    if (one.nodeType !== other.nodeType || one.nodeName !== other.nodeName) return false;
    if (one.nodeType !== Node.ELEMENT_NODE) return true;
    if (one.id || other.id) return one.id === other.id;
    if (one.matches(CONTROLS)) return false;
    // What holds something to fill in is the same where it holds the same, wherever it stands.
    if (!one.querySelector(CONTROLS) && !other.querySelector(CONTROLS)) return true;
    const held = controls(one);
    return controls(other).some((id) => held.includes(id));
  };
  const controls = (element) => [...element.querySelectorAll(CONTROLS)].map((each) => each.id).filter(Boolean);
  const knownAs = (parent, next, named) => {
    if (next.id) return named.get(next.id);
    if (next.nodeType !== Node.ELEMENT_NODE || !next.querySelector(CONTROLS)) return null;
    return [...parent.children].find((each) => like(each, next));
  };
  const become = (old, fresh) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    if (old.isEqualNode(fresh)) return;
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !owned(old, name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !owned(old, name)) old.setAttribute(name, value);
    }
    if (old.nodeName !== "TEXTAREA") children(old, fresh);
  };
  const children = (old, fresh) => {
    const named = new Map([...old.children].filter((each) => each.id).map((each) => [each.id, each]));
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      while (at && stays(at)) at = at.nextSibling;
      const known = knownAs(old, next, named);
      if (known && like(known, next)) {
        at = bring(old, known, at);
        become(known, next);
      } else if (at && like(at, next)) {
        const here = at;
        at = at.nextSibling;
        become(here, next);
      } else {
        old.insertBefore(next, at);
        if (next.nodeType === Node.ELEMENT_NODE) htmx.process(next);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      remove(gone);
    }
  };
  // Puts a child where the others have come to; what follows is next. Moving an element would take its focus away, so
  // the others go round it.
  const bring = (parent, element, at) => {
    if (element.contains(document.activeElement)) {
      while (at !== element) {
        const other = at;
        at = at.nextSibling;
        parent.append(other);
      }
    }
    if (at === element) return element.nextSibling;
    parent.insertBefore(element, at);
    return at;
  };
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = event.detail;
    const fresh = fragment.firstElementChild;
    if (!target.id?.startsWith("live-") || !fresh) return;
    fresh.removeAttribute("hx-swap-oob");
    event.detail.shouldSwap = false;
    become(target, fresh);
    htmx.trigger(target, "refreshed");
  });

  // --- the count in the title, the icon and a notification --------------------------------------------------------

  const counted = () => Number.parseInt(document.querySelector("#inbox-count .count")?.textContent || "0", 10);
  let before = null;
  const count = () => {
    const now = counted();
    if (now === before) return;
    document.title = document.title.replace(/^(\(\d+\) )?/, now ? `(${now}) ` : "");
    const icon = document.querySelector("link[rel=icon]");
    if (icon && before !== null) {
      const url = new URL(icon.href);
      if (now) url.searchParams.set("n", now);
      else url.searchParams.delete("n");
      icon.href = url.href;
    }
    if (before !== null && now > before) notify(now);
    before = now;
  };
  const notify = (now) => {
    const address = pulse()?.dataset.notify;
    if (!address || !document.hidden || !window.Notification || Notification.permission !== "granted") return;
    const text = now === 1 ? "One request waits for you" : `${now} requests wait for you`;
    // One tag: several open pages show one notification.
    const shown = new Notification("Countersign", { body: text, tag: "inbox", icon: "/favicon.svg" });
    shown.addEventListener("click", () => {
      window.focus();
      location.assign(address);
    });
  };

  document.addEventListener("DOMContentLoaded", () => {
    count();
    open();
    const place = document.getElementById("inbox-count")?.parentElement;
    if (place) new MutationObserver(count).observe(place, { childList: true, subtree: true });
  });
})();
