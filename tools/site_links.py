"""A hook of mkdocs: links of docs/ that leave it lead into the repository.

Pages link to tests and code by where they lie (``../tests/x.py``), which is right for whoever reads
the files. The site holds docs/ alone. Where mkdocs.yml names the repository (``repo_url``) such a
link leads there; where it does not, the file's name stands behind the text instead.
"""

from __future__ import annotations

import posixpath
import re
from typing import Protocol

BRANCH = "main"

# Code, which is no link whatever it looks like, or a link to a file further up.
_CODE_OR_LINK = re.compile(
    r"^(?P<fence> *`{3,}).*?^ *`{3,} *$|`[^`\n]+`|\[(?P<text>[^\]]+)\]\((?P<target>\.\./[^)\s]+)\)",
    re.MULTILINE | re.DOTALL,
)


class _File(Protocol):
    src_uri: str


class _Page(Protocol):
    @property
    def file(self) -> _File: ...


class _Config(Protocol):
    repo_url: str | None


def on_page_markdown(markdown: str, *, page: _Page, config: _Config, **_: object) -> str:
    """Return the text of a page with the links that leave docs/ in their other form."""
    folder = posixpath.dirname(page.file.src_uri)
    return with_links(markdown, posixpath.join("docs", folder), config.repo_url)


def with_links(markdown: str, folder: str, repository: str | None) -> str:
    """Rewrite the links of a page that leave docs/.

    Args:
        markdown: The text of the page.
        folder: Where it lies, from the root of the repository.
        repository: The address of the repository, or None.
    """

    def rewritten(found: re.Match[str]) -> str:
        if found["target"] is None:
            return found[0]
        path, _, anchor = found["target"].partition("#")
        path = posixpath.normpath(posixpath.join(folder, path))
        if path.split("/")[0] == "docs":
            return found[0]
        if repository:
            behind = f"#{anchor}" if anchor else ""
            return f"[{found['text']}]({repository.rstrip('/')}/blob/{BRANCH}/{path}{behind})"
        if found["text"].strip("`") == path:
            return f"`{path}`"
        return f"{found['text']} (`{path}`)"

    return _CODE_OR_LINK.sub(rewritten, markdown)
