// What is shown of the rows ↔ the address: whoever is sent the address sees the same rows.

const SIZE = 20; // rows of a page

const NOTHING = { table: "", q: "", track: "", outcome: "", principle: "", sort: "", page: 1, row: "" };

/** The state that the address names; what it does not name is as usual. */
function stateOf(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const state = { ...NOTHING };
  for (const key of Object.keys(NOTHING)) {
    if (given.has(key)) state[key] = given.get(key);
  }
  state.page = Math.max(1, Number.parseInt(state.page, 10) || 1);
  return state;
}

/** Whether an address names rows, or a place of the page. */
function namesRows(hash) {
  const key = /^#(\w+)=/.exec(hash);
  return key !== null && key[1] in NOTHING;
}

/** The address of a state. */
function hashOf(state) {
  const named = new URLSearchParams();
  for (const [key, usual] of Object.entries(NOTHING)) {
    if (state[key] && state[key] !== usual) named.set(key, state[key]);
  }
  return `#${named}`;
}

/** The order that a state asks for, as the table library has it: "-sure" is the surest first. */
function sortingOf(state) {
  const descending = state.sort.startsWith("-");
  return state.sort ? [{ id: state.sort.replace(/^-/, ""), desc: descending }] : [];
}

/** The filters that a state asks for, as the table library has them. */
function filtersOf(state) {
  const filters = ["track", "outcome", "principle"].filter((key) => state[key]).map((key) => ({ id: key, value: state[key] }));
  return state.q ? [...filters, { id: "text", value: state.q.toLowerCase() }] : filters;
}
