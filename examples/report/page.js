// Draws every chart of the page. Runs without eval: `ast` has Vega interpret its expressions.
const font = "system-ui, sans-serif";
const config = {
  background: "transparent",
  font,
  aria: false, // the element around it says what a chart shows
  view: { stroke: null },
  axis: {
    domain: false,
    gridColor: "var(--line)",
    labelColor: "var(--muted)",
    labelFontSize: 12,
    labelPadding: 6,
    tickColor: "var(--line)",
  },
};
const charts = JSON.parse(document.getElementById("charts").textContent);
for (const [name, chart] of Object.entries(charts)) {
  const element = document.getElementById(name);
  const spec = { ...chart, config, autosize: { type: "fit-x", contains: "padding" } };
  const tooltip = { theme: "ours", disableDefaultStyle: true };
  vegaEmbed(element, spec, {
    actions: false, ast: true, mode: "vega-lite", renderer: "svg", tooltip,
  }).catch((error) => {
    element.textContent = "This browser could not draw the chart.";
    console.error(error);
  });
}
