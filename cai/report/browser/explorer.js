// Search, filter, sort and page through rows. Which rows, in which order, is TanStack's table-core; what is seen of them is here.

/** All that a row says, in small letters; made when it is first searched. */
function searchText(row) {
  if (row.searchable === undefined) {
    const answers = row.answers.flatMap((each) => [each.by, each.text, each.critique || ""]);
    const votes = row.verdicts.flatMap((each) => each.votes.map((vote) => vote.why || ""));
    row.searchable = [row.id, row.prompt, ...answers, ...votes].join("\n").toLowerCase();
  }
  return row.searchable;
}

const COLUMNS = [
  { id: "text", accessorFn: (row) => row, filterFn: (row, id, words) => searchText(row.original).includes(words) },
  { id: "track", accessorFn: (row) => row.track, filterFn: (row, id, value) => row.original.track === value },
  { id: "outcome", accessorFn: (row) => row.outcomes.join(", "), filterFn: (row, id, value) => row.original.outcomes.includes(value) },
  { id: "principle", accessorFn: (row) => row.principles.join(", "), filterFn: (row, id, value) => row.original.principles.includes(value) },
  { id: "sure", accessorFn: (row) => row.sure ?? undefined, sortingFn: "basic", sortUndefined: "last" },
  { id: "words", accessorFn: (row) => row.words, sortingFn: "basic" },
  { id: "id", accessorFn: (row) => row.id, sortingFn: "basic" },
];

/** The table library over the rows of one table, in the state that the address names. */
function tableOf(rows) {
  return TableCore.createTable({
    data: rows,
    columns: COLUMNS,
    state: { columnPinning: {}, pagination: { pageIndex: 0, pageSize: SIZE } },
    onStateChange: () => {},
    renderFallbackValue: null,
    getCoreRowModel: TableCore.getCoreRowModel(),
    getFilteredRowModel: TableCore.getFilteredRowModel(),
    getSortedRowModel: TableCore.getSortedRowModel(),
    getPaginationRowModel: TableCore.getPaginationRowModel(),
  });
}

/** The rows of a state: all that fit, and those of its page. */
function rowsOf(table, state) {
  const named = { columnFilters: filtersOf(state), sorting: sortingOf(state) };
  const paged = { pagination: { pageIndex: state.page - 1, pageSize: SIZE } };
  table.setOptions((options) => ({ ...options, state: { ...options.state, ...named, ...paged } }));
  const fitting = table.getSortedRowModel().rows.map((row) => row.original);
  const pages = Math.max(1, Math.ceil(fitting.length / SIZE));
  if (state.row && !state.opened) {
    const at = fitting.findIndex((row) => row.id === state.row);
    if (at >= 0) state.page = Math.floor(at / SIZE) + 1;
  }
  state.page = Math.min(state.page, pages);
  return { fitting, pages, shown: fitting.slice((state.page - 1) * SIZE, state.page * SIZE) };
}

/** Makes the search of the page live.
 *
 * book: {tables: [{name, title, total}], principles: {id: {title, text}}}; rows: what cardBlock takes, each with its table's number.
 */
