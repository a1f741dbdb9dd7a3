// Lanes work as links and a table by themselves. This adds a box that tells of the bar under the pointer or
// in focus, and the arrow keys from bar to bar.
(() => {
  "use strict";

  const box = document.createElement("div");
  box.className = "lane-box";
  box.hidden = true;
  box.setAttribute("aria-hidden", "true"); // the link's own name says the same
  const head = document.createElement("p");
  const why = document.createElement("p");
  why.className = "muted";
  box.append(head, why);
  document.body.append(box);

  const barOf = (element) => element instanceof Element && element.closest(".lane-bar, .lane-change");

  const show = (bar) => {
    const title = bar.querySelector("title");
    if (title) title.remove(); // else the browser shows its own box over this one
    head.textContent = bar.getAttribute("aria-label");
    why.textContent = bar.dataset.why ? `“${bar.dataset.why}”` : "";
    why.hidden = !bar.dataset.why;
    box.hidden = false;
    const at = bar.getBoundingClientRect();
    const room = document.documentElement.clientWidth;
    const left = Math.min(Math.max(at.left, 8), Math.max(room - box.offsetWidth - 8, 8));
    const below = at.bottom + 8 + box.offsetHeight < window.innerHeight;
    box.style.left = `${left}px`;
    box.style.top = `${below ? at.bottom + 8 : at.top - box.offsetHeight - 8}px`;
  };
  const hide = () => {
    box.hidden = true;
  };

  document.addEventListener("pointerover", (event) => {
    const bar = barOf(event.target);
    if (bar) show(bar);
    else if (!barOf(document.activeElement)) hide();
  });
  document.addEventListener("focusin", (event) => {
    const bar = barOf(event.target);
    if (bar && bar.matches(":focus-visible")) show(bar);
    else hide();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", hide, { passive: true });

  document.addEventListener("keydown", (event) => {
    const bar = barOf(event.target);
    if (!bar || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      hide();
      return;
    }
    const lanes = [...document.querySelectorAll(".lane-drawing")].filter((each) => each.querySelector(".lane-bar"));
    const lane = lanes.indexOf(bar.closest(".lane-drawing"));
    const bars = [...lanes[lane].querySelectorAll(".lane-bar")];
    const place = bars.indexOf(bar);
    const beside = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: bars.length - 1 }[event.key];
    let next = beside === undefined ? null : bars[beside];
    const above = { ArrowUp: lane - 1, ArrowDown: lane + 1 }[event.key];
    if (above !== undefined && lanes[above]) {
      // The bar of the other lane that was live at the same time.
      const middle = bar.getBoundingClientRect().left + 1;
      const others = [...lanes[above].querySelectorAll(".lane-bar")];
      next = others.filter((each) => each.getBoundingClientRect().left <= middle).pop() || others[0];
    }
    if (next) {
      event.preventDefault();
      next.focus({ focusVisible: true });
      show(next);
    }
  });
})();
