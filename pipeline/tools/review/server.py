"""The local page on which people decide: pictures, what the model says, and saving decisions."""

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pipeline.errors import PipelineError
from pipeline.names import clean, fault, is_utf8
from pipeline.store.decisions import KEEP, KINDS, RELABEL, Decision
from pipeline.store.pair_decisions import KINDS as PAIR_KINDS
from pipeline.store.pair_decisions import PairDecision, decide_pair, pair_name
from pipeline.store.shards import ShardReader
from pipeline.tools.review.items import Item
from pipeline.tools.review.neighbours import Neighbours
from pipeline.tools.review.saving import DecisionFile

HERE = Path(__file__).parent
FILES = {
    "": ("page.html", "text/html"),
    "review.js": ("review.js", "text/javascript"),
    "review.css": ("review.css", "text/css"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
MAX_BODY = 10_000
NO_TEXT = "the reason has characters that are no text: write it again"


@dataclass(frozen=True)
class Review:
    """What is reviewed: images or pairs in order, the labels to choose from, where pictures are, and where decisions
    go.

    beside: finds what looks like an image; None: nothing is shown beside it.
    """

    items: Sequence[Item]
    labels: Sequence[str]
    pictures: ShardReader
    file: DecisionFile[Decision]
    pair_file: DecisionFile[PairDecision]
    beside: Neighbours | None = None


def application(review: Review, token: str, port: int) -> Starlette:
    """The server as an ASGI application; every address begins with the token.

    Args:
        port: on which it listens: requests for another host or from another origin are refused.
    """
    by_sha = {one.sha256: one for item in review.items for one in (item, item.other) if one is not None}
    by_pair = {pair_name(item.sha256, item.other.sha256): item for item in review.items if item.other is not None}
    undo: list[Undo] = []
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def static(request: Request) -> Response:
        name, kind = FILES[request.path_params.get("name", "")]
        return Response((HERE / name).read_bytes(), media_type=kind)

    async def state(_: Request) -> Response:
        own, of_pairs = await run_in_threadpool(lambda: (review.file.own(), review.pair_file.own()))
        decided = {sha: _shown(one) for sha, one in own.items() if sha in by_sha}
        pairs = {name: one.decision for name, one in of_pairs.items() if name in by_pair}
        shown = [_public(item) for item in review.items]
        return JSONResponse({"items": shown, "labels": list(review.labels), "decided": decided, "pairs": pairs})

    async def picture(request: Request) -> Response:
        place = _place(request.path_params["sha256"], by_sha, review.beside)
        if place is None:
            return PlainTextResponse("no such image", 404)
        data = await run_in_threadpool(review.pictures.image, *place)
        kind = "image/png" if data.startswith(b"\x89PNG") else "image/webp" if data[8:12] == b"WEBP" else "image/jpeg"
        return Response(data, media_type=kind, headers={"Cache-Control": "private, max-age=3600"})

    async def near(request: Request) -> Response:
        item = by_sha.get(request.path_params["sha256"])
        if item is None:
            return PlainTextResponse("no such image", 404)
        found = await run_in_threadpool(review.beside.of, item.sha256) if review.beside else []
        return JSONResponse([asdict(one) for one in found])

    async def decide(request: Request) -> Response:
        body = await request.body()
        value = _json(body)
        item = by_sha.get(str(value.get("sha256"))) if value else None
        if item is None:
            return PlainTextResponse("name an image of this review", 400)
        kind, after, why = (str(value.get(name, "")) for name in ("decision", "to", "why"))
        if problem := _problem(item, kind, clean(after)):
            return PlainTextResponse(problem, 400)
        if not is_utf8(why):
            return PlainTextResponse(NO_TEXT, 400)
        one = Decision(item.sha256, kind, item.label, clean(after), review.file.who, _now(), why[:500], item.id)
        earlier = await run_in_threadpool(review.file.put, item.sha256, one)

        def back() -> dict[str, Any]:
            review.file.put(item.sha256, earlier)
            return {"sha256": item.sha256, "decision": _shown(earlier)}

        undo.append(back)
        return JSONResponse({"sha256": item.sha256, "decision": _shown(one)})

    async def pair(request: Request) -> Response:
        return await run_in_threadpool(_decide_pair, review, by_pair, _json(await request.body()), undo)

    async def take_back(_: Request) -> Response:
        if not undo:
            return PlainTextResponse("nothing to undo", 409)
        return JSONResponse(await run_in_threadpool(undo.pop()))

    async def refused(_: Request, error: Exception) -> Response:
        return PlainTextResponse(str(error), 500)

    routes = [
        Route(f"/{token}/", static),
        Route(f"/{token}/state", state),
        Route(f"/{token}/picture/{{sha256}}", picture),
        Route(f"/{token}/near/{{sha256}}", near),
        Route(f"/{token}/decide", decide, methods=["POST"]),
        Route(f"/{token}/pair", pair, methods=["POST"]),
        Route(f"/{token}/undo", take_back, methods=["POST"]),
        Route(f"/{token}/{{name}}", static),
    ]
    app = Starlette(routes=routes, exception_handlers={PipelineError: refused, KeyError: _missing})
    app.add_middleware(_Guard, token=token, hosts=hosts)
    return app


Undo = Callable[[], dict[str, Any]]


def _decide_pair(review: Review, pairs: Mapping[str, Item], value: Mapping[str, Any], undo: list[Undo]) -> Response:
    """Save a decision on a pair of this review, and how to take it back."""
    name = pair_name(str(value.get("one")), str(value.get("other")))
    item = pairs.get(name)
    kind, why = (str(value.get(each, "")) for each in ("decision", "why"))
    if item is None or item.other is None:
        return PlainTextResponse("name two images of a pair of this review", 400)
    if kind not in PAIR_KINDS:
        return PlainTextResponse(f"decision must be one of {', '.join(PAIR_KINDS)}", 400)
    if not is_utf8(why):
        return PlainTextResponse(NO_TEXT, 400)
    ends = [(each.sha256, each.id) for each in (item, item.other)]
    earlier = review.pair_file.put(name, decide_pair(ends, kind, review.pair_file.who, _now(), why[:500]))

    def back() -> dict[str, Any]:
        review.pair_file.put(name, earlier)
        return {"pair": name, "decision": None if earlier is None else earlier.decision}

    undo.append(back)
    return JSONResponse({"pair": name, "decision": kind})


class _Guard:
    """Refuses what does not come from the page itself, before any of it is read; adds the headers."""

    def __init__(self, app: Any, token: str, hosts: set[str]) -> None:
        self.app, self.token, self.hosts = app, token, hosts

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        if problem := self._problem(Request(scope)):
            await PlainTextResponse(problem, 403)(scope, receive, with_headers)
            return
        await self.app(scope, receive, with_headers)

    def _problem(self, request: Request) -> str | None:
        token = request.url.path.split("/")[1] if "/" in request.url.path else ""
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return "open the address that `pipeline review` printed"
        if request.headers.get("host") not in self.hosts:
            return "this host is not served"
        origin = request.headers.get("origin")
        if origin is not None and origin not in {f"http://{host}" for host in self.hosts}:
            return "requests from other pages are refused"
        if request.method == "POST" and (
            origin is None or request.headers.get("content-type", "") != "application/json"
        ):
            return "decisions come from the page alone"
        if int(request.headers.get("content-length", "0") or 0) > MAX_BODY:
            return "the request is too large"
        return None


async def _missing(_: Request, __: Exception) -> Response:
    return PlainTextResponse("no such file", 404)


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _place(sha256: str, items: Mapping[str, Item], beside: Neighbours | None) -> tuple[str, int] | None:
    """Where a picture is that may be shown: of this review, or beside one of it."""
    if sha256 in items:
        return items[sha256].shard, items[sha256].row
    return beside.shard_row(sha256) if beside is not None else None


def _problem(item: Item, kind: str, after: str) -> str | None:
    if kind not in KINDS:
        return f"decision must be one of {', '.join(KINDS)}"
    if kind == KEEP and not item.label:
        return "the image has no label to keep: choose a class"
    if kind == RELABEL and (not after or fault(after) or not is_utf8(after)):
        return "choose a class"
    if kind == RELABEL and after == item.label:
        return "this is its label already: keep it"
    return "only relabel takes a class" if kind != RELABEL and after else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _public(item: Item) -> dict[str, Any]:
    """What the page gets of an image, and of the one beside it."""
    shown = {key: value for key, value in asdict(item).items() if key not in ("shard", "row")}
    return {**shown, "other": None if item.other is None else _public(item.other)}


def _shown(decision: Decision | None) -> dict[str, str] | None:
    return {"decision": decision.decision, "to": decision.after} if decision else None
