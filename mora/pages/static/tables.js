"use strict";
// Every table[data-sortable] is sorted by a click, or Enter, on a heading: by data-v of its cells where they have one,
// else by their text. Empty cells come last both ways.
(() => {
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.v !== undefined) return cell.dataset.v === "" ? null : Number(cell.dataset.v);
    const text = cell.textContent.trim();
    if (text === "" || text === "-") return null;
    const number = Number(text.replace(/[,%x]/g, ""));
    return Number.isNaN(number) ? text.toLowerCase() : number;
  };

  const compare = (one, other, sign) => {
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one !== typeof other) return sign * String(one).localeCompare(String(other));
    return sign * (typeof one === "number" ? one - other : one.localeCompare(other));
  };

  const sort = (table, column, isDescending) => {
    const sign = isDescending ? -1 : 1;
    for (const body of table.tBodies) {
      const rows = [...body.rows].map((row) => [keyOf(row, column), row]);
      rows.sort(([one], [other]) => compare(one, other, sign));
      body.append(...rows.map(([, row]) => row));
    }
    [...table.tHead.rows[0].cells].forEach((head, number) => {
      if (number === column) head.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const name = table.tHead.rows[0].cells[column].textContent;
    const status = document.getElementById("status");
    if (status) status.textContent = `Sorted by ${name}, ${isDescending ? "highest" : "lowest"} first.`;
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const table of document.querySelectorAll("table[data-sortable]")) {
      [...table.tHead.rows[0].cells].forEach((head, column) => {
        const button = mora.element("button", { type: "button", class: "sort" }, ...head.childNodes);
        head.append(button);
        // Figures are read from the highest down, names from A to Z.
        button.addEventListener("click", () => {
          const before = head.getAttribute("aria-sort");
          const isText = table.tBodies[0].rows.length > 0 && typeof keyOf(table.tBodies[0].rows[0], column) === "string";
          sort(table, column, before === null ? !isText : before === "ascending");
        });
      });
    }
  });
})();
