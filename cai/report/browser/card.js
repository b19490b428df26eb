// One row → elements. Every text of a model becomes a text node: nothing that it says is ever read as markup.

/** An element with attributes (null and "" leave one out) and children; a child that is a string becomes text. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== "") element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** A text as it was written, in its own direction. */
function textBlock(text) {
  return make("p", { class: "text", dir: "auto" }, text);
}

/** What was thought before a text, folded. */
function thoughtBlock(thought) {
  if (!thought) return null;
  const words = thought.split(/\s+/).filter((word) => word).length;
  const title = `thought, ${words} ${words === 1 ? "word" : "words"}`;
  return make("details", { class: "thought" }, make("summary", {}, title), textBlock(thought));
}

/** A principle's title; its own words unfold where the page has them. */
function principleBlock(id, principles) {
  const known = principles[id];
  if (!known || !known.text) return make("span", {}, `“${known ? known.title : id}”`);
  return make("details", { class: "principle" }, make("summary", {}, `“${known.title}”`), textBlock(known.text));
}

/** One answer, with the critique that led to it where it is a revision. */
function answerBlock(answer, principles) {
  const parts = [make("h4", {}, answer.by)];
  if (answer.under) parts.push(principleBlock(answer.under, principles));
  if (answer.critique) parts.push(make("p", { class: "label" }, "critique"), textBlock(answer.critique));
  if (answer.note) parts.push(make("p", { class: "label" }, answer.note));
  parts.push(thoughtBlock(answer.thought), answer.text ? textBlock(answer.text) : make("p", { class: "soft" }, "(empty)"));
  return make("div", {}, ...parts.filter((part) => part !== null));
}

/** One vote: under which principle, in which order, what it came to, and why. */
function voteBlock(vote, principles) {
  const parts = [make("p", { class: "label" }, vote.says)];
  if (vote.under) parts.push(principleBlock(vote.under, principles));
  parts.push(thoughtBlock(vote.thought), vote.why ? textBlock(vote.why) : null);
  return make("div", { class: "vote" }, ...parts.filter((part) => part !== null));
}

/** A comparison: the verdict, then the votes of both orders side by side. */
function verdictBlock(verdict, principles) {
  const votes = verdict.votes.map((vote) => voteBlock(vote, principles));
  return make("div", { class: "verdict" }, make("p", {}, make("b", {}, verdict.says)), make("div", { class: "side" }, ...votes));
}

/** A row whole. */
function cardBlock(row, principles, link) {
  return make(
    "article",
    { class: "card", "aria-label": `row ${row.id}` },
    make("p", { class: "label" }, [row.id, row.track, ...(row.tags || [])].filter((part) => part).join(" · "), " · ", link),
    make("h4", {}, "prompt"),
    textBlock(row.prompt),
    make("div", { class: "side" }, ...row.answers.map((answer) => answerBlock(answer, principles))),
    ...row.verdicts.map((verdict) => verdictBlock(verdict, principles)),
  );
}
