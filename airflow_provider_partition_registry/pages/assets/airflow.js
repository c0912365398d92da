// Inside Airflow: pages follow its theme, and open links as its own pages would. Loaded before anything is drawn.

const root = document.documentElement;

/** Airflow 3 keeps "light", "dark" or "system"; Airflow 2 keeps whether it is dark. */
function followTheme() {
  const isDark = { true: "dark", false: "light" }[localStorage.getItem("darkTheme")];
  root.dataset.theme = localStorage.getItem("theme") ?? isDark ?? "system";
}

followTheme();
addEventListener("storage", followTheme); // when somebody changes it around the frame
root.classList.toggle("framed", parent !== window);

// Airflow's frame lets no link open a tab. Its own page may, and is of the same origin.
if (parent !== window) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[target=_blank]");
    if (!link) return;
    event.preventDefault();
    const outside = parent.document.createElement("a");
    Object.assign(outside, { href: link.href, target: "_blank", rel: "noreferrer noopener" });
    outside.click();
  });
}
