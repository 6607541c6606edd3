"""What is told of a person in words, dates and amounts: here the attribute's name decides, and the values must fit it.

Names in running text are found by what stands before them (a title, a salutation), as no language model is at hand:
the models that Presidio and spaCy need are not on the package index under their makers' names.
"""

from dynatrail.privacy.detectors.base import Detector

# RE2 takes its time over \p{L}; what is not ASCII counts as a letter here.
_LETTER = r"[^\x00-@\[-`{-\x7f]"
_IN_NAME = r"[^\x00-&(-,/-@\[-`{-\x7f]"
_CAPITAL = r"[A-Z\x{C0}-\x{DE}\x{100}-\x{17F}\x{391}-\x{3A9}\x{410}-\x{42F}]"
_NAME = f"{_LETTER}{_IN_NAME}*(?:,? {_LETTER}{_IN_NAME}*){{0,6}}"

_TITLES = (
    "(?:Mrs?|Ms|Miss|Mx|Dr|Prof|Herr|Herrn|Frau|Fr|Monsieur|Madame|Mme|Mlle|Sr|Sra|Srta|Señora?|Don|Doña|Sig|Signor"
    "|Signora|Dott|Dottssa|Dhr|Mevr|Meneer|Mevrouw|Pan|Pani|Senhora?|Dona|Herra|Rouva|Bay|Bayan"
    "|Dear|Liebe|Lieber|Cher|Chère|Estimado|Estimada|Caro|Cara|Beste|Patient|Patientin|Paciente|Paziente)"
)
_TITLED = f"{_TITLES}[.]? {_CAPITAL}{_IN_NAME}+(?: {_CAPITAL}{_IN_NAME}+){{0,3}}"

_YEAR, _MONTH, _DAY = "(?:19|20)[0-9]{2}", "(?:0?[1-9]|1[0-2])", "(?:0?[1-9]|[12][0-9]|3[01])"
_DATE = (
    f"(?:{_YEAR}-{_MONTH}-{_DAY}(?:T00:00:00(?:[.]0+)?(?:Z|[+]00:00)?)?|{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
    f"|{_YEAR}/{_MONTH}/{_DAY}|{_DAY}[.]{_MONTH}[.]{_YEAR}|{_DAY}[/-]{_MONTH}[/-]{_YEAR}|{_MONTH}/{_DAY}/{_YEAR}"
    f"|{_YEAR}年{_MONTH}月{_DAY}日)"
)
_CURRENCY = r"(?:[A-Z]{3}|[$\x{A3}\x{A5}\x{20AC}])"
_AMOUNT = rf"(?:{_CURRENCY} ?)?-?[0-9]{{1,3}}(?:[.,' ]?[0-9]{{3}}){{0,4}}(?:[.,][0-9]{{1,2}})?(?: ?{_CURRENCY})?"
_ICD_10 = "[A-TV-Za-tv-z][0-9][0-9ABab](?:[.]?[0-9A-Za-z]{1,4})?[+*!GVZA]?"
_ICD_11 = "[0-9A-HJ-NP-Z][A-HJ-NP-Z][0-9][0-9A-HJ-NP-Z](?:[.][0-9A-HJ-NP-Z]{1,3})?"
_PROSE = f"(?s:.*{_LETTER}.*)"

DETECTORS: tuple[Detector, ...] = (
    Detector("person_name", "person", _NAME, needs_name=True, rarity=3),
    Detector("person_name", "person", _TITLED, rarity=1e4, inside=True),
    Detector("date_of_birth", "person", _DATE, needs_name=True, rarity=10),
    Detector("postal_address", "person", r"(?s:.{3,})", needs_name=True),
    Detector("gender", "person", f"{_LETTER}{{1,20}}|[0129]", needs_name=True),
    Detector("nationality", "person", f"{_LETTER}(?:{_IN_NAME}| )+", needs_name=True),
    Detector("belief_or_origin", "special", f"{_LETTER}(?:{_IN_NAME}|[ /])+", needs_name=True),
    Detector("health_code", "health", _ICD_10, "words", needs_name=True, rarity=10),
    Detector("health_code", "health", _ICD_11, "words", needs_name=True, rarity=10),
    Detector("diagnosis", "health", _PROSE, needs_name=True),
    Detector("salary", "money", _AMOUNT, needs_name=True, rarity=2),
)
