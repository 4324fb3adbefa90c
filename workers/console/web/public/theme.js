// Blocking and tiny: the theme stands before the first paint.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("sy.theme");
  } catch {}
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
