"use strict";
// Draws what mora/pages/charts.py describes, with uPlot: lines, bands, levels, marks and shaded spans over one x axis.
// mora.draw(figure, chart) draws a chart into a <figure class="chart">; those that carry their chart as JSON are drawn
// when the page is loaded. mora.show(group, isShown) hides and shows a group in every chart and table row.
const mora = window.mora = {};

(() => {
  const DAY = 86400;
  const HEIGHT = 220;
  // Of a chart of rows, and the longest name beside one, in pixels.
  const ROW = 24;
  const NAME = 250;
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const KI = 1024;
  // Ticks of memory lie on powers of two, so that they read 64 MiB and not 67.1 MB.
  const BYTE_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);
  const plots = new Map();
  const hidden = new Set();
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  // --- text ---

  const digits = (value) => {
    const size = Math.abs(value);
    if (size === 0) return "0";
    return String(Number(value.toPrecision(size >= 100 ? Math.max(3, Math.ceil(Math.log10(size))) : 3)));
  };

  const bytes = (value) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let power = 0;
    while (Math.abs(value) >= KI && power < units.length - 1) {
      value /= KI;
      power += 1;
    }
    return `${digits(value)} ${units[power]}`;
  };

  const FORMATS = {
    cores: (value) => (Math.abs(value) < 1 && value !== 0 ? `${digits(value * 1000)}m` : digits(value)),
    bytes,
    seconds: (value) => (Math.abs(value) < 1 && value !== 0 ? `${digits(value * 1000)} ms` : `${digits(value)} s`),
    ratio: (value) => `${digits(value * 100)} %`,
    number: (value) => (Math.abs(value) >= 10000 ? Math.round(value).toLocaleString("en") : digits(value)),
  };
  mora.format = (unit, value) => FORMATS[unit || "number"](value);

  const two = (number) => String(number).padStart(2, "0");
  const date = (seconds) => {
    const at = new Date(seconds * 1000);
    return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
  };
  const clock = (seconds) => {
    const at = new Date(seconds * 1000);
    const rest = at.getUTCSeconds();
    return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}${rest ? `:${two(rest)}` : ""}`;
  };
  mora.moment = (seconds) => `${date(seconds)} ${clock(seconds)} UTC`;

  // --- what uPlot is given ---

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const faded = (name, share) => `color-mix(in srgb, ${colour(name)} ${share * 100}%, transparent)`;
  const levelsIn = (chart) => (chart.levels || []).filter((level) => !level.is_outside);
  const groupOf = (one) => one.group || one.name;
  const isOfRows = (chart) => (chart.rows || []).length > 0;
  const heightOf = (chart) => (isOfRows(chart) ? chart.rows.length * ROW + 64 : HEIGHT);

  // Each thing that is drawn as uPlot's series, with what it is drawn from. A band is two series and the area between.
  const partsOf = (chart) => {
    const parts = [];
    for (const band of chart.bands || []) {
      const base = { of: band, points: { show: false }, width: 0, stroke: "transparent" };
      parts.push({ ...base, data: band.high, opensBand: true }, { ...base, data: band.low, isLower: true });
    }
    for (const line of chart.lines || []) {
      const isPoints = line.style === "points";
      parts.push({
        of: line,
        data: line.values,
        stroke: isPoints ? "transparent" : colour(line.colour),
        width: isPoints ? 0 : 1.5,
        fill: line.style === "area" ? faded(line.colour, 0.35) : undefined,
        dash: line.is_dashed ? [6, 4] : undefined,
        paths: line.style === "steps" ? uPlot.paths.stepped({ align: 1 }) : isPoints ? () => null : undefined,
        points: { show: isPoints, size: isOfRows(chart) ? 6 : 9, fill: colour(line.colour), stroke: colour(line.colour) },
      });
    }
    for (const level of levelsIn(chart)) {
      parts.push({
        of: level,
        data: chart.x.map(() => level.value),
        stroke: colour(level.colour),
        width: 1.5,
        dash: level.is_dashed ? [6, 4] : undefined,
        points: { show: false },
      });
    }
    return parts;
  };

  const SCALES = {
    linear: {},
    log: { distr: 3, log: 10 },
    // Spreads what is rare: between never and a hundredth lies most of what is worth telling apart.
    sqrt: { distr: 100, fwd: (value) => Math.sqrt(Math.max(value, 0)), bwd: (value) => value * value },
  };

  const yScale = (chart) => {
    if (isOfRows(chart)) return { dir: -1, range: () => [-0.6, chart.rows.length - 0.4] };
    const scale = { ...SCALES[chart.y_scale || "linear"] };
    if ((chart.y_scale || "linear") === "linear") {
      scale.range = (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.06];
    } else if (chart.y_scale === "log") {
      scale.range = (_, low, high) => [(low || 1) / 1.15, (high || 10) * 1.15];
    }
    return scale;
  };

  const xScale = (chart) => {
    const scale = { time: Boolean(chart.is_time), ...SCALES[chart.x_scale || "linear"] };
    if ((chart.bars || []).length) {
      const ends = [0, ...chart.bars.map((bar) => bar.value)];
      const [low, high] = [Math.min(...ends), Math.max(...ends)];
      const room = 0.04 * (high - low || 1);
      scale.range = () => [low - (low < 0 ? room : 0), high + (high > 0 ? room : 0) || 1];
    }
    if (chart.x_scale === "sqrt") scale.range = (_, low, high) => [0, (high || 1) * 1.08];
    if (chart.x.length === 1) scale.range = (_, low) => [low - 1, low + 1];
    return scale;
  };

  // Round numbers for a scale that is not linear: 1, 2, 5 of every ten, finer where these are too few.
  const roundTicks = (_, __, low, high) => {
    let found = [];
    for (const steps of [[1, 2, 5], [1, 1.5, 2, 3, 4, 5, 7], Array.from({ length: 45 }, (_, number) => 1 + number / 5)]) {
      found = low <= 0 ? [0] : [];
      for (let power = -4; power < 7; power += 1)
        for (const step of steps) {
          const tick = Number((step * 10 ** power).toPrecision(2));
          if (tick >= low && tick <= high) found.push(tick);
        }
      if (found.length >= 3) break;
    }
    return found;
  };

  // As many as there is room for, from the largest down; the others are drawn as lines without a number.
  const thinned = (plot, splits, axis, format) => {
    let last = Infinity;
    return [...splits]
      .reverse()
      .map((value) => {
        const at = plot.valToPos(value, axis);
        if (Math.abs(last - at) < (axis === "x" ? 44 : 16)) return "";
        last = at;
        return format(value);
      })
      .reverse();
  };

  const axes = (chart) => {
    const ink = colour("dim");
    const base = {
      stroke: ink,
      grid: { stroke: colour("line"), width: 1 },
      ticks: { stroke: colour("line"), width: 1 },
      font: "12px system-ui, sans-serif",
      labelFont: "12px system-ui, sans-serif",
      labelSize: 18,
    };
    const x = { ...base, space: 64, size: 34 };
    const format = (value) => mora.format(chart.unit, value);
    if (chart.is_time) {
      x.values = (_, splits, __, ___, step) =>
        splits.map((at) => (step >= DAY || at % DAY === 0 ? date(at) : clock(at)));
    } else if (chart.x_scale && chart.x_scale !== "linear") {
      x.splits = roundTicks;
      x.filter = (_, splits) => splits;
      x.values = (plot, splits) => thinned(plot, splits, "x", (value) => digits(value));
    } else {
      x.values = (_, splits) => splits.map((value) => (isOfRows(chart) ? format(value) : FORMATS.number(value)));
    }
    if (isOfRows(chart) && chart.unit === "bytes") x.incrs = BYTE_STEPS;
    if (chart.x_label) x.label = chart.x_label;
    if (isOfRows(chart)) {
      const widest = Math.max(...chart.rows.map((name) => name.length));
      const y = { ...base, size: Math.min(24 + widest * 6.4, NAME), splits: () => chart.rows.map((_, row) => row) };
      y.filter = (_, splits) => splits;
      y.values = (_, splits) => splits.map((row) => chart.rows[row] ?? "");
      return [x, y];
    }
    const y = { ...base, size: 68, values: (_, splits) => splits.map((value) => (value === null ? "" : format(value))) };
    if (chart.unit === "bytes") y.incrs = BYTE_STEPS;
    if (chart.y_scale === "log") {
      y.splits = roundTicks;
      y.filter = (_, splits) => splits;
      y.values = (plot, splits) => thinned(plot, splits, "y", format);
    }
    if (chart.y_label) y.label = chart.y_label;
    return [x, y];
  };

  // --- what uPlot does not draw ---

  const drawSpans = (plot, chart) => {
    const { ctx, bbox } = plot;
    ctx.save();
    for (const span of chart.spans || []) {
      ctx.fillStyle = faded(span.colour || "dim", 0.16);
      const [left, right] = [span.begin, span.end].map((at) => plot.valToPos(at, "x", true));
      const from = Math.max(left, bbox.left);
      const width = Math.min(right, bbox.left + bbox.width) - from;
      if (width > 0) ctx.fillRect(from, bbox.top, width, bbox.height);
    }
    ctx.restore();
  };

  const drawBars = (plot, chart) => {
    const { ctx } = plot;
    ctx.save();
    for (const bar of chart.bars || []) {
      const [zero, end] = [0, bar.value].map((value) => plot.valToPos(value, "x", true));
      const [top, bottom] = [bar.row - 0.32, bar.row + 0.32].map((row) => plot.valToPos(row, "y", true));
      ctx.fillStyle = colour(bar.colour);
      ctx.fillRect(Math.min(zero, end), Math.min(top, bottom), Math.max(Math.abs(end - zero), 1), Math.abs(bottom - top));
    }
    ctx.restore();
  };

  const drawMarks = (plot, chart) => {
    const { ctx, bbox } = plot;
    const ratio = window.devicePixelRatio || 1;
    ctx.save();
    for (const mark of chart.marks || []) {
      const at = plot.valToPos(mark.at, "x", true);
      if (at < bbox.left || at > bbox.left + bbox.width) continue;
      ctx.strokeStyle = ctx.fillStyle = colour(mark.colour || "bad");
      ctx.lineWidth = 1.5 * ratio;
      ctx.setLineDash([]);
      ctx.beginPath();
      ctx.moveTo(at, bbox.top);
      ctx.lineTo(at, bbox.top + bbox.height);
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(at - 5 * ratio, bbox.top);
      ctx.lineTo(at + 5 * ratio, bbox.top);
      ctx.lineTo(at, bbox.top + 8 * ratio);
      ctx.fill();
    }
    ctx.restore();
  };

  // The labels of single points: beside them, on neither a point nor another label, within the chart.
  const drawLabels = (plot, chart) => {
    const { ctx, bbox } = plot;
    const ratio = window.devicePixelRatio || 1;
    const shown = (chart.lines || []).filter((line) => line.label && !hidden.has(groupOf(line)));
    const points = shown.flatMap((line) => {
      const last = line.values.findLastIndex((value) => value !== null);
      if (last < 0) return [];
      return [{ line, x: plot.valToPos(chart.x[last], "x", true), y: plot.valToPos(line.values[last], "y", true) }];
    });
    const around = (x, y, width, height) => [x, y - height / 2, x + width, y + height / 2];
    const meet = (one, other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];
    const taken = points.map(({ x, y }) => around(x - 7 * ratio, y, 14 * ratio, 14 * ratio));
    ctx.save();
    ctx.font = `600 ${12 * ratio}px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    for (const { line, x, y } of points.sort((one, other) => one.y - other.y)) {
      const width = ctx.measureText(line.label).width;
      const right = x + 10 * ratio;
      const places = [
        [right, y], [x - 10 * ratio - width, y], [x - width / 2, y - 15 * ratio], [x - width / 2, y + 15 * ratio],
        ...[-14, 14, -28, 28, -42, 42, -56, 56].map((step) => [right, y + step * ratio]),
      ];
      const isFree = ([left, middle]) => {
        const box = around(left, middle, width, 14 * ratio);
        const isInside = left >= bbox.left && box[2] <= ctx.canvas.width && box[1] >= 0 && box[3] <= bbox.top + bbox.height;
        return isInside && !taken.some((other) => meet(box, other));
      };
      const [left, middle] = places.find(isFree) || places[0];
      taken.push(around(left, middle, width, 14 * ratio));
      ctx.fillStyle = colour(line.colour);
      ctx.fillText(line.label, left, middle);
    }
    ctx.restore();
  };

  // --- the legend: a button for everything that is drawn, with its value where the pointer is ---

  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  mora.element = element;

  const levelText = (one, chart) => ("value" in one ? mora.format(chart.unit, one.value) : "");

  const legendOf = (chart) => {
    const list = element("ul", { class: "legend" });
    for (const one of [...(chart.bands || []), ...(chart.lines || []), ...levelsIn(chart)]) {
      const swatch = element("i", { class: "high" in one ? "band" : one.is_dashed ? "dashed" : one.style || "line" });
      swatch.style.setProperty("--swatch", `var(--${one.colour})`);
      const value = element("span", { class: "value" }, levelText(one, chart));
      const button = element("button", { type: "button", "data-group": groupOf(one) }, swatch, `${one.name} `, value);
      button.setAttribute("aria-pressed", String(!hidden.has(groupOf(one))));
      button.addEventListener("click", () => mora.show(groupOf(one), hidden.has(groupOf(one))));
      list.append(element("li", {}, button));
    }
    for (const one of (chart.levels || []).filter((level) => level.is_outside))
      list.append(element("li", { class: "marked" }, `${one.name} ${levelText(one, chart)} (above the chart)`));
    const marked = new Map();
    for (const one of [...(chart.marks || []), ...(chart.spans || [])])
      marked.set(one.text, { colour: one.colour || ("begin" in one ? "dim" : "bad"), count: (marked.get(one.text)?.count || 0) + 1 });
    for (const [text, { colour: name, count }] of marked) {
      const swatch = element("i", { class: "mark" });
      swatch.style.setProperty("--swatch", `var(--${name})`);
      list.append(element("li", { class: "marked" }, swatch, count > 1 ? `${text} (${count})` : text));
    }
    return list;
  };

  // --- drawing ---

  const make = (figure, chart) => {
    const { box, legend } = plots.get(figure);
    const parts = partsOf(chart);
    const values = [...legend.querySelectorAll("button .value")];
    const things = [...(chart.bands || []), ...(chart.lines || []), ...levelsIn(chart)];
    const follow = (plot) => {
      const row = plot.cursor.idx;
      things.forEach((one, number) => {
        if ("value" in one) return;
        const [low, high] = row === null ? [null, null] : "high" in one ? [one.low[row], one.high[row]] : [one.values[row], null];
        const text = low === null || low === undefined ? "" : mora.format(chart.unit, low);
        values[number].textContent = high === null || high === undefined ? text : `${text} to ${mora.format(chart.unit, high)}`;
      });
      if (isOfRows(chart)) values.forEach((value) => (value.textContent = ""));
      const at = row === null || isOfRows(chart) ? "" : chart.is_time ? mora.moment(chart.x[row]) : `${chart.x_label || "at"} ${digits(chart.x[row])}`;
      plots.get(figure).now.textContent = at;
    };
    return new uPlot(
      {
        width: Math.max(box.clientWidth, 200),
        height: heightOf(chart),
        legend: { show: false },
        padding: [12, (chart.lines || []).some((one) => one.label) ? 76 : chart.is_time ? 28 : 12, 0, 0],
        cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false } },
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        scales: { x: xScale(chart), y: yScale(chart) },
        axes: axes(chart),
        series: [{}, ...parts.map(({ data, of, opensBand, isLower, ...series }) => ({ ...series, show: !hidden.has(groupOf(of)) }))],
        bands: parts.flatMap((part, number) =>
          part.opensBand ? [{ series: [number + 1, number + 2], fill: faded(part.of.colour, 0.4) }] : [],
        ),
        hooks: {
          drawClear: [(plot) => drawSpans(plot, chart)],
          draw: [(plot) => drawBars(plot, chart), (plot) => drawMarks(plot, chart), (plot) => drawLabels(plot, chart)],
          setCursor: [follow],
        },
      },
      [chart.x, ...parts.map((part) => part.data)],
      box,
    );
  };

  mora.draw = (figure, chart) => {
    const box = element("div", { class: "plot", role: "img", "aria-label": chart.text || chart.title });
    const now = element("p", { class: "now", "aria-hidden": "true" });
    const legend = legendOf(chart);
    figure.append(now, box, legend);
    const state = { chart, box, now, legend, plot: null };
    plots.set(figure, state);
    state.plot = make(figure, chart);
    let width = box.clientWidth;
    state.watch = new ResizeObserver(() => {
      if (box.clientWidth === width || box.clientWidth === 0) return;
      width = box.clientWidth;
      state.plot.setSize({ width: Math.max(width, 200), height: heightOf(chart) });
    });
    state.watch.observe(box);
    figure.dataset.drawn = "yes";
  };

  // A figure that is taken off the page: its plot listens to the window no longer.
  mora.forget = (figure) => {
    const state = plots.get(figure);
    if (!state) return;
    state.watch.disconnect();
    state.plot.destroy();
    plots.delete(figure);
  };

  const redraw = (figure) => {
    const state = plots.get(figure);
    state.plot.destroy();
    state.plot = make(figure, state.chart);
  };

  mora.show = (group, isShown) => {
    if (isShown) hidden.delete(group);
    else hidden.add(group);
    for (const part of document.querySelectorAll("[data-of]"))
      if (part.dataset.of === group) part.classList.toggle("off", !isShown);
    for (const button of document.querySelectorAll("button[data-group]"))
      if (button.dataset.group === group) button.setAttribute("aria-pressed", String(isShown));
    for (const [figure, { chart }] of plots) {
      const things = [...(chart.bands || []), ...(chart.lines || []), ...(chart.levels || [])];
      if (things.some((one) => groupOf(one) === group)) redraw(figure);
    }
  };

  dark.addEventListener("change", () => {
    for (const figure of plots.keys()) redraw(figure);
  });

  document.addEventListener("DOMContentLoaded", () => {
    for (const name of new URLSearchParams(location.hash.slice(1)).get("hide")?.split(",") || []) hidden.add(name);
    for (const figure of document.querySelectorAll("figure.chart")) {
      const block = figure.querySelector('script[type="application/json"]');
      if (block) mora.draw(figure, JSON.parse(block.textContent));
    }
    // Buttons for a group that stand outside of charts.
    for (const button of document.querySelectorAll("button[data-group]:not(.legend button)")) {
      button.addEventListener("click", () => mora.show(button.dataset.group, hidden.has(button.dataset.group)));
    }
    for (const group of [...hidden]) mora.show(group, false);
    document.documentElement.dataset.ready = "yes";
  });
})();
