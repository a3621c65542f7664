/* What a page of the site does by itself: explorers stand in it at their full height, what they show is in its address, code is copied. */

import { fromPage, toPage } from "./address.js";

/** Begin; called once, when the page is read. */
export function start() {
  follow([...document.querySelectorAll("iframe[data-name]")]);
  for (const each of document.querySelectorAll(".embed")) offer(each);
}

/** Let explorers and the page's address say the same. @param {HTMLIFrameElement[]} frames */
function follow(frames) {
  const names = frames.map((frame) => frame.dataset.name);
  const first = {}; // what each showed at first, which needs no word in the address
  let shares = {};

  const go = (frame, share) => {
    const url = new URL(frame.getAttribute("src"), location.href);
    url.hash = share;
    if (frame.dataset.seen === undefined) frame.src = url.href; // and is loaded when it is scrolled to
    else frame.contentWindow.location.replace(url);
  };
  const arrive = () => {
    const asked = fromPage(location.hash, names);
    for (const frame of frames) {
      const { name } = frame.dataset;
      if (asked[name] === shares[name]) continue;
      first[name] ??= new URL(frame.src).hash.slice(1); // it is on its way
      go(frame, asked[name] ?? first[name]);
    }
    shares = asked;
    const seen = frames.find((frame) => asked[frame.dataset.name] !== undefined);
    if (seen && seen !== frames[0]) seen.scrollIntoView();
  };
  const hear = (frame, said) => {
    const { name } = frame.dataset, asked = shares[name], lost = frame.dataset.seen === undefined && asked !== undefined && asked !== said.address;
    if (said.height) frame.style.height = `${Math.ceil(said.height)}px`;
    if (said.address === undefined) return;
    frame.dataset.seen = said.address;
    if (lost) {
      go(frame, asked); // once more: a browser that had begun to load what stood there before goes on with that
      return;
    }
    if (shares[name] === undefined) first[name] ??= said.opened ?? said.address; // an older file says only the one
    const share = said.address === first[name] ? undefined : said.address;
    if (share === shares[name]) return;
    shares[name] = share;
    const hash = toPage(shares, names);
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  };

  window.addEventListener("message", ({ source, data }) => {
    const frame = frames.find((each) => each.contentWindow === source);
    if (frame && data?.explorer) hear(frame, data.explorer);
  });
  for (const frame of frames) frame.contentWindow.postMessage({ explorer: "again" }, "*"); // it may have spoken before this code came
  window.addEventListener("hashchange", () => location.hash.includes("=") && arrive());
  if (location.hash.includes("=")) arrive();
}

/** Lines to paste elsewhere: with this site's address, and what the explorer shows now. @param {HTMLDetailsElement} details */
function offer(details) {
  const frame = details.closest(".explorer").querySelector("iframe");
  const codes = [...details.querySelectorAll("code[data-lines]")];
  const write = () => {
    const url = new URL(frame.getAttribute("src"), location.href);
    url.hash = frame.dataset.seen ?? url.hash;
    for (const code of codes) code.textContent = code.dataset.lines.replaceAll("ADDRESS", url.href);
  };
  details.addEventListener("toggle", write);
  write();
  for (const button of details.querySelectorAll("button")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      write();
      const code = button.closest("dt").nextElementSibling.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected: copy it";
      }
      setTimeout(() => (button.textContent = "Copy"), 2500);
    });
  }
}
