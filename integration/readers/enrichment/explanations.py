"""Where icefold's rules differ from those of the libraries, one explanation for each rule.

An explanation names the columns that it is for, and tells of one difference whether it is of its kind, as narrowly as
the rule is: by the two values, and by the word in the user agent that the rule looks for. The first that fits is taken.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from enrichment import devices


@dataclass(frozen=True)
class Difference:
    """A value that is not the one that was computed; `row` is all that icefold says of the event."""

    column: str
    expected: object
    found: object
    row: dict[str, object]

    @property
    def user_agent(self) -> str:
        return self.row["user_agent"] or ""


@dataclass(frozen=True)
class Explanation:
    """Why values of some columns differ."""

    name: str
    columns: tuple[str, ...]
    fits: Callable[[Difference], bool]


NAMES = ("browser_name", "browser_os_name", "device_family")
VERSIONS = ("browser_version", "browser_os_version")
KINDS = ("device_class", "is_bot")
DEVICE = ("browser_name", "browser_version", "browser_os_name", "browser_os_version", "device_family", "device_brand")

# What a robot says of itself, in small letters; the first that is there explains.
ROBOT_MARKS = (
    *("+http", "phantomjs", "embedly", "ezooms/", "binlar_"),
    *("link validator", "portscout/", "distilator/"),
    *("feedburner", "simplepie", "feedbin", "commafeed/", "theoldreader.com", "tiny tiny rss/", "digg feed fetcher"),
    "livejournal.com (webmaster@",
)
LIBRARIES = re.compile(r"Wget/|curl/|Python-urllib/|python-requests/|LWP::|Ruby$|HTTP_Request2/|fetch libfetch/")
PHONE_WORDS = ("MIDP", "Opera Mini", "Mobile")
# The feature phone is guessed from the first letters: of `QS304` rightly, of `portscout`, `fetch` and `HTTP_Request2` not.
GENERIC_FAMILIES = ("Generic Feature Phone", "Generic Smartphone", "Generic Tablet")


def explain(difference: Difference) -> str | None:
    """Names the explanation of a difference."""
    fitting = (e for e in EXPLANATIONS if difference.column in e.columns and e.fits(difference))
    return next((explanation.name for explanation in fitting), None)


def explanations() -> Iterator[Explanation]:
    """Lists them, those first that are about what uap-core says, then those about what it does not say."""
    yield Explanation("uap-core's `Other` is null", NAMES, lambda d: d.expected == "Other" and d.found is None)
    yield Explanation("a device like `Generic Feature Phone` is null", ("device_family",), is_generic_family)
    yield Explanation("a version has three parts", VERSIONS, is_cut_version)
    yield Explanation("a brand like `Generic_Android` is null", ("device_brand",), is_generic_brand)
    yield Explanation(
        "no `Spider` but a library: device is null", ("device_family", "device_brand"), is_library_and_no_spider
    )
    yield Explanation("a rule of `.{0,100}` reaches further than 100 characters", DEVICE + KINDS, reaches_further)
    yield Explanation("a library by its first word", KINDS, is_library)
    for mark in ROBOT_MARKS:
        yield Explanation(f"a robot by `{mark}`", KINDS, robot_by(mark))
    for word in PHONE_WORDS:
        yield Explanation(f"a phone by `{word}`", ("device_class",), phone_by(word))
    yield Explanation("an app on Android says neither phone nor tablet: a phone", ("device_class",), is_android_app)


def is_generic_family(d: Difference) -> bool:
    """Not a device's name."""
    return d.expected in GENERIC_FAMILIES and d.found is None


def is_cut_version(d: Difference) -> bool:
    """`32.0.1700.77` is written `32.0.1700`."""
    parts = str(d.expected).split(".")
    return len(parts) == 4 and d.found == ".".join(parts[:3])


def is_generic_brand(d: Difference) -> bool:
    """Not a maker's name."""
    return d.expected in ("Generic", "Generic_Android") and d.found is None


def is_library_and_no_spider(d: Difference) -> bool:
    """uap-core calls a few libraries spiders and others not."""
    is_spider = d.expected == devices.SPIDER and d.found is None
    return is_spider and d.row["device_class"] == "library" and bool(LIBRARIES.match(d.user_agent))


def reaches_further(d: Difference) -> bool:
    """icefold's answer is that of the rules without large bounds, and theirs is a spider."""
    without_bounds = devices.columns_of_far_reaching_rules(d.user_agent)
    return without_bounds["device_family"] == devices.SPIDER and d.found == without_bounds[d.column]


def is_library(d: Difference) -> bool:
    """Programs of programmers are a class of their own, and no robots."""
    if d.column == "is_bot":
        fits = (d.expected, d.found) == (True, False) and d.row["device_class"] == "library"
    else:
        fits = d.found == "library"
    return fits and bool(LIBRARIES.match(d.user_agent))


def robot_by(mark: str) -> Callable[[Difference], bool]:
    """uap-core knows fewer robots."""

    def fits(d: Difference) -> bool:
        is_robot = d.found is True if d.column == "is_bot" else d.found == "bot"
        return is_robot and mark in d.user_agent.lower()

    return fits


def phone_by(word: str) -> Callable[[Difference], bool]:
    """A word that only phones have, where the system does not decide."""

    def fits(d: Difference) -> bool:
        return (d.expected, d.found) == ("unknown", "phone") and word in d.user_agent

    return fits


def is_android_app(d: Difference) -> bool:
    """Without `Mobile` a browser on Android is one of a tablet, but an app does not say such things."""
    is_app = d.row["browser_os_name"] == "Android" and not d.user_agent.startswith("Mozilla/")
    return (d.expected, d.found) == ("tablet", "phone") and is_app


EXPLANATIONS = tuple(explanations())
