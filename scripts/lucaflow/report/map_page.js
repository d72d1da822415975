// The body of a function that Bokeh calls once the page is there. Its arguments are those of map_page.py.

const MOST_SHOWN_IDS = 1000
const MOST_SHOWN_LETTERS = 160

// On a phone, legend and scales are below the points.
const is_narrow = window.innerWidth < 700
const [legend, ...bars] = is_narrow ? below : beside
const LEAST_HEIGHT = 320
const HEIGHT_OF_ITEM = 22

// Each column answers for a point: its text, and whether it contains what is searched.
for (const column of columns) {
  if (column.texts !== undefined) {
    column.text = (i) => column.numbers[i] < 0 ? "" : column.texts[column.numbers[i]]
  } else {
    column.text = (i) => Number.isNaN(column.values[i]) ? "" : String(column.values[i])
  }
}

function counted(name, count) {
  return `${name} (${count.toLocaleString("en")})`
}

function colour_by(column) {
  const groups = [...named, other, none, ...shaded]
  const points = new Map(groups.map((renderer) => [renderer, []]))
  if (column.texts !== undefined) {
    column.numbers.forEach((number, i) => points.get(number < 0 ? none : named[number] ?? other).push(i))
  } else {
    const scale = column.wide ? 1 : 0
    scales[scale].setv({low: column.low, high: column.high})
    source.data = {...source.data, shade: Float64Array.from(column.values)}
    column.values.forEach((value, i) => points.get(Number.isNaN(value) ? none : shaded[scale]).push(i))
    bars[scale].title = column.name
  }
  for (const [renderer, indices] of points) {
    renderer.view.filter.indices = indices
    renderer.visible = indices.length > 0
  }
  // A legend that has no items is laid out once, not with each item.
  legend.items = []
  items.forEach((item, k) => {
    const renderer = item.renderers[0]
    const count = points.get(renderer).length
    const name = renderer === other ? counted("other", count)
      : renderer === none ? counted("(none)", count) : column.named?.[k] ?? ""
    item.label = {value: name}
  })
  const shown = items.filter((item) => points.get(item.renderers[0]).length > 0)
  legend.setv({items: shown, visible: shown.length > 0})
  if (is_narrow) plot.min_height = LEAST_HEIGHT + HEIGHT_OF_ITEM * shown.length
  bars.forEach((bar, k) => bar.visible = column.values !== undefined && k === (column.wide ? 1 : 0))
  // Bokeh measures the toolbar before the legend has its width, and would hide some tools in a menu.
  setTimeout(() => plot.toolbar.properties.location.change.emit(), 200)
}

function select(indices) {
  source.selected.indices = indices
}

function find(typed) {
  const wanted = typed.trim().toLowerCase()
  const hits = []
  if (wanted !== "") {
    const contains = (text) => text.toLowerCase().includes(wanted)
    const texts = columns.filter((column) => column.texts !== undefined)
    const matching = texts.map((column) => column.texts.map(contains))
    const is_hit = (i) => contains(ids[i]) ||
      texts.some((column, k) => column.numbers[i] >= 0 && matching[k][column.numbers[i]])
    for (let i = 0; i < ids.length; i++)
      if (is_hit(i)) hits.push(i)
  }
  select(hits)
  // Without a selection Bokeh fades nothing.
  for (const renderer of [...named, other, none, ...shaded])
    renderer.muted = wanted !== "" && hits.length === 0
  found.text = wanted === "" ? "" : `${hits.length.toLocaleString("en")} found`
}

function chosen_ids() {
  return [...source.selected.indices].sort((a, b) => a - b).map((i) => ids[i])
}

function show_selection() {
  const chosen = chosen_ids()
  const more = chosen.length > MOST_SHOWN_IDS
  selected.value = chosen.slice(0, MOST_SHOWN_IDS).join("\n")
  const shown = more ? `, of which ${MOST_SHOWN_IDS.toLocaleString("en")} are shown` : ""
  count.text = chosen.length === 0 ? hint : `${chosen.length.toLocaleString("en")} selected${shown}`
  copy.disabled = save.disabled = fasta.disabled = chosen.length === 0
  show_neighbours()
}

