// Sets the colours before the page is drawn, so that it does not flash.
(function () {
  try {
    const theme = JSON.parse(localStorage.getItem("luup.settings") || "{}").theme;
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // no storage, or a damaged one: the colours of the system
  }
})();
