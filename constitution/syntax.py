"""What a parser of YAML stumbles over, in the words of people who write it: the line, what is wrong there, what to do."""

import re

import yaml

_AFTER_QUOTE = re.compile(r"""^\s*(?:- +)*[^\s"'][^"':]*: +(["']).*\1[ \t]*[^\s#]""")


def stumble(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """The line, from 1, and the sentence; line 0 where the parser does not say.

    Args:
        text: of the file.
    """
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, "a control character stands here, which no editor shows; take it out"
    if not isinstance(error, yaml.MarkedYAMLError):
        return 0, (str(error) or type(error).__name__).splitlines()[0]
    at, start = error.problem_mark or error.context_mark, error.context_mark or error.problem_mark
    if at is None or start is None:
        return 0, str(error.problem or error.context)
    lines = text.split("\n")
    row = lines[at.line] if at.line < len(lines) else ""
    return _sentence(f"{error.context or ''} {error.problem or ''}", row, at.line + 1, start.line + 1)


def _sentence(message: str, row: str, line: int, start: int) -> tuple[int, str]:
    """By what the parser says and the row it says it of."""
    indent = row[: len(row) - len(row.lstrip("- \t"))]
    words = (
        ("document", line, "another document begins here; keep one in a file, without --- or ... between its lines"),
        ("unexpected end of stream", start, "a quote is opened here and never closed; close it"),
        ("\t" if "\t" in indent else "tab char|'\\\\t'", line, "a tab stands before this line's text; take spaces"),
        ("mapping values", line, _colon(row)),
        (
            "flow (?:seq|map)",
            start,
            f"a bracket is opened here, and line {line} is within it; close it, or put commas between",
        ),
        (
            "simple key",
            start,
            "a line without a colon; write key: value, or indent it below the text that it belongs to",
        ),
        ("start any token|alias|anchor", line, "a value cannot begin with one of @ ` % * & here; put it in quotes"),
        ("directive", line, "a line cannot begin with %; put it in quotes"),
        (
            "escape",
            line,
            "a backslash in double quotes begins a code that there is none of; take single quotes, or \\\\",
        ),
        ("block scalar", line, "after | or > nothing can follow; write the text below it, indented"),
        ("node", line, _bracket(row)),
        ("", line, _place(row)),
    )
    return next((at, text) for pattern, at, text in words if re.search(pattern, f"{message}{indent}"))


def _bracket(row: str) -> str:
    if not row.strip():  # the end of the file
        return "a bracket is opened before here and never closed; close it"
    return "a comma or a closing bracket has nothing before it; take it out, or open the bracket"


def _colon(row: str) -> str:
    if len(re.findall(r":(?:\s|$)", row)) > 1:
        return 'a value holds a colon; put it in quotes, such as key: "one: two"'
    return "a key stands where none can be; line it up with the keys beside it, and see that the line before ends its value"


def _place(row: str) -> str:
    if _AFTER_QUOTE.search(row):
        return "text follows a closing quote; put all of it in one pair of quotes, and write '' for a ' within"
    return "does not fit the lines before it; line it up with those beside it, and close quotes and brackets before it"
