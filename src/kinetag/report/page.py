"""What all HTML reports share: a page that needs nothing else, neither files, nor scripts, nor the network."""

from collections.abc import Iterable
from html import escape
from pathlib import Path


def page(title: str, styles: str, parts: Iterable[str], *, pictures: bool = False) -> str:
    """A whole page. ``parts`` are HTML, empty ones are left out; ``pictures`` says whether they hold images."""
    policy = f"default-src 'none'; style-src 'unsafe-inline'{'; img-src data:' if pictures else ''}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} · kinetag</title>\n<style>\n{styles}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def style_sheet(*names: str) -> str:
    """The rules in files beside this one."""
    return "".join((Path(__file__).parent / name).read_text("utf-8") for name in names)


def table(headings: Iterable[str], rows: Iterable[str]) -> str:
    """A table of rows (`<tr>`) under headings, both HTML."""
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
