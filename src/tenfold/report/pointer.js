// Reads a plot's values off under a pointer or a finger. The plots are whole without it.
"use strict";
for (const area of document.querySelectorAll(".plot .area")) {
  const plot = JSON.parse(area.querySelector("script").textContent);
  const cross = document.createElement("div");
  const tip = document.createElement("div");
  cross.className = "cross";
  tip.className = "tip";

  const number = (value) => plot.percent ? (100 * value).toPrecision(3) + "%"
    : Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));

  const place = (value) => Math.round(value).toLocaleString("en");

  // The index of the place in ascending xs that is nearest x.
  const nearest = (xs, x) => {
    let low = 0, high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] < x) low = middle; else high = middle;
    }
    return x - xs[low] <= xs[high] - x ? low : high;
  };

  const show = (event) => {
    const box = area.getBoundingClientRect();
    const [low, high] = plot.x;
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const wanted = low + share * (high - low);
    const near = plot.series.filter((s) => s.x.length).map((s) => ({ s, i: nearest(s.x, wanted) }));
    if (!near.length) return;
    const x = near.map(({ s, i }) => s.x[i]).reduce((a, b) => Math.abs(a - wanted) <= Math.abs(b - wanted) ? a : b);
    const at = 100 * (x - low) / (high - low);
    const head = document.createElement("div");
    head.textContent = area.parentElement.querySelector(".axis").textContent + " " + place(x);
    tip.replaceChildren(head);
    for (const { s, i } of near) {
      const line = document.createElement("div");
      const mark = document.createElement("i");
      mark.className = "swatch c" + s.colour % 8;
      const away = Math.abs(s.x[i] - x) > 0.01 * (high - low) ? " at " + place(s.x[i]) : "";
      const value = document.createElement("b");
      value.textContent = number(s.y[i]);
      line.append(mark, value, s.name + away);
      tip.append(line);
    }
    cross.style.left = at + "%";
    tip.style.left = at < 50 ? "calc(" + at + "% + 10px)" : "auto";
    tip.style.right = at < 50 ? "auto" : "calc(" + (100 - at) + "% + 10px)";
    area.append(cross, tip);
  };
  const hide = () => { cross.remove(); tip.remove(); };
  area.addEventListener("pointermove", show);
  area.addEventListener("pointerdown", show);
  area.addEventListener("pointerleave", hide);
}
