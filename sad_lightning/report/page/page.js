"use strict";
const root = document.documentElement, button = document.getElementById("theme"), themes = ["auto", "light", "dark"];
function show(theme) {
  if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
  button.textContent = "theme: " + theme;
}
let theme = "auto";
try { theme = themes.includes(localStorage.theme) ? localStorage.theme : "auto"; } catch { /* no storage here */ }
show(theme);
button.addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % 3];
  show(theme);
  try { localStorage.theme = theme; } catch { /* no storage here */ }
});
const value = (row, i) => row.cells[i].dataset.value ?? row.cells[i].textContent.trim();
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, i) => head.firstElementChild.addEventListener("click", () => {
    const numeric = head.classList.contains("n"), old = head.getAttribute("aria-sort");
    const up = old ? old === "descending" : !numeric;
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...body.rows].map(row => [numeric ? parseFloat(value(row, i)) : value(row, i), row]);
    const compare = numeric ? (a, b) => a - b : (a, b) => a.localeCompare(b, undefined, {numeric: true});
    rows.sort(([a], [b]) => Number.isNaN(a) ? (Number.isNaN(b) ? 0 : 1) : Number.isNaN(b) ? -1 : (up ? 1 : -1) * compare(a, b));
    body.append(...rows.map(pair => pair[1]));
  }));
}
for (const input of document.querySelectorAll("input[data-for]")) {
  const rows = [...document.getElementById("table-" + input.dataset.for).tBodies[0].rows];
  const count = document.querySelector(`[data-count="${input.dataset.for}"]`);
  const texts = rows.map(row => [...row.cells].map(cell => cell.textContent).join(" ").toLowerCase());
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => { row.hidden = !words.every(word => texts[i].includes(word)); shown += !row.hidden; });
    count.textContent = words.length ? `${shown} of ${rows.length}` : "";
  });
}
addEventListener("beforeprint", () => document.querySelectorAll("details.setting").forEach(each => { each.open = true; }));
