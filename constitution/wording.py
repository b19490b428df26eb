"""Words of sentences that are made of figures."""


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 row``, ``2,000 rows``.

    Args:
        plural: where it is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
