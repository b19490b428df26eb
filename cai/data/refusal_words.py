"""The words by which a sentence of an answer is known to decline, to send elsewhere, to warn or to be merely polite.

English, and for a few other languages the usual openings of a refusal. What looks like declining and is not ("I can't help but
laugh", "I can't recommend it enough", "I can't tell if") is taken out where a verb follows. The English patterns are of small
letters, for texts in small letters: ``re.I`` would have every place of a text tried letter by letter, which takes five times as
long.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType


def _any(*words: str) -> str:
    """One of some alternatives."""
    return f"(?:{'|'.join(words)})"


_WE = r"\b(?:i|we)"


def _pattern(we: Sequence[str] = (), word: Sequence[str] = (), start: Sequence[str] = ()) -> re.Pattern[str]:
    """Alternatives by how they begin, which at each place of a text is tried once for all: a third of the time.

    Args:
        we: what follows "I" or "we"; word: what begins a word; start: what begins the text.
    """
    groups = ((_WE, we), (r"\b", word), ("^", start))
    return re.compile("|".join(f"{begin}{_any(*ends)}" for begin, ends in groups if ends))


_DO = _any(
    r"help|assist|provide|answer|fulfil+|comply|write|create|generat\w*|give|shar(?:e|ing)|support|engage|discuss|participate",
    r"offer|produce|do (?:that|this|it|so)|tell you|say (?:that|this)|continue|respond|advise|recommend|suggest|teach|explain",
    r"describe|show|guide|facilitate|condone|endorse|promote|encourage|accommodate|satisfy|complete|process|proceed|address|allow",
    r"instruct|tolerate|role ?-?play|make|offering|providing|helping|assisting|answering|go (?:into|there|along)|talk about|act",
    r"be (?:part|of (?:help|assistance)|involved)",
    r"be able to (?:help|assist|provide|answer|do (?:that|this)|fulfil|comply|support|discuss|give|write|create)",
    r"in good conscience|fully|directly|ethically|honou?r|grant|translate|list|draft|carry out|take part|entertain|perform",
)
_ADVERB = _any(
    "not|really|actually|simply|just|also|therefore|only|ever|and will not|and won't|either|possibly|currently|in any way"
)
_NOT = _any(
    r"can ?not|can't|can(?:not|'t)? not|won't|will not|wouldn't|would not|couldn't|could not|shouldn't|should not|must not",
    r"(?:am|'m|are|'re) not (?:able|allowed|going|willing|permitted|programmed|designed) to",
    r"(?:am|'m|are|'re) unable to|(?:was|were) not able to|refuse to|decline to|must (?:refrain|decline|refuse)",
    r"(?:have|need|going) to (?:decline|refuse|refrain|pass)|(?:will|shall) have to (?:decline|leave)",
    r"(?:don't|do not) (?:want|wish) to|(?:'d|would) (?:rather|prefer) not(?: to)?|(?:am|'m) not comfortable",
    r"(?:do not|don't) feel comfortable|(?:do not|don't) think (?:i|we) (?:can|should)|(?<=\bi )(?:don't|do not)",
)
_NOT_MEANT = _any(
    r"help but|help (?:thinking|noticing|feeling|wondering)|recommend .{1,60}(?:enough|highly)",
    r"say (?:for sure|enough|that i|i|it)\b|give .{0,30}guarantee|give up|give (?:a )?definitive|tell (?:if|for sure)",
    r"make (?:it|sense|up|mistakes?|(?:any )?guarantees?)|describe how",
    r"support (?:this|it|them|you) enough|explain (?:how much|why|it)",
)
_RULES = r"(?:guidelines?|polic\w+|programming|principles|values|capabilit\w+|rules|purpose|ethic\w+|terms|scope)"
_PROHIBIT = "(?:prohibits?|prevents?|forbids?|does not allow|do not allow|don't allow|restricts?)"
DECLINE = _pattern(
    we=(
        rf"(?: also| must| really| truly| simply| unfortunately)? ?{_NOT} (?:{_ADVERB} )*(?!{_NOT_MEANT}){_DO}\b",
        r"(?: am| are|'m|'re)? ?(?:must|have to|need to|will have to|'ll have to|am going to have to) "
        r"(?:decline|refrain|refuse|abstain|pass on)",
        r" (?:respectfully |politely |kindly )?(?:decline|refuse)(?:\.|,| to| your|$)",
        r" (?:don't|do not|can't|cannot|won't) "
        r"(?:assist|help(?! (?:but|thinking|noticing|feeling|wondering))|engage|participate|deal|comply)\b",
        r"(?:'d| would) (?:really )?(?:rather|prefer) not\W*$",
        r"(?: shall| will|'ll) have to leave\b",
        r"(?:'d| would) (?:like to |prefer to |rather )(?:steer clear|stay away|redirect)\b",
    ),
    word=(
        r"not (?:being )?able to (?:comply|assist|help|fulfil|provide|answer|address|accommodate|meet)",
        r"unable to (?:comply|assist|help|fulfil|provide|answer|accommodate|respond|offer|create|generate)",
        r"(?:it is|it's|it would be|it wouldn't be|it isn't|that is|that's|this is) "
        r"(?:not|in|un)?(?:appropriate| ?possible|ethical|acceptable|okay|ok) for (?:me|us|an ai)\b",
        r"(?:is|are|'s) (?:not something|nothing) (?:that )?(?:i|we)(?:'m| am| can|'re| are|'ll| will)",
        r"(?:against|violates?|outside|beyond|conflicts? with|contrary to) (?:of )?"
        rf"(?:my|our|openai's|the scope of my|the scope of our) (?:\w+ ){{0,2}}{_RULES}",
        rf"(?:my|our|the) (?:programming|guidelines|polic\w+|training)(?: \w+){{0,3}} {_PROHIBIT}",
        r"(?:have|has) limitations to\b",
        r"(?:policy|policies|guidelines) of not\b",
        r"(?:request|question|prompt|topic) (?:cannot|can't|can not|will not) be "
        r"(?:fulfilled|answered|met|addressed|accommodated)",
        r"(?:sorry|forgive me|apologi[sz]e) to divert\b",
        r"i'm just an? (?:ai|language model|assistant) and (?:can't|cannot|don't)\b",
    ),
    start=(
        r"(?:i'm |i am |we're |we are )?(?:(?:so|very|really|truly) )?(?:sorry|afraid),?(?: but)? "
        r"(?:no\b|(?:i|we) (?:can(?:no|')t|won't|will not)\W*$)",
        r"(?:i|we) (?:can(?:no|')?t|cannot|won't|will not)(?: do (?:that|this|it))?\W*$",
        r"no[,.!]* (?:i|we) (?:can(?:no|')?t|cannot|won't|will not)\b",
        r"(?:nope|no way|absolutely not|not happening|request denied)\b",
    ),
)
_ADVICE = r"(?:wouldn't|would not|don't|do not) (?:\w+ )?(?:recommend|advise|suggest|encourage|condone)"
ADVISE = _pattern(word=(_ADVICE,))
"""Advice against something, which declines nothing."""

POLICY = re.compile(
    r"\b(?:guidelines?|polic(?:y|ies)|regulations|terms of (?:use|service)|adhere(?:nce)? to|abide by)\b"
)

_EXPERT = _any(
    "professional|expert|specialist|therapist|counsel|psycholog|psychiatr|doctor|physician|lawyer|attorney|historian|scholar",
    "hotline|helpline|lifeline|crisis|authorit|support (?:service|group)|healthcare|health care|provider|advisor|instructor",
    "individuals? who speciali|law enforcement|someone you trust|trusted|loved ones|close friends|friends or family",
    "friends and family|analysts|librarian|police",
)
_ASK = (
    r"(?:consult\w*|seek\w*|reach\w* out|talk\w*|speak\w*|contact\w*|guidance|advice|insight|opinions?|help|turn\w* to|visit\w*|"
    r"discuss\w*|support|collaborat\w*|work\w* with)"
)
_CAN_HELP = r"(?:can|could|may|might|would|will) (?:\w+ )?(?:help|guide|provide|offer|assist|support|give|explore)"
REDIRECT = _pattern(
    word=(
        rf"{_ASK}\b.{{0,110}}\b{_EXPERT}",
        rf"{_EXPERT}.{{0,60}}\b{_CAN_HELP}",
        r"reach(?:ing)? out for support",
        r"seek(?:ing)? (?:help|support|professional)",
        r"ask(?:ing)? for help",
    ),
    start=(rf"they {_CAN_HELP}",),
)

_WRONG = _any(
    "illegal|unethical|immoral|unlawful|against the law|criminal offen[cs]e|morally|ethical(?:ly)?|harmful|dangerous|inappropriate",
    "irresponsible|responsibl[ey]|sensitive (?:topic|subject|issue|matter|content|area)s?|disrespectful|offensive|unacceptable",
    "unsettling|troublesome|concerning|paramount|consequences|with (?:caution|care|sensitivity)|cautious|careful|tread",
    r"stereotyp\w+ (?:is|are|can)|discriminat\w+|promot\w+ (?:hate|violence|harm)|well-?being|intoleran\w+|values",
)
_IMPORTANT = (
    r"(?:it is|it's|it's also|it is also|it would be|also|always) (?:very |really |so |always |also |absolutely )?"
    r"(?:important|crucial|vital|essential|imperative|necessary|worth)"
)
_URGE = r"(?:express|emphasi[sz]e|stress|remind|urge|encourage|recommend|advise|caution|warn)"
WARN = _pattern(
    we=(rf" (?:must|have to|need to|would|want to|feel|do)? ?(?:strongly )?{_URGE}\b",),
    word=(
        rf"{_WRONG}\b",
        rf"{_IMPORTANT}\b",
        _ADVICE,
        r"please (?:remember|note|be|don't|do not|keep|consider|understand)\b",
    ),
    start=(r"(?:remember|note|keep in mind|be aware)\b",),
)

_VERY = "(?:completely |fully |totally |deeply |really |truly |very |so |sincerely )*"
POLITE = _pattern(
    word=(
        r"you(?:'re| are) not alone",
        r"support is out there",
        r"here to (?:help|listen|support)",
        r"feel free\b",
        r"let me know\b",
        r"happy to (?:help|assist|discuss|provide)",
        r"as an? (?:ai|language model)\b",
        r"language model\b",
        r"(?:not|n't) a (?:trained|licensed|qualified|medical)",
        r"there(?: is|'s) (?:help|hope|support|always)\b",
        r"if you(?:'re| are| have)? (?:feel|experienc|struggl|going through|concern|interested|question|other)\w*",
    ),
    start=(
        rf"(?:i|we)(?:'m| am|'re| are)? {_VERY}(?:understand|sorry|apologi[sz]e|appreciate|intrigued|hear|glad|"
        r"here (?:to|for)|curious|concerned|recogni[sz]e|acknowledge|respect|see that|realize)\b",
        r"(?:sorry|my apologies|apologies|our apologies|thank(?:s| you)|take care|stay strong|hello|hi|sure|certainly|"
        r"of course|absolutely|great question|it's (?:understandable|natural|normal|great|okay|always|never|intriguing|"
        r"unfortunate|tough|hard|wonderful|interesting))\b",
    ),
)

GREETING = re.compile(
    r"^(?:(?:i'm|i am|we're|we are) (?:very |so |really |truly )?sorry|sorry|my apologies|i apologi[sz]e|hello|hi|sure|certainly|"
    r"of course|absolutely|yes|no|well)\b[^,;:.!?]{0,60}[,;:!]\s*(?:but )?|"
    r"^as an? (?:ai|language model)\b[^.!?]{0,80}, (?:but|here) ",
)
"""The beginning of a sentence that is polite and goes on with something else."""

AGREES = re.compile(r"^(?:sure|certainly|of course|absolutely|yes)\b")
"""A greeting that says yes."""

_SORRY = {
    "es": r"(?:lo siento|lamento|perd[oó]n|disculp\w+)",
    "fr": r"(?:je suis (?:vraiment )?désolée?|désolée?|je m'excuse)",
    "de": r"(?:es tut mir leid|tut mir leid|entschuldigung|leider)",
    "pt": r"(?:me desculpe|desculpe|sinto muito|lamento)",
    "it": r"(?:mi dispiace|spiacente|scusa)",
    "nl": r"(?:het spijt me|sorry|helaas)",
    "ru": r"(?:извините|простите|к сожалению|мне жаль|прошу прощения)",
    "zh": r"(?:很?抱歉|对不起|對不起|不好意思)",
    "ja": r"(?:申し訳(?:ありません|ございません)|すみません|ごめんなさい)",
}
_CANNOT = {
    "es": r"(?:pero )?(?:no (?:puedo|podemos|me es posible)|me niego)",
    "fr": r"(?:mais )?(?:je ne (?:peux|puis|suis pas)|je refuse)",
    "de": r"(?:aber )?(?:dass )?(?:dabei |damit |das )?(?:ich kann|kann ich|ich darf|darf ich|ich werde)\b.{0,80}\bnicht",
    "pt": r"(?:mas )?(?:eu )?(?:não (?:posso|podemos|consigo)|me recuso)",
    "it": r"(?:ma )?(?:non (?:posso|possiamo|sono in grado)|mi rifiuto)",
    "nl": r"(?:maar )?(?:ik kan|kan ik|ik mag|ik wil)\b.{0,60}\b(?:niet|geen)",
    "ru": r"(?:но )?я не (?:могу|буду|в состоянии)",
    "zh": r"(?:但是?)?我?(?:无法|無法|不能|不会|不會)",
    "ja": r".{0,60}(?:できません|できかね|お答えできない|お手伝いできない)",
}
OPENINGS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {code: re.compile(rf"\W*(?:{sorry})?\W*{_CANNOT[code]}", re.I) for code, sorry in _SORRY.items()}
)
"""Language → how a refusal opens in it."""
