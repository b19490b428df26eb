"""Translations that a file has of prompts: a column for each language beside that of the prompt."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cai.data import records
from cai.data.conversations import Unusable
from cai.data.notation import names
from cai.data.prompt_source import PROMPT, PromptSource
from cai.data.questions import at, question, with_fields
from cai.data.variations import with_words, words_of
from cai.errors import UserError
from cai.store.identity import content_key
from cai.store.rows import Drop, Prompt

NOT_TRANSLATED = "not_translated"


@dataclass(frozen=True, slots=True)
class Translations:
    """The translations into one language.

    Attributes:
        texts: what a prompt says, as ``content_key`` has it → its translation.
    """

    texts: Mapping[int, str]

    @classmethod
    def read(cls, settings: Mapping[str, object], column: str) -> "Translations":
        """The column of a file, found by what the prompts say.

        Args:
            settings: its ``path``, and the column of the ``prompt``.

        Raises:
            UserError: it has no such column, or cannot be read.
        """
        source = PromptSource(str(settings["path"]), column=str(settings.get("prompt", PROMPT)))
        texts, seen = dict[int, str](), False
        for entry in records.entries(source):
            data = with_fields(with_fields(entry.data, source.column), column)
            missing = [each for each in (source.column, column) if each not in data]
            if missing and entry.alike:
                raise UserError(f'{entry.file}: there is no column "{missing[0]}"; name one of: {names(data)}')
            seen = seen or not missing
            if isinstance(text := at(data, column), str) and text.strip() and source.column in data:
                try:
                    texts[content_key(question(data, source.column).messages)] = text.strip()
                except Unusable:
                    continue  # no prompt of ours
        if not seen:
            raise UserError(f'{source.path}: no row has the columns "{source.column}" and "{column}"; name others')
        return cls(texts)

    def of(self, row: Prompt) -> Prompt | Drop:
        """A prompt in this language; one of several turns has no translation that says which of them it is of."""
        text = self.texts.get(content_key(row.messages), "")
        if not text or len(words_of(row.messages)) != 1:
            return Drop(row.id, NOT_TRANSLATED, "the file has no translation of it")
        return replace(row, messages=with_words(row.messages, [text]), language="")
