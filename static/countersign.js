// What a page cannot do without a script: keep relative times true, and say when it has gone stale.
(() => {
  "use strict";

  // The same words as approvals/templatetags/countersign.py.
  const units = [["day", 86400], ["hour", 3600], ["minute", 60]];
  const relative = (moment) => {
    const seconds = (Date.now() - moment) / 1000;
    const ahead = seconds < 0 ? 0.5 : 0;
    for (const [name, length] of units) {
      const far = Math.abs(seconds);
      const count = far >= length * 0.95 ? Math.floor(far / length + ahead) : 0;
      if (count) {
        const amount = `${count} ${name}${count > 1 ? "s" : ""}`;
        return seconds > 0 ? `${amount} ago` : `in ${amount}`;
      }
    }
    return seconds >= 0 ? "just now" : "in a moment";
  };
  const tell = () => {
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const text = relative(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(tell, 15000);

  const offline = (is) => {
    const bar = document.querySelector(".offline");
    if (bar) bar.hidden = !is;
  };
  document.addEventListener("htmx:sendError", () => offline(true));
  document.addEventListener("htmx:responseError", () => offline(true));
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const { xhr } = event.detail;
    if (xhr.status >= 400) return;
    offline(false);
    // Signed out meanwhile: the answer is the sign-in page, which is no part of this one.
    if (xhr.responseURL && new URL(xhr.responseURL).pathname.startsWith("/accounts/")) {
      event.preventDefault();
      location.reload();
    }
  });

  // People speak of times on their own clocks.
  const zone = document.querySelector("[data-my-zone]");
  if (zone && zone.value === "UTC") zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

  // An open menu closes when one clicks or moves elsewhere, or presses Escape.
  const close = (except) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(except)) menu.open = false;
    }
  };
  document.addEventListener("click", (event) => close(event.target));
  document.addEventListener("focusin", (event) => close(event.target));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close(null);
  });
})();
