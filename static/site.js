// What the page does beyond htmx: keeps the list growing, says so to screen readers, shares, and survives a bad network.
// Without this file everything still works, by links and forms.
(() => {
  const page = document.documentElement;
  const SECOND = 1000;
  // A signer's own must be in the feed that is asked for next. The server may show one that is a second old, and nginx
  // keeps that for up to three (deploy/nginx.conf). Meanwhile their entry stands where the thank-you has put it.
  const AFTER_SIGNING = 4.2 * SECOND;
  // Seldom enough that a screen reader's user can read on.
  const BETWEEN_ANNOUNCEMENTS = 60 * SECOND;

  page.classList.add("live");
  // What is there at the first sight of the page is not new.
  requestAnimationFrame(() => requestAnimationFrame(() => page.classList.add("settled")));
  if (navigator.share) page.classList.add("can-share");

  let timer;
  const feed = () => document.querySelector("#feed[data-interval]");

  function plan(delay) {
    clearTimeout(timer);
    if (feed() && !document.hidden) {
      timer = setTimeout(refresh, delay ?? feed().dataset.interval * SECOND);
    }
  }

  function refresh() {
    feed()?.dispatchEvent(new Event("refresh"));
    plan();
  }

  let announced = document.getElementById("feed")?.dataset.announcement;
  let announcedAt = 0;

  function announce() {
    const words = document.getElementById("feed")?.dataset.announcement;
    if (words && words !== announced && Date.now() - announcedAt > BETWEEN_ANNOUNCEMENTS) {
      document.getElementById("announcer").textContent = announced = words;
      announcedAt = Date.now();
    }
  }

  document.addEventListener("visibilitychange", () => plan(0));
  document.addEventListener("signed", () => plan(AFTER_SIGNING));
  document.addEventListener("htmx:after:swap", announce);

  // On a phone the form stands below the list: what is typed or read there must not move when the list grows. Most
  // browsers see to the reading themselves (scroll anchoring); none knows that a field is being typed in.
  const anchors = CSS.supports("overflow-anchor", "auto");
  let held;

  document.addEventListener("htmx:before:swap", () => {
    const panel = document.getElementById("sign");
    const scrolledPast = document.getElementById("feed")?.getBoundingClientRect().top < 0;
    let element = null;
    if (panel?.contains(document.activeElement)) element = document.activeElement;
    else if (scrolledPast && !anchors) element = panel;
    held = element && { element, top: element.getBoundingClientRect().top };
  });

  document.addEventListener("htmx:after:swap", () => {
    if (!held?.element.isConnected) return;
    scrollBy({ top: held.element.getBoundingClientRect().top - held.top, behavior: "instant" });
  });

  // What the signer types in city or state is not to be overwritten by what a ZIP code, asked for earlier, gives.
  document.addEventListener("input", ({ target }) => {
    // Nor is the form to be sent by itself while it is being changed.
    if (target.form) document.getElementById("resend")?.remove();
    if (target.closest("#place")) document.getElementById("place-finder").dispatchEvent(new Event("htmx:abort"));
  });

  document.addEventListener("htmx:before:request", ({ detail }) => {
    const form = detail.ctx.sourceElement;
    if (form.dataset.sending) document.getElementById("announcer").textContent = form.dataset.sending;
  });

  // No answer of ours. The form stays as it is, with what was typed, and says so; a link is followed without htmx, so
  // that the browser says what is wrong.
  function sayOffline(element) {
    if (element?.href) location.assign(element.href);
    const notice = document.getElementById("notice");
    if (!notice || element?.method !== "post") return;
    const box = document.createElement("div");
    box.className = "notice wrong";
    box.setAttribute("role", "alert");
    box.tabIndex = -1;
    box.textContent = notice.dataset.offline;
    notice.replaceChildren(box);
    box.focus();
  }

  document.addEventListener("htmx:error", ({ detail }) => sayOffline(detail.ctx?.sourceElement));

  // Every answer of ours says so (guard.py). Another is a proxy's "bad gateway" or a hotel's log-in page.
  document.addEventListener("htmx:before:response", (event) => {
    const { response, sourceElement } = event.detail.ctx;
    const whole = response.status < 500 || !sourceElement.href;
    if (response.headers.has("Campaign-Answer") && whole) return;
    event.preventDefault();
    sayOffline(sourceElement);
  });

  document.addEventListener("click", async ({ target }) => {
    const copy = target.closest("[data-copy]");
    const share = target.closest("[data-share-url]");
    if (copy) {
      const field = document.getElementById(copy.dataset.copy);
      field.select();
      try {
        await navigator.clipboard.writeText(field.value);
        copy.textContent = document.getElementById("announcer").textContent = copy.dataset.copied;
      } catch {
        // Plain http or a refusal; the link is selected, to be copied by hand.
        field.focus();
      }
    } else if (share) {
      const { shareUrl: url, shareTitle: title, shareText: text } = share.dataset;
      // Rejected when the person closes the sheet again, which is no error.
      navigator.share({ url, title, text }).catch(() => {});
    }
  });

  plan();
})();
