// The tools of the page: a search box that filters the list during typing, and buttons that fold and unfold leads.
// Everything else works without them. Text from visitors is only read as text, never as markup.
{
  /** If more leads than these match by their clicks, they stay folded, because too much would move with each letter. */
  const UNFOLDED_MAX = 20;

  const element = (id) => document.getElementById(id);
  const [list, tools, search, found] = ["list", "tools", "search", "found"].map(element);
  const leads = [...document.querySelectorAll("details.lead")];

  /** Texts that differ only in case become equal. Which of the two small sigmas is used depends on what follows. */
  const inAnyCase = (text) => text.normalize("NFKC").toLowerCase().replaceAll("ς", "σ");

  /** The text to search in, in the form that is compared. Separate parts stay separate. */
  const searchable = (parts) => inAnyCase([...parts].map((part) => part.textContent).join("\n"));
  const cells = (row) => row.querySelectorAll("th, td");
  const rowsOf = (parent) => [...parent.querySelectorAll("tbody > tr")];
  const hasAll = (text, words) => words.every((word) => text.includes(word));

  /** The list: leads with their clicks, or rows without any. Read when it is first needed. */
  let entries;
  function readEntries() {
    const rows = (parent) => rowsOf(parent).map((row) => ({ element: row, text: searchable(cells(row)) }));
    if (leads.length === 0) return rows(list).map((row) => ({ ...row, clicks: [] }));
    return leads.map((lead) => ({
      element: lead,
      text: searchable(lead.querySelectorAll(".email")),
      clicks: rows(lead),
      isOpen: lead.open,
    }));
  }

  let isFiltered = false;

  function filter() {
    const words = inAnyCase(search.value).split(/\s+/).filter(Boolean);
    entries ??= readEntries();
    if (!isFiltered) for (const entry of entries) entry.isOpen = entry.element.open;
    isFiltered = words.length > 0;
    let entriesFound = 0;
    let clicksFound = 0;
    const byClicks = new Set();
    for (const entry of entries) {
      const isFound = hasAll(entry.text, words);
      let clicksHere = 0;
      for (const click of entry.clicks) {
        const isHere = isFound || words.every((word) => entry.text.includes(word) || click.text.includes(word));
        click.element.hidden = !isHere;
        if (isHere) clicksHere++;
      }
      if (clicksHere > 0 && !isFound) byClicks.add(entry);
      entry.element.hidden = !isFound && clicksHere === 0;
      if (!entry.element.hidden) entriesFound++;
      clicksFound += clicksHere;
    }
    for (const entry of entries) {
      if (leads.length > 0) entry.element.open = entry.isOpen || (byClicks.size <= UNFOLDED_MAX && byClicks.has(entry));
    }
    found.value = isFiltered ? status(entriesFound, clicksFound) : "";
  }

  function status(entriesFound, clicksFound) {
    const [shown, all, clicksShown, clicks] = [entriesFound, entries.length, clicksFound, rowsOf(list).length].map(
      (number) => number.toLocaleString("en"),
    );
    const inAll = `${shown} of ${all} ${list.dataset.listed}`;
    return leads.length > 0 ? `${inAll}, ${clicksShown} of ${clicks} clicks` : inAll;
  }

  function clear() {
    search.value = "";
    filter();
  }

  function setOpen(isOpen) {
    for (const lead of leads) if (!lead.hidden) lead.open = isOpen;
  }

  if (tools) {
    tools.hidden = false;
    search.addEventListener("input", filter);
    search.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing) clear();
    });
    element("unfold")?.addEventListener("click", () => setOpen(true));
    element("fold")?.addEventListener("click", () => setOpen(false));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.altKey || event.metaKey || event.target === search) return;
      event.preventDefault();
      search.focus();
      search.select();
    });
  }

  // A lead that a link leads to is unfolded, also if the search has hidden it.
  addEventListener("hashchange", () => {
    const target = element(location.hash.slice(1));
    if (target?.closest("[hidden]")) clear();
    if (leads.includes(target)) target.open = true;
    target?.scrollIntoView();
  });

  // An expert of the ranking leads to all leads who clicked this expert.
  if (tools) {
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a.find");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      search.value = link.textContent;
      filter();
      list.scrollIntoView();
      search.focus({ preventScroll: true });
    });
  }

  // Nothing can be unfolded on paper. Newer browsers need only the style for this.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = leads.filter((lead) => !lead.open);
    for (const lead of folded) lead.open = true;
  });
  addEventListener("afterprint", () => {
    for (const lead of folded) lead.open = false;
  });
}
