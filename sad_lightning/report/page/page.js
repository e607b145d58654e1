"use strict";
const value = (row, i) => row.cells[i].dataset.value ?? row.cells[i].textContent.trim();
const isHead = row => row.cells[0].scope === "rowgroup";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, i) => head.firstElementChild.addEventListener("click", () => {
    const numeric = head.classList.contains("n"), old = head.getAttribute("aria-sort");
    const up = old ? old === "descending" : !numeric;
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const compare = numeric ? (a, b) => a - b : (a, b) => a.localeCompare(b, undefined, {numeric: true});
    for (const body of table.tBodies) {  // rows move inside their group
      const rows = [...body.rows].filter(row => !isHead(row)).map(row => [numeric ? parseFloat(value(row, i)) : value(row, i), row]);
      rows.sort(([a], [b]) => Number.isNaN(a) ? (Number.isNaN(b) ? 0 : 1) : Number.isNaN(b) ? -1 : (up ? 1 : -1) * compare(a, b));
      body.append(...rows.map(pair => pair[1]));
    }
  }));
}
for (const input of document.querySelectorAll("input[data-for]")) {
  const bodies = [...document.getElementById("table-" + input.dataset.for).tBodies];
  const count = document.querySelector(`[data-count="${input.dataset.for}"]`);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0, all = 0;
    for (const body of bodies) {
      const rows = [...body.rows], group = rows.filter(isHead), others = rows.filter(row => !isHead(row));
      const where = group.map(row => row.textContent).join(" ");
      others.forEach(row => {
        const text = [where, ...[...row.cells].map(cell => cell.textContent)].join(" ").toLowerCase();
        row.hidden = !words.every(word => text.includes(word));
      });
      const visible = others.filter(row => !row.hidden).length;
      group.forEach(row => { row.hidden = !visible; });
      shown += visible; all += others.length;
    }
    count.textContent = words.length ? `${shown} of ${all}` : "";
  });
}
