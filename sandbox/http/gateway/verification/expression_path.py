"""Which path of the tree a request is certified at: HTTP gateway protocol specification, "Expression path".

The path is the most specific one in the tree that fits the URL, and the tree proves that. `/a/b` is the segments `a`,
`b`; `/a/b/` has an empty segment more. `<$>` ends a path for just this URL, `<*>` one for all that begin so.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.certify.hash_tree import HashTree, Missing, subtree
from sandbox.http.gateway.verification.failure import Unverified

_ROOT, _EXACT, _ANY = "http_expr", "<$>", "<*>"
Segments = tuple[str, ...]


def check_path(path: Segments, url_path: str, tree: HashTree) -> None:
    """`Unverified` unless `path` is the most specific one that the tree has for a URL's path, which is decoded."""
    if path[:1] != (_ROOT,) or path[-1:] not in ((_EXACT,), (_ANY,)):
        raise Unverified("the path of its certificate expression does not begin with http_expr or has no end")
    segments = tuple(segment for segment in url_path.split("/") if segment)
    wanted = (*segments, "") if url_path.endswith("/") else segments
    if path == (_ROOT, *wanted, _EXACT):
        _check_there(path, tree)
        return
    if path[-1] == _EXACT:
        raise Unverified(f"it is certified for another path, {_shown(path)}")
    if subtree(tree, _labels((_ROOT, *wanted, _EXACT))) is not Missing.ABSENT:
        raise Unverified("there may be a certified answer for just this path, and this is another one")
    prefix = path[1:-1]
    if not _begins(wanted, prefix):
        raise Unverified(f"it is certified for other paths, {_shown(path)}")
    for other in _more_specific(wanted, prefix):
        if subtree(tree, _labels((_ROOT, *other, _ANY))) is not Missing.ABSENT:
            raise Unverified(
                f"there may be a certified answer for {_shown((_ROOT, *other, _ANY))}, and this is another"
            )
    _check_there(path, tree)


def _begins(wanted: Segments, prefix: Segments) -> bool:
    directory = prefix[:-1] if prefix[-1:] == ("",) else prefix
    return wanted[: len(directory)] == directory


def _more_specific(wanted: Segments, prefix: Segments) -> Iterator[Segments]:
    """The wildcards between the URL's own path and `prefix`, with and without a slash at the end."""
    path = wanted
    while len(path) > len(prefix) or path[-1:] != prefix[-1:]:
        yield path
        path = path[:-1] if path[-1:] == ("",) else (*path[:-1], "")


def _check_there(path: Segments, tree: HashTree) -> None:
    if isinstance(subtree(tree, _labels(path)), Missing):
        raise Unverified(f"its tree has no path {_shown(path)}")


def _labels(path: Segments) -> list[bytes]:
    return [segment.encode(errors="surrogateescape") for segment in path]


def _shown(path: Segments) -> str:
    return "/".join(path[1:])[:200]
