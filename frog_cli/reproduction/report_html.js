"use strict";
// A click on the head of a column sorts its table: ascending, descending, then as it was.

// Numbers come before words, and what is missing last, whichever way the table is sorted.
function compare(left, right, sign) {
  const [a, b] = [left, right].map(text => Number(text.replace(/^(-?)inf$/, "$1Infinity")));
  const rank = (text, number) => ["", "missing", "nan"].includes(text) ? 2 : Number.isNaN(number) ? 1 : 0;
  const ranks = [rank(left, a), rank(right, b)];
  if (ranks[0] !== ranks[1]) return ranks[0] - ranks[1];
  if (ranks[0] === 2 || left === right) return 0;
  return sign * (ranks[0] === 0 ? Math.sign(a - b) : left.localeCompare(right, "en", { numeric: true }));
}

for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], written = [...body.rows], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")] ?? "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      if (next !== "none") head.setAttribute("aria-sort", next);
      const text = row => row.cells[column].textContent.trim(), sign = next === "ascending" ? 1 : -1;
      const order = (one, other) => compare(text(one), text(other), sign);
      body.append(...(next === "none" ? written : [...written].sort(order)));
    });
  });
}
