// Before the page is drawn: the theme that was chosen here, if one was.
try {
  const chosen = localStorage.getItem("wsdl.theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {}
