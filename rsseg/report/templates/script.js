(function () {
  "use strict";
  var slider = document.getElementById("opacity");
  if (!slider) return;
  var drawn = document.getElementById("map-picture");
  var told = document.getElementById("opacity-told");
  function show() {
    drawn.style.opacity = slider.value / 100;
    told.textContent = slider.value + "\u00a0%";
    slider.setAttribute("aria-valuetext", slider.value + " percent");
  }
  slider.addEventListener("input", show);
  slider.parentElement.hidden = false;
  show();
})();
