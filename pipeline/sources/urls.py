"""URLs of object stores in params: which are valid, and what is wrong with others. No secret may stand in one."""

import re

from pipeline.names import shown

# Scheme -> what the first part of a URL is.
SCHEMES = {"s3": "bucket", "gs": "bucket", "abfs": "container", "abfss": "container"}
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_FIRST = {
    "bucket": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}"),
    # The account may follow, as in Hadoop: container@account.dfs.core.windows.net.
    "container": re.compile(r"[a-z0-9$][a-z0-9-]{1,62}(@[a-z0-9]{3,24}(\.[a-z0-9.-]+)?)?"),
}
# Names that other tools give them.
_NEAR = {"gcs": "gs", "az": "abfs", "azure": "abfs", "s3a": "s3", "s3n": "s3"}
_ELSEWHERE = (
    ". Credentials, endpoint and region are set in the environment or in the store's own files (docs/storage.md)"
)
# What stands before an @, or as a value behind a ?, may be a secret: no message shows it.
_SECRET = re.compile(r"//[^/@]*@|[?#].*", re.DOTALL)


def is_url(path: str) -> bool:
    """Whether a source's path is a URL, valid or not."""
    return _URL.match(path) is not None


def url_problem(path: str) -> str | None:
    """What is wrong with the URL of a source, and what to do; None of a valid one, and of a path."""
    found = _URL.match(path)
    if found is None:
        return None
    scheme, rest = found.groups()
    safe = shown(_SECRET.sub(_hidden, path))
    if scheme not in SCHEMES:
        near = _NEAR.get(scheme.lower())
        hint = f", did you mean {near}://?" if near else ""
        return f"{safe!r} must be a folder, an archive, or a URL of s3://, gs:// or abfs://{hint}"
    problem = _problem(SCHEMES[scheme], rest)
    return problem and f"{safe!r} {problem}: write {scheme}://{SCHEMES[scheme]}/prefix{_ELSEWHERE}"


def _problem(kind: str, rest: str) -> str | None:
    first, _, prefix = rest.partition("/")
    if kind == "bucket" and "@" in first:
        return "must not hold a user or a key, which would end up in Git"
    if "?" in rest or "#" in rest:
        return "must not hold ? or #"
    if not _FIRST[kind].fullmatch(first):
        return f"has no valid {kind}"
    parts = prefix.removesuffix("/").split("/") if prefix else []
    return None if {"", ".", ".."}.isdisjoint(parts) else "must not hold empty parts, . or .."


def _hidden(secret: re.Match[str]) -> str:
    return "//…@" if secret.group().startswith("//") else "?…"
