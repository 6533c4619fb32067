"""Browser, operating system and device of a user agent, by uap-core's rules in Python.

The parser tries regular expressions one after the other; icefold has another implementation in another language, with
an index in front. What kind of device it is, and whether a program sent it, uap-core does not say; what stands here for
that is the least that follows from its answers.
"""

import re
from copy import copy
from functools import cache
from importlib.metadata import version

from ua_parser import BasicResolver, Parser, load_builtins
from ua_parser.core import Matcher

UAP_CORE = "0.18.0"
# Its wheel has the rules compiled; later ones are made of whatever uap-core had on that day.
BUILTINS = "0.18.0.post1"
if version("ua-parser-builtins") != BUILTINS:
    raise ImportError(f"ua-parser-builtins must be {BUILTINS}, which is uap-core {UAP_CORE}")

SPIDER = "Spider"
LARGE_BOUND = re.compile(r"\{([01]),\d{3,}\}")
DESKTOPS = re.compile(r"Windows|Mac OS X|Linux|Ubuntu|Debian|Fedora|CentOS|Chrome OS|.*BSD|Solaris")
PHONES = re.compile(r"iOS|Windows Phone|BlackBerry OS|Symbian OS|Firefox OS")
NOTHING = dict.fromkeys(
    (
        *("browser_name", "browser_version", "browser_os_name", "browser_os_version"),
        *("device_family", "device_brand", "device_class", "is_bot"),
    )
)


@cache
def columns(user_agent: str | None) -> dict[str, object]:
    """Returns the columns of a user agent, with uap-core's `Other` where no rule fits."""
    return NOTHING if user_agent is None else parsed(user_agent, by_the_letter())


@cache
def columns_of_far_reaching_rules(user_agent: str) -> dict[str, object]:
    """Returns the columns by rules in which `{0,100}` has become `*`, and `{1,100}` `+`, as for all bounds over 99.

    That is how Rust's `ua-parser` reads them, to save memory: a rule then also finds a word that is further behind.
    """
    return parsed(user_agent, far_reaching())


@cache
def by_the_letter() -> Parser:
    """Compiles uap-core's rules."""
    return Parser(BasicResolver(load_builtins()))


@cache
def far_reaching() -> Parser:
    """Compiles them without large bounds."""
    return Parser(BasicResolver(tuple([without_bounds(matcher) for matcher in kind] for kind in load_builtins())))


def without_bounds(matcher: Matcher) -> Matcher:
    """Returns a matcher whose repetitions have no large bounds; the given one is shared and stays as it is."""
    pattern = matcher.pattern
    matcher = copy(matcher)
    unbounded = LARGE_BOUND.sub(lambda bound: "*" if bound[1] == "0" else "+", pattern.pattern)
    matcher.pattern = re.compile(unbounded, pattern.flags)
    return matcher


def parsed(user_agent: str, parser: Parser) -> dict[str, object]:
    """Makes columns of a parser's answer."""
    found = parser.parse(user_agent).with_defaults()
    browser, system, device = found.user_agent, found.os, found.device
    return {
        "browser_name": browser.family,
        "browser_version": joined(browser.major, browser.minor, browser.patch, browser.patch_minor),
        "browser_os_name": system.family,
        "browser_os_version": joined(system.major, system.minor, system.patch, system.patch_minor),
        "device_family": device.family,
        "device_brand": device.brand,
        "device_class": device_class(user_agent, system.family, device.family),
        "is_bot": device.family == SPIDER,
    }


def joined(*parts: str | None) -> str | None:
    """Joins the parts of a version, up to the first that is missing."""
    known = parts[: parts.index(None)] if None in parts else parts
    return ".".join(known) or None


def device_class(user_agent: str, system: str, family: str) -> str:
    """Returns what kind of device the system runs on."""
    if family == SPIDER:
        return "bot"
    if family == "iPad" or (system == "Android" and "Mobile" not in user_agent):
        return "tablet"
    if system == "Android" or PHONES.fullmatch(system):
        return "phone"
    return "desktop" if DESKTOPS.fullmatch(system) else "unknown"
