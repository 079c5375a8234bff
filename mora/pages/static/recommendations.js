"use strict";
// The list of workloads: search and filters; and the dialog of one workload, with its charts, reasons and patch.
(() => {
  const { element } = mora;
  const find = (id) => document.getElementById(id);
  const table = find("workloads");
  if (!table) return;
  const dialog = find("workload");
  const details = JSON.parse(find("details").textContent);
  const rows = [...table.tBodies[0].rows];
  const filters = { search: find("search"), namespace: find("namespace"), kind: find("kind"), state: find("state") };

  // --- the list ---

  const applies = (row) =>
    filters.search.value.toLowerCase().split(/\s+/).every((word) => row.dataset.find.includes(word)) &&
    ["namespace", "kind", "state"].every((name) => !filters[name]?.value || row.dataset[name] === filters[name].value);

  const filter = () => {
    let shown = 0;
    for (const row of rows) {
      row.hidden = !applies(row);
      shown += row.hidden ? 0 : 1;
    }
    find("count").textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
  };

  find("filters").addEventListener("input", filter);
  find("filters").addEventListener("submit", (event) => event.preventDefault());

  // --- the history of a container ---

  const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const CODES = Object.fromEntries([...ALPHABET].map((sign, code) => [sign, code]));
  const GAP = 4095;
  // What `packed` of mora/outputs/details.py writes.
  const unpacked = (text, top) => {
    const values = [];
    for (let at = 0; at < text.length; at += 2) {
      const code = CODES[text[at]] * 64 + CODES[text[at + 1]];
      values.push(code === GAP ? null : (code / (GAP - 1)) * top);
    }
    return values;
  };

  const LEVELS = {
    request: ["request now", "request", false],
    limit: ["limit now", "limit", false],
    target: ["recommended", "target", false],
    goal: ["goal after all steps", "target", true],
    bound: ["upper bound", "bound", true],
  };
  // A limit far above everything else would leave no room for what the chart is about.
  const FAR = 4;

  const levelsOf = (of) => {
    const others = ["request", "target", "goal", "bound"].map((name) => of.levels[name] || 0);
    const top = Math.max(of.top, ...others);
    return Object.entries(LEVELS)
      .filter(([name]) => name in of.levels)
      .map(([name, [words, colour, isDashed]]) => ({
        name: words, value: of.levels[name], colour, is_dashed: isDashed, is_outside: name === "limit" && of.levels.limit > FAR * top,
      }));
  };

  const chartOf = (past, resource) => {
    const of = past[resource];
    const highest = unpacked(of.highest, of.top);
    const x = highest.map((_, column) => past.start + column * past.step);
    const isCpu = resource === "cpu";
    const throttled = (isCpu && past.throttled) || [];
    const spans = [
      ...throttled.map(([begin, end]) => ({
        begin: past.start + begin * past.step, end: past.start + end * past.step, text: "CPU throttled", colour: "warn",
      })),
      // At least a column wide: an event of minutes would be no wider than a hair.
      ...(past.abnormal || []).map(([begin, end, metric]) => ({
        begin, end: Math.max(end, begin + past.step), text: `abnormal (${metric})`, colour: "bad",
      })),
    ];
    return {
      title: isCpu ? "CPU" : "Memory",
      x,
      is_time: true,
      unit: isCpu ? "cores" : "bytes",
      lines: [
        { name: "highest use", values: highest, colour: "use", style: "area" },
        { name: "mean use", values: unpacked(of.mean, of.top), colour: "ink" },
      ],
      levels: levelsOf(of),
      marks: isCpu ? [] : past.oom_kills.map((at) => ({ at, text: "OOM kill", colour: "bad" })),
      spans,
      text: of.text,
    };
  };

  // --- the dialog ---

  const list = (texts) => element("ul", { class: "reasons" }, ...texts.map((text) => element("li", {}, text)));

  const facts = (pairs) => {
    const made = element("dl", { class: "facts" });
    for (const [name, text] of pairs) made.append(element("dt", {}, name), element("dd", {}, text));
    return made;
  };

  const HEADS = ["", "Now", "Recommended", "Goal", "Change", "Confidence"];

  const numbersOf = (container) => {
    const hasGoals = container.numbers.some((cells) => cells[3] !== "");
    const kept = (cells) => cells.filter((_, column) => column !== 3 || hasGoals);
    const made = element("table", {}, element("caption", { class: "hidden" }, `Requests and limits of ${container.name}`));
    const head = element("tr", {}, ...kept(HEADS).map((text) =>
      text ? element("th", { scope: "col" }, text) : element("td", {})));
    const body = container.numbers.map((cells) => {
      const [name, ...values] = kept(cells.slice(0, 6));
      return element("tr", {}, element("th", { scope: "row" }, name), ...values.map((text) => element("td", {}, text)));
    });
    made.append(element("thead", {}, head), element("tbody", {}, ...body));
    return element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `Numbers of ${container.name}` }, made);
  };

  // The reasons of all numbers; the same one of several numbers is written once.
  const reasonsOf = (container) => {
    const named = new Map();
    for (const [name, , , , , , texts] of container.numbers)
      for (const text of texts) named.set(text, [...(named.get(text) || []), name]);
    return [...[...named].map(([text, names]) => `${names.join(", ")}: ${text}`), ...container.notes];
  };

  const charts = [];

  const containerOf = (container) => {
    const part = element("section", {}, element("h3", {}, `Container ${container.name}`));
    const resources = container.past ? ["cpu", "memory"].filter((name) => container.past[name]) : [];
    if (resources.length) {
      const box = element("div", { class: "charts" });
      for (const name of resources) {
        const chart = chartOf(container.past, name);
        const figure = element("figure", { class: "chart" }, element("figcaption", {}, chart.title), element("p", { class: "said" }, chart.text));
        box.append(figure);
        charts.push([figure, chart]);
      }
      part.append(box);
    } else if (container.no_past) {
      part.append(element("p", { class: "dim" }, container.no_past));
    }
    part.append(numbersOf(container), list(reasonsOf(container)));
    if (container.facts.length) part.append(facts(container.facts));
    return part;
  };

  const copy = async (text, source) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Pages of files and of plain HTTP may have no clipboard: the text is selected and copied as by hand.
      getSelection().selectAllChildren(source);
      return document.execCommand("copy");
    }
  };

  const patchOf = (one) => {
    const part = element("section", {}, element("h3", {}, "Patch"));
    if (!one.patch) {
      part.append(element("p", { class: "dim" }, `No patch: ${one.why}.`));
      return part;
    }
    const text = element("pre", { tabindex: "0", "aria-label": "Patch" }, element("code", {}, one.patch));
    const button = element("button", { type: "button", class: "copy" }, "Copy the patch");
    button.addEventListener("click", async () => {
      const isDone = await copy(one.patch, text);
      button.textContent = isDone ? "Copied" : "Selected: press Ctrl-C";
      find("status").textContent = button.textContent;
    });
    part.append(element("div", { class: "patch" }, button, text));
    return part;
  };

  let place = -1;
  let opener = null;

  const address = (hash) => {
    try {
      history.replaceState(null, "", hash || "#");
    } catch {
      location.hash = hash;
    }
  };

  const clear = () => {
    for (const [figure] of charts.splice(0)) mora.forget(figure);
    find("workload-body").replaceChildren();
  };

  const open = (number) => {
    clear();
    place = number;
    const one = details[place];
    find("workload-title").textContent = `${one.kind} ${one.title}`;
    const body = find("workload-body");
    body.append(facts(one.facts));
    if (one.notes.length) body.append(element("h3", {}, "To know before"), list(one.notes));
    body.append(...one.containers.map(containerOf), patchOf(one));
    if (!dialog.open) dialog.showModal();
    for (const [figure, chart] of charts) mora.draw(figure, chart);
    dialog.scrollTop = 0;
    address(`#${encodeURI(one.id)}`);
  };

  // The workloads in the order of the table, as it is sorted and filtered now.
  const shown = () => {
    const places = [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => Number(row.querySelector(".open").dataset.place));
    return [...new Set(places)];
  };

  const move = (by) => {
    const places = shown();
    const at = places.indexOf(place);
    if (places.length) open(places[(at + by + places.length) % places.length]);
  };

  table.addEventListener("click", (event) => {
    const button = event.target.closest(".open");
    if (!button) return;
    opener = button;
    open(Number(button.dataset.place));
  });
  find("previous").addEventListener("click", () => move(-1));
  find("next").addEventListener("click", () => move(1));
  find("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => {
    clear();
    address("");
    opener?.focus();
  });
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (event.key === "/" && !isTyping && !dialog.open) {
      event.preventDefault();
      filters.search.focus();
    } else if (dialog.open && !isTyping && event.altKey === false && event.key === "j") {
      move(1);
    } else if (dialog.open && !isTyping && event.altKey === false && event.key === "k") {
      move(-1);
    }
  });

  const byAddress = () => {
    let id = location.hash.slice(1);
    try {
      id = decodeURI(id);
    } catch {
      // An address that was cut short: it names no workload.
    }
    const number = details.findIndex((one) => one.id === id);
    if (number >= 0) open(number);
  };
  window.addEventListener("hashchange", byAddress);
  document.addEventListener("DOMContentLoaded", byAddress);
})();
