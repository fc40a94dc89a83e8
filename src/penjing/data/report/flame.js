(function () {
  var LETTER = 6.6, PADDING = 4;
  function wide(letter) { return letter.charCodeAt(0) > 0x2e80 ? 2 : 1; }
  function fitting(label, width) {
    var room = Math.floor((width - 2 * PADDING) / LETTER), used = 0, count = 0, all = 0;
    for (var i = 0; i < label.length; i++) all += wide(label[i]);
    if (all <= room) return label;
    while (count < label.length && used + wide(label[count]) <= room - 1) used += wide(label[count++]);
    return count > 1 ? label.slice(0, count) + "…" : "";
  }
  document.querySelectorAll(".graph").forEach(function (graph) {
    var parts = Array.prototype.slice.call(graph.querySelectorAll(".part"));
    var left = +parts[0].dataset.x, whole = +parts[0].dataset.w;
    function widen(x, width) {
      parts.forEach(function (part) {
        var from = Math.max(+part.dataset.x, x), to = Math.min(+part.dataset.x + +part.dataset.w, x + width);
        var shown = to - from > width * 1e-4;
        part.style.display = shown ? "" : "none";
        if (!shown) return;
        var at = left + (from - x) * whole / width, w = (to - from) * whole / width;
        var rect = part.querySelector("rect"), text = part.querySelector("text");
        rect.setAttribute("x", at);
        rect.setAttribute("width", Math.max(w - 0.5, 0.3));
        text.setAttribute("x", at + PADDING);
        text.textContent = fitting(part.dataset.label, w);
      });
    }
    parts.forEach(function (part) {
      part.addEventListener("click", function () { widen(+part.dataset.x, +part.dataset.w); });
    });
  });
})();
