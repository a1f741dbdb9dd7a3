// What a refresh must not undo: opened details stay open, and the focus on a summary stays where it is. Pressing a
// button whose text is asked behind a fold opens the fold first.
(() => {
  "use strict";

  const all = (root) => [...root.querySelectorAll("details")];
  const name = (each) => each.id || each.querySelector("summary")?.textContent.trim() || "";
  let focused = "";

  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = event.detail;
    const fresh = all(fragment);
    for (const old of all(target)) {
      const next = fresh.find((each) => name(each) === name(old));
      if (next) next.open = old.open;
    }
    const at = document.activeElement;
    if (at?.localName === "summary" && target.contains(at)) focused = name(at.parentElement);
  });
  document.addEventListener("htmx:oobAfterSwap", (event) => {
    if (!focused) return;
    const again = all(event.detail.target).find((each) => name(each) === focused);
    if (again) {
      again.querySelector("summary").focus({ preventScroll: true });
      focused = "";
    }
  });

  document.addEventListener("submit", (event) => {
    const text = event.target.querySelector("textarea[name=text]");
    const fold = text?.closest("details.unfold");
    if (!fold || text.value.trim() || !event.submitter?.hasAttribute("data-needs-text")) return;
    event.preventDefault();
    fold.open = true;
    text.focus();
    text.setCustomValidity("Say why.");
    text.reportValidity();
    text.addEventListener("input", () => text.setCustomValidity(""), { once: true });
  });

  // A link to something folded away opens it.
  const reveal = () => {
    const aimed = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let fold = aimed && aimed.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
