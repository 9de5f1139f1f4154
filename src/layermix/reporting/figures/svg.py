"""From the SVG that matplotlib writes to one that can be put into any page, light or dark.

Identifiers get the figure's name, so that figures do not collide on one page; ink becomes
``currentColor``; declarations, metadata and whatever names a network address go; text takes the
reader's own font; coordinates are rounded and repeated styles written once, which halves the size.
"""

import re
from collections.abc import Callable
from html import escape

INK = "#010203"  # drawn with this, shown in the text color of the page

_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_STYLE = (
    "svg{color:#24292f}"
    "@media screen and (prefers-color-scheme:dark){svg{color:#d9dde3}}"
    "svg *{stroke-linejoin:round}"
)


def tidy(svg: str, name: str, alt: str) -> str:
    """Return an ``<svg>`` element made from a document that matplotlib wrote.

    Parameters
    ----------
    svg
        What matplotlib wrote.
    name
        Name of the figure; all identifiers start with it.
    alt
        Text for those who cannot see the picture.
    """
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    head = re.search(r"<svg[^>]*>", body)
    assert head is not None
    viewbox = re.search(r'viewBox="[^"]*"', head[0])
    assert viewbox is not None
    body = _in_tags(body[head.end() :], _identifiers(body, name), _ink, _font, _rounded)
    body = re.sub(r"\s*\n\s*", "\n", _shared_styles(body))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'class="layermix" width="100%" {viewbox[0]} role="img" '
        f'aria-label="{escape(alt)}">{body.strip()}'
    )


def as_file(svg: str) -> str:
    """Return the element as a file of its own: with a size, and ink for light and dark viewers."""
    head, rest = svg.split(">", 1)
    width, height = re.findall(r"[\d.]+", re.findall(r'viewBox="([^"]*)"', head)[0])[2:]
    head = head.replace('width="100%"', f'width="{width}pt" height="{height}pt"')
    return f"{head}>\n<style>{_STYLE}</style>{rest}\n"


def _in_tags(body: str, *edits: Callable[[str], str]) -> str:
    """Apply edits to each tag, and to nothing that is shown as text."""

    def edited(found: re.Match[str]) -> str:
        tag = found[0]
        for edit in edits:
            tag = edit(tag)
        return tag

    return re.sub(r"<[^>]*>", edited, body)


def _identifiers(body: str, name: str) -> Callable[[str], str]:
    """Keep the identifiers that are referred to, short and with the figure's name."""
    used = dict.fromkeys(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    short = {old: f"{name}-{index}" for index, old in enumerate(used)}

    def edit(tag: str) -> str:
        tag = re.sub(
            r' id="([^"]*)"', lambda m: f' id="{short[m[1]]}"' if m[1] in short else "", tag
        )
        return re.sub(r'((?:href="#|url\(#))([^")]+)', lambda m: m[1] + short[m[2]], tag)

    return edit


def _ink(tag: str) -> str:
    return tag.replace(INK, "currentColor")


def _font(tag: str) -> str:
    return re.sub(r"'DejaVu Sans'(, [^;\"]*)?", _FONTS, tag)


def _shared_styles(body: str) -> str:
    """Write the style of consecutive markers once, on a group around them."""
    run = re.compile(r'(?:<use [^>]* style="([^"]*)"/>\s*)(?:<use [^>]* style="\1"/>\s*)+')

    def group(found: re.Match[str]) -> str:
        style = f' style="{found[1]}"'
        return f"<g{style}>\n{found[0].replace(style, '')}</g>\n"

    return run.sub(group, body)


def _rounded(tag: str) -> str:
    return re.sub(
        r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), tag
    )
