// Before the first paint: the theme somebody chose here, else the system's.
"use strict";
const chosen = localStorage.getItem("theme");
if (chosen) document.documentElement.dataset.theme = chosen;
