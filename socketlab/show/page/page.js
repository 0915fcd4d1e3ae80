// What the page can do without: it is all there and readable with no script at all.
"use strict";

const source = document.getElementById("document");

for (const button of document.querySelectorAll("button[hidden]")) {
  button.hidden = false;
}

document.getElementById("download").addEventListener("click", () => {
  const file = new Blob([source.textContent], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = "lecture.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
});

const claims = [...document.querySelectorAll("details.claim")];
const all = document.getElementById("open-all");
all.addEventListener("click", () => {
  const open = claims.some((claim) => !claim.open && claim.checkVisibility());
  for (const claim of claims) {
    claim.open = open;
  }
  all.textContent = open ? "Fold all evidence" : "Unfold all evidence";
});

function unfoldNamed() {
  const named = document.getElementById(location.hash.slice(1));
  if (named instanceof HTMLDetailsElement) {
    named.open = true;
    named.scrollIntoView();
  }
}
addEventListener("hashchange", unfoldNamed);
unfoldNamed();

// Browsers that do not know ::details-content print what is open.
let folded = [];
addEventListener("beforeprint", () => {
  folded = claims.filter((claim) => !claim.open);
  for (const claim of folded) {
    claim.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const claim of folded) {
    claim.open = false;
  }
});
