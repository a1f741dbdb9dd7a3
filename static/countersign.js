// What a page cannot do without a script: keep times true, on the person's clocks and exact where wanted, and say
// when it has gone stale.
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
  // Exact instead of relative: all of a page with the key "e", one by a tap, where there is no mouse to hover.
  let exact = sessionStorage.getItem("exact-times") === "yes";
  const tell = () => {
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const asked = exact !== time.hasAttribute("data-tapped");
      const text = asked && time.title ? time.title : relative(Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  };
  document.addEventListener("exact-times", () => {
    exact = !exact;
    sessionStorage.setItem("exact-times", exact ? "yes" : "no");
    tell();
  });
  document.addEventListener("click", (event) => {
    const time = event.target.closest?.("time[data-relative]");
    if (!time || time.closest("a, button, summary, label")) return;
    time.toggleAttribute("data-tapped");
    tell();
  });
  document.addEventListener("htmx:afterSettle", tell);
  if (exact) tell();
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

  // The server speaks of times on this browser's clocks from the next page on (config/middleware.py).
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const cookie = `zone=${encodeURIComponent(zone)}`;
  if (!document.cookie.split("; ").includes(cookie)) {
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `${cookie}; path=/; max-age=31536000; samesite=lax${secure}`;
  }
  for (const field of document.querySelectorAll("[data-my-zone]")) {
    if (field.value === "UTC") field.value = zone;
  }

  // An open menu closes when one clicks or moves elsewhere, or presses Escape.
  const close = (except) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu.contains(except)) continue;
      // The focus would be lost with what it stands on.
      if (!except && menu.contains(document.activeElement)) menu.querySelector("summary").focus();
      menu.open = false;
    }
  };
  document.addEventListener("click", (event) => close(event.target));
  document.addEventListener("focusin", (event) => close(event.target));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close(null);
  });
})();
