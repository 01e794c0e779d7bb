// Opens the report in frames of several widths and writes down what a reader would see, as JSON.

const number = text => Number(text.trim().replace(/\u202f/g, "").replace("−", "-").replace(/k$/, "e3").replace(/M$/, "e6"));

/** The colour of what is drawn behind an element. */
function ground(element) {
  const colour = getComputedStyle(element).backgroundColor;
  return colour === "rgba(0, 0, 0, 0)" && element.parentElement ? ground(element.parentElement) : colour;
}

/** What a chart shows: its marks, and its bars with the text beside each. */
function chart(table) {
  const axis = table.querySelector(".axis").getBoundingClientRect();
  const bars = [...table.querySelectorAll("tbody tr:not(.title)")].map(row => {
    const [track, bar] = [row.querySelector(".track"), row.querySelector(".bar")].map(box => box.getBoundingClientRect());
    return { text: row.querySelector(".figure").textContent, left: bar.left - track.left, width: bar.width, track: track.width };
  });
  const marks = [...table.querySelectorAll(".mark")].map(mark => {
    return { value: number(mark.textContent), at: axis.width * parseFloat(mark.style.left) / 100 };
  });
  return {
    caption: table.caption.textContent,
    logarithmic: table.classList.contains("logarithmic"),
    marks,
    bars: bars.filter(bar => bar.text !== "").map(bar => ({ ...bar, value: number(bar.text) })),
  };
}

function look(frame) {
  const page = frame.contentDocument;
  page.querySelectorAll("details").forEach(details => details.open = true);
  const root = page.documentElement;
  const width = root.clientWidth;
  const outside = [...page.body.querySelectorAll("*")].filter(element => {
    const box = element.getBoundingClientRect();
    return !element.closest(".scroll *, .unseen") && box.width > 0 && (box.right > width + 0.5 || box.left < -0.5);
  });
  const colours = new Set();
  const see = (kind, colour, behind) => colours.add(JSON.stringify({ kind, colour, ground: ground(behind) }));
  page.querySelectorAll("p, a, dt, dd, th, td, h1, h2, h3, h4, summary, small, code, strong, b").forEach(element =>
    see("text", getComputedStyle(element).color, element));
  page.querySelectorAll(".bar").forEach(bar => see("bar", getComputedStyle(bar).backgroundColor, bar.parentElement));
  return {
    title: page.title,
    scripts: page.scripts.length,
    width,
    content: root.scrollWidth,
    outside: outside.slice(0, 5).map(element => `${element.tagName}.${element.className}: ${element.textContent.slice(0, 60)}`),
    ground: getComputedStyle(root).backgroundColor,
    colours: [...colours].map(colour => JSON.parse(colour)),
    charts: [...page.querySelectorAll("table.chart")].map(chart),
  };
}

onload = () => {
  const seen = [...document.querySelectorAll("iframe")].map(look);
  const result = document.createElement("pre");
  result.id = "seen";
  result.textContent = JSON.stringify(seen);
  document.body.replaceChildren(result);
};
