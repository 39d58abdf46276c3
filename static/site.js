// Adds to the page what htmx doesn't do: it refreshes count and list of signatories, announces new signatures to screen
// readers, shares the page, and handles network errors. Without this file, links and forms still work.
(() => {
  const page = document.documentElement;
  const SECOND = 1000;
  // The next feed must count the signer. The server may send a feed that is a second old, and nginx may cache it for up
  // to three seconds (deploy/nginx.conf). Until then, the count and the entry from the thank-you response stay.
  const AFTER_SIGNING = 4.2 * SECOND;
  // Announcements must not keep interrupting people who use screen readers.
  const BETWEEN_ANNOUNCEMENTS = 60 * SECOND;

  page.classList.add("live");
  // Entries that are on the page when it opens must not be highlighted as new.
  requestAnimationFrame(() => requestAnimationFrame(() => page.classList.add("settled")));
  if (navigator.share) page.classList.add("can-share");

  let timer;
  // When the next feed can't be older than the page: the page itself may be a fresh thank-you page.
  let earliest = Date.now() + AFTER_SIGNING;
  // The context of htmx's request while a signature is on its way.
  let sending = null;
  const feed = () => document.querySelector("#feed[data-interval]");

  function scheduleRefresh(delay) {
    clearTimeout(timer);
    if (!feed() || document.hidden || sending) return;
    timer = setTimeout(refresh, Math.max(delay ?? feed().dataset.interval * SECOND, earliest - Date.now()));
  }

  function refresh() {
    feed()?.dispatchEvent(new Event("refresh"));
    scheduleRefresh();
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

  document.addEventListener("visibilitychange", () => scheduleRefresh(0));
  document.addEventListener("htmx:after:swap", announce);

  // Meanwhile, no feed may change the page: the response adds one to the count that the page showed.
  document.addEventListener("htmx:before:request", ({ detail }) => {
    if (!detail.ctx.sourceElement.matches("[hx-target='#sign']")) return;
    sending = detail.ctx;
    clearTimeout(timer);
    feed()?.dispatchEvent(new Event("htmx:abort"));
  });

  document.addEventListener("htmx:finally:request", ({ detail }) => {
    if (detail.ctx !== sending) return;
    sending = null;
    scheduleRefresh();
  });

  // The count from the thank-you response. The feed stays one below it if the mailbox had signed before. Then the page
  // keeps its count and list until somebody else signs: a count that falls would look like a lost signature.
  let counted;

  document.addEventListener("signed", () => {
    counted = Number(document.getElementById("shown")?.value);
    sending = null;
    earliest = Date.now() + AFTER_SIGNING;
    scheduleRefresh(0);
  });

  document.addEventListener("htmx:before:swap", (event) => {
    const { ctx, tasks } = event.detail;
    const shown = tasks.map(({ fragment }) => fragment.querySelector("#shown")).find(Boolean);
    if (ctx.sourceElement.id === "feed" && shown?.value === String(counted - 1)) event.preventDefault();
  });

  // On a phone, the count is above the form, and grows by a line when the goal is reached. Browsers keep what people read
  // in its place, but not a focused field.
  let focused;

  document.addEventListener("htmx:before:swap", () => {
    const element = document.activeElement;
    focused = element.closest("#sign") && { element, top: element.getBoundingClientRect().top };
  });

  document.addEventListener("htmx:after:swap", () => {
    if (!focused?.element.isConnected) return;
    scrollBy({ top: focused.element.getBoundingClientRect().top - focused.top, behavior: "instant" });
  });

  document.addEventListener("input", ({ target }) => {
    // Changing the form cancels its automatic retry.
    if (target.form) document.getElementById("resend")?.remove();
    // Typing in city or state cancels a pending ZIP code lookup, which would overwrite the text.
    if (target.closest("#place")) document.getElementById("place-finder")?.dispatchEvent(new Event("htmx:abort"));
  });

  document.addEventListener("htmx:before:request", ({ detail }) => {
    const form = detail.ctx.sourceElement;
    if (form.dataset.sending) document.getElementById("announcer").textContent = form.dataset.sending;
  });

  // The site didn't respond. If a form was sent, show a notice and leave the form as it is. If a link was followed,
  // follow it again without htmx, so that the browser shows the error.
  function showOffline(element) {
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

  document.addEventListener("htmx:error", ({ detail }) => showOffline(detail.ctx?.sourceElement));

  // All our responses have this header (web/security_headers.py). Others are a proxy's "bad gateway" error or a hotel's
  // login page.
  document.addEventListener("htmx:before:response", (event) => {
    const { response, sourceElement } = event.detail.ctx;
    const usable = response.status < 500 || !sourceElement.href;
    if (response.headers.has("Campaign-Answer") && usable) return;
    event.preventDefault();
    showOffline(sourceElement);
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
        // Browsers refuse this on plain http. The link is selected, so that people can copy it themselves.
        field.focus();
      }
    } else if (share) {
      const { shareUrl: url, shareTitle: title, shareText: text } = share.dataset;
      // The promise is rejected if the user closes the share sheet, which isn't an error.
      navigator.share({ url, title, text }).catch(() => {});
    }
  });

  // A campaign in several languages. The page is the same for everyone, so only the browser knows which of them its
  // visitor prefers. It offers that one in a line of its own.
  const languages = document.getElementById("languages");

  function written(tag) {
    try {
      const { language, script } = new Intl.Locale(tag).maximize();
      return `${language}-${script}`;
    } catch {
      return tag;
    }
  }

  function preferredLanguage() {
    const links = [...languages.querySelectorAll("a")];
    for (const tag of navigator.languages) {
      const exact = links.find(({ hreflang }) => hreflang === tag);
      if (exact) return exact;
      if (written(tag) === written(languages.dataset.language)) return null;
      const found = links.find(({ hreflang }) => written(hreflang) === written(tag));
      if (found) return found;
    }
    return null;
  }

  if (languages) {
    // The word that says where the link was posted goes along.
    for (const link of languages.querySelectorAll("a")) link.search = location.search;
    const preferred = preferredLanguage();
    if (preferred) {
      const link = document.createElement("a");
      link.href = preferred.href;
      link.textContent = preferred.dataset.offer ?? preferred.textContent;
      const offer = document.createElement("p");
      offer.className = "offer";
      offer.lang = preferred.hreflang;
      offer.dir = preferred.dir || page.dir;
      offer.append(link);
      languages.append(offer);
    }
  }

  scheduleRefresh();
})();