// The neighbours of a point, the most similar first: name, similarity, and its point in the map or -1.
function neighbours_of(i) {
  if (related === null) return []
  const {names, points, rows, similarity, k} = related
  const found = []
  for (let place = i * k; place < (i + 1) * k; place++)
    if (rows[place] >= 0)
      found.push({name: names[rows[place]], similarity: similarity[place], point: points[rows[place]]})
  return found
}

function escaped(text) {
  const span = document.createElement("span")
  span.textContent = text
  return span.innerHTML
}

function show_neighbours() {
  const chosen = source.selected.indices
  const found = chosen.length === 1 ? neighbours_of(chosen[0]) : []
  around.disabled = !found.some(({point}) => point >= 0)
  if (found.length === 0) {
    near.text = related === null || chosen.length > 0 ? "" : "Click a point to see its neighbours."
    return
  }
  const column = columns[Number(colour.value)]
  const lines = found.map(({name, similarity, point}) => {
    const text = point < 0 ? "" : column.text(point)
    return `<tr><td>${escaped(name)}</td><td>${similarity.toFixed(2)}</td><td>${escaped(text)}</td></tr>`
  })
  near.text = `Neighbours of <b>${escaped(ids[chosen[0]])}</b>, and their similarity:<table>${lines.join("")}</table>`
}

function select_neighbours() {
  const [i] = source.selected.indices
  select([i, ...neighbours_of(i).map(({point}) => point).filter((point) => point >= 0)])
}

async function copy_ids() {
  const text = chosen_ids().join("\n") + "\n"
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    // Browsers without a clipboard for pages on the disk copy from a text field.
    const field = document.createElement("textarea")
    field.value = text
    document.body.append(field)
    field.select()
    document.execCommand("copy")
    field.remove()
  }
  count.text = `${source.selected.indices.length.toLocaleString("en")} copied`
}

function save_text(text, name) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([text], {type: "text/plain"}))
  link.download = name
  link.click()
  URL.revokeObjectURL(link.href)
}

function save_ids() {
  save_text(chosen_ids().join("\n") + "\n", file)
}

function save_fasta() {
  const chosen = [...source.selected.indices].sort((a, b) => a - b)
  save_text(chosen.map((i) => `>${ids[i]}\n${residues.texts[residues.numbers[i]]}\n`).join(""), fasta_file)
}

function line(name, text) {
  const shown = text.length > MOST_SHOWN_LETTERS ? text.slice(0, MOST_SHOWN_LETTERS) + "…" : text
  const [row, left, right] = ["tr", "td", "td"].map((tag) => document.createElement(tag))
  left.textContent = name
  left.style.cssText = "color:#0072B2; padding-right:0.8em; vertical-align:top; white-space:nowrap"
  right.textContent = shown
  row.append(left, right)
  return row
}

function tooltip(_, {index}) {
  const table = document.createElement("table")
  table.style.cssText = "max-width:min(30em, 80vw); font-size:12px; overflow-wrap:anywhere"
  table.append(line("id", ids[index]))
  for (const column of columns)
    if (column.text(index) !== "") table.append(line(column.name, column.text(index)))
  return table
}

const hint = "Select points by a click, or with the lasso or the box above the map."
hover.tooltips = tooltip
colour.properties.value.change.connect(() => colour_by(columns[Number(colour.value)]))
search.properties.value_input.change.connect(() => find(search.value_input))
source.selected.properties.indices.change.connect(show_selection)
copy.on_event?.("button_click", copy_ids)
save.on_event?.("button_click", save_ids)
fasta.on_event?.("button_click", save_fasta)
around.on_event?.("button_click", select_neighbours)
colour_by(columns[Number(colour.value)])
show_selection()
