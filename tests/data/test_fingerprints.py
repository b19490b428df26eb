"""What an answer sounds like, from its own words."""

from cai.data.fingerprints import commonest, marks, phrases, words_of


def test_openings_closers_hedges_and_repetition() -> None:
    each = marks("Great question! It might perhaps rain. Feel free to ask me more.")
    assert (each.opening, each.closer, each.offer) == ("great question", "feel free to", True)
    assert each.words == 12 and each.hedges == 100 * 2 / 12 and each.distinct == 1.0
    assert marks("no no no no").distinct == 1 / 3
    assert marks("").distinct is None and marks("").hedges is None and marks("").opening == ""


def test_a_sermon_is_the_share_of_sentences_that_warn() -> None:
    assert marks("The sky is blue. Remember that it is important to act ethically.").sermon == 0.5
    assert marks("The sky is blue because of the air.").sermon == 0.0


def test_code_is_no_speech() -> None:
    assert marks("```\nperhaps maybe\n```\nThe code above prints two words.").hedges == 0.0


def test_phrases_are_counted_once_an_answer_and_ties_are_settled() -> None:
    assert phrases("one two three four five") == {"one two three four", "two three four five"}
    assert commonest([{"b", "a"}, {"a", "b"}, {"c"}]) == ("a", 2)
    assert commonest([set(), {""}]) == ("", 0)
    assert words_of("It's a well-known fact。我是") == ["it's", "a", "well-known", "fact", "我", "是"]


def test_the_end_of_a_very_long_answer_is_its_own() -> None:
    long = marks("This is a fine plan and it works well. " * 700 + "Let me know if you need anything else.")
    assert (long.opening, long.closer, long.offer) == ("this is a", "let me know", True)