function explorer(book, rows) {
  const part = (id) => document.getElementById(`rows-${id}`);
  const tables = book.tables.map((of, number) => ({ ...of, rows: rows.filter((row) => row.table === number) }));
  tables.forEach((of) => { of.table = tableOf(of.rows); });
  let state = stateOf(namesRows(location.hash) ? location.hash : "");
  const current = () => tables.find((of) => of.name === state.table) || tables[0];

  function show(changes) {
    const turned = "page" in changes;
    state = { ...state, ...(turned ? {} : { page: 1 }), ...changes };
    history.replaceState(null, "", hashOf(state));
    draw();
  }

  function draw() {
    const of = current();
    const principles = book.principles[of.run] || {};
    fill(of, principles);
    const { fitting, pages, shown } = rowsOf(of.table, state);
    part("count").textContent = countWords(of, fitting.length, state.page, pages);
    part("body").replaceChildren(...shown.flatMap((row) => rowElements(row, principles)));
    part("before").disabled = state.page <= 1;
    part("after").disabled = state.page >= pages;
  }

  /** A line of the table, and the row whole below it where it is open. */
  function rowElements(row, principles) {
    const open = row.id === state.row;
    const toggle = make("button", { type: "button", class: "prompt", dir: "auto", "aria-expanded": String(open) }, shortened(row.prompt));
    toggle.addEventListener("click", () => {
      show({ row: open ? "" : row.id, page: state.page, opened: true });
      const again = part("body").querySelector(`tr[data-at="${CSS.escape(row.id)}"] button`);
      if (again) again.focus();
    });
    const titles = row.principles.map((id) => (principles[id] ? principles[id].title : id));
    const sure = row.sure === null ? "–" : `${Math.round(100 * row.sure)}%`;
    const line = make(
      "tr",
      { "data-at": row.id },
      make("th", { scope: "row" }, toggle),
      make("td", {}, row.track),
      make("td", {}, row.outcomes.join(", ")),
      make("td", {}, titles.join(", ")),
      make("td", { class: "n" }, sure),
      make("td", { class: "n" }, String(row.words)),
    );
    if (!open) return [line];
    const link = make("a", { href: hashOf({ ...NOTHING, table: current().name, row: row.id }) }, "link to this row");
    return [line, make("tr", {}, make("td", { colspan: "6", class: "whole" }, cardBlock(row, principles, link)))];
  }

  /** The choices of the filters: those that the table's rows have. */
  function fill(of, principles) {
    if (part("table").options.length === 0) {
      part("table").append(...tables.map((each) => make("option", { value: each.name }, each.title)));
    }
    part("table").value = of.name;
    if (part("track").dataset.of !== of.name) {
      part("track").dataset.of = of.name;
      const distinct = (values) => [...new Set(values)].filter((value) => value).sort();
      const title = (id) => (principles[id] ? principles[id].title : id);
      const table = part("body").closest("table");
      table.classList.toggle("without-principle", !of.rows.some((row) => row.principles.length));
      table.classList.toggle("without-sure", !of.rows.some((row) => row.sure !== null));
      choices("track", distinct(of.rows.map((row) => row.track)));
      choices("outcome", distinct(of.rows.flatMap((row) => row.outcomes)));
      choices("principle", distinct(of.rows.flatMap((row) => row.principles)), title);
    }
    for (const key of ["track", "outcome", "principle", "sort"]) part(key).value = state[key];
    if (document.activeElement !== part("q")) part("q").value = state.q;
  }

  function choices(key, values, title = (value) => value) {
    const options = values.map((value) => make("option", { value }, title(value)));
    const all = make("option", {}, "all");
    all.value = "";
    part(key).replaceChildren(all, ...options);
    part(key).closest("label").hidden = values.length < 2;
  }

  part("table").addEventListener("change", () => show({ ...NOTHING, table: part("table").value, opened: false }));
  for (const key of ["track", "outcome", "principle", "sort"]) {
    part(key).addEventListener("change", () => show({ [key]: part(key).value }));
  }
  part("q").form.addEventListener("submit", (event) => event.preventDefault());
  part("q").addEventListener("input", () => show({ q: part("q").value }));
  part("before").addEventListener("click", () => show({ page: state.page - 1, opened: true }));
  part("after").addEventListener("click", () => show({ page: state.page + 1, opened: true }));
  window.addEventListener("hashchange", () => {
    if (!namesRows(location.hash)) return;
    state = stateOf(location.hash);
    draw();
    reveal();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
    event.preventDefault();
    part("q").focus();
  });

  /** Brings what the address names into view. */
  function reveal() {
    const open = part("body").querySelector('button[aria-expanded="true"]');
    (open || part("table")).scrollIntoView({ block: open ? "start" : "nearest" });
    if (open) open.focus({ preventScroll: true });
  }

  document.getElementById("rows-live").hidden = false;
  draw();
  if (namesRows(location.hash)) reveal();
}

/** How many rows there are, in words. */
function countWords(of, fitting, page, pages) {
  const all = of.rows.length < of.total ? `${of.rows.length.toLocaleString("en")} drawn of ${of.total.toLocaleString("en")}` : of.total.toLocaleString("en");
  return `${fitting.toLocaleString("en")} of ${all} rows; page ${page.toLocaleString("en")} of ${pages.toLocaleString("en")}`;
}

/** The beginning of a prompt, in one line. */
function shortened(text) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 120 ? `${line.slice(0, 119)}…` : line || "(empty)";
}
