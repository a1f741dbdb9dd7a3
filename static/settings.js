// The profile: time zones to choose from, the browser's permission to notify, and copying a token.
(() => {
  "use strict";

  const zones = document.getElementById("all-zones");
  if (zones && Intl.supportedValuesOf) {
    zones.append(
      ...["UTC", ...Intl.supportedValuesOf("timeZone")].map((zone) => {
        const option = document.createElement("option");
        option.value = zone;
        return option;
      }),
    );
  }

  const box = document.querySelector("[data-permission]");
  const words = document.querySelector("[data-permission-words]");
  const ask = document.querySelector("[data-permission-ask]");
  const tell = () => {
    const state = "Notification" in window ? Notification.permission : "missing";
    words.textContent = {
      granted: "This browser may notify you.",
      denied: "This browser refuses: allow notifications of this site in its settings first.",
      default: "This browser has not been asked yet.",
      missing: "This browser knows no notifications, or not at an address without https.",
    }[state];
    ask.hidden = state !== "default";
    box.hidden = false;
  };
  if (box) {
    tell();
    ask.addEventListener("click", () => Notification.requestPermission().then(tell));
  }

  const copy = document.querySelector("[data-copies]");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(copy.dataset.copies).textContent);
      copy.textContent = "Copied";
    });
  }
})();
