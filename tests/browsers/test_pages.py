"""The playground and the page that trains, in Chromium, Firefox and WebKit: `make browsers`, which keeps pictures of
them in `build/browsers`."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import wsdl
from tests.browsers.driver import BROWSERS, Page, missing
from tests.golden import ROOT
from tests.node.serving import serving
from tests.node.test_page import DIGITS, PAGE, share_right
from tests.playground.test_page import ARRIVED, MESSAGE, PACKAGES, SIAMESE, built
from wsdl import api
from wsdl.api.inspection import stored_table
from wsdl.diagnostics.span import Source
from wsdl.playground.link import files, link

pytestmark = pytest.mark.skipif("WSDL_BROWSERS" not in os.environ, reason="make browsers")
SHOTS = ROOT / "build/browsers"
TEXT = "$('.cm-content').cmTile.view.state.doc.toString()"
SEVERITY = "$('#state').dataset.severity === args[0] && $('#state').ariaBusy === 'false'"
STAR = [(0.5, 0.1), (0.74, 0.86), (0.12, 0.39), (0.9, 0.4), (0.27, 0.85), (0.5, 0.1)]


@pytest.fixture(params=BROWSERS)
def browser(request: pytest.FixtureRequest) -> str:
    """A browser that is installed."""
    name: str = request.param
    if missing(name):
        pytest.skip(f"{name} isn't installed (in Debian: apt-get install {missing(name)})")
    SHOTS.mkdir(parents=True, exist_ok=True)
    return name


@pytest.fixture
def page(browser: str, tmp_path: Path) -> Iterator[Page]:
    profile = tmp_path / "profile"
    profile.mkdir()
    with BROWSERS[browser](profile) as page:
        yield page


def test_playground(page: Page, browser: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    requests: list[str] = []
    with serving({"/": tmp_path, "/play/": built()}, requests) as address:
        began = time.monotonic()
        page.open(f"{address}/play/")
        page.wait("$('.cm-line') && true")
        editor = time.monotonic() - began
        page.wait(SEVERITY, "good")
        answer = time.monotonic() - began
        assert "/play/snapshot.gz" in requests
        assert "/play/wsdl.zip" not in requests  # as where the snapshot can't be restored
        page.wait("$('#drawing svg')  && true")
        assert page.texts(".hint") == [": f32[n, 32, 7, 7]", "105.2 k parameters", ": f32[n, 64]", ": f32[n, 64]"]
        assert page.texts(".lens") == ["105.2 k parameters, 420.9 kB, 420.9 kB saved"]
        page.shot(SHOTS / f"playground-{browser}.png")

        # Lights: a tensor of the picture, then a name in the program.
        page.ask("$$('#drawing g.node').find((e) => e.querySelector('title').textContent === 's0').classList.add('s0')")
        page.hover("#drawing .s0 :is(path, polygon, ellipse)")
        page.wait("$$('.lit-use').length === 3")
        assert page.ask("$('#said').textContent") == "tower.conv2d: read by conv2d, conv2d"
        page.move((2, 2))
        page.hover(".cm-line span", "tower")
        page.wait("$$('#drawing .node.on').length > 3")
        page.shot(SHOTS / f"playground-lit-{browser}.png")

        # What may stand at the cursor.
        cursor = (
            "(() => { const view = $('.cm-content').cmTile.view; view.focus();"
            "view.dispatch({ selection: { anchor: args[0] } }); })()"
        )
        page.ask(cursor, SIAMESE.index("Dense(") + 3)
        page.press("Control", " ")
        page.wait("$$('.cm-tooltip-autocomplete li').some((e) => e.textContent.startsWith('Dense'))")
        page.press("Escape")

        # A mistake by the keyboard, and its fix by the keyboard and by a click.
        for mend in ("keys", "click"):
            page.ask(cursor, SIAMESE.index("relu") + 4)
            page.press("u")
            page.wait(SEVERITY, "error")
            assert page.texts("#problems .message") == [MESSAGE.replace("rellu", "reluu")]
            page.wait("!$('#stale').hidden")
            if mend == "keys":
                page.press("F8")
                page.press("Control", ".")
            else:
                page.click("#theme")
                for _ in range(5):  # what is drawn anew while the pointer rests hides what it shows
                    page.move((2, 2))
                    page.hover(".cm-lintRange-error")
                    with suppress(TimeoutError):
                        page.wait("$('.cm-tooltip .cm-diagnosticAction') && true", seconds=3)
                        break
                assert page.texts(".cm-tooltip .cm-diagnosticAction") == ["Replace reluu by relu"]
                page.shot(SHOTS / f"playground-dark-{browser}.png")
                assert violations(page) == []
                page.click("#problems .fix")
            page.wait(SEVERITY, "good")
            assert page.ask(TEXT) == SIAMESE
        page.click("#theme")

        # The other views, and what can be taken along.
        page.click("#tab-picture")
        page.press("ArrowRight")
        page.wait("$('#sharing td') && true")
        headers, rows, _ = stored_table(api.inspect(_file(tmp_path, SIAMESE)))
        cells = page.ask("$$('#sharing tr').map((row) => [...row.cells].map((cell) => cell.textContent))")
        assert cells == [list(headers), *([cell.strip() for cell in row] for row in rows)]
        page.press("ArrowRight")
        page.wait("$('#formatted pre') && true")
        assert page.ask("$('#formatted pre').textContent") == api.format(Source("x.wsd", SIAMESE))
        page.press("Home")
        page.click("#link")
        assert files(page.wait("location.hash")) == {"program.wsd": SIAMESE}
        page.open("about:blank")
        page.open(f"{address}/play/{link(ARRIVED)}")
        page.wait(f"{TEXT}.includes('arrived')")
        page.wait(SEVERITY, "good")
        assert page.ask(TEXT) == ARRIVED
        page.ask("(() => { const s = $('#examples'); s.value = 'lm'; s.dispatchEvent(new Event('change')); })()")
        page.wait("$('#drawing').textContent.includes('embedding')")
        saved = page.saved("#download", "lm.wsd")
        assert saved.read_bytes() == (ROOT / "examples/lm.wsd").read_bytes()
        assert violations(page) == []
        checks = {name: check_time(page, name) for name in ("siamese", "lm")}

        # On a phone.
        (tmp_path / "phone.html").write_text('<!DOCTYPE html><iframe src="/play/" width="360" height="740"></iframe>')
        page.open(f"{address}/phone.html")
        inside = "$('iframe').contentDocument"
        page.wait(f"{inside}.getElementById('state')?.dataset.severity === 'good'")
        page.wait(f"{inside}.querySelector('#drawing svg') && true")
        assert (
            page.ask(f"(({{ scrollWidth, clientWidth }}) => scrollWidth - clientWidth)({inside}.documentElement)") == 0
        )
        page.shot(SHOTS / f"playground-phone-{browser}.png")
    tell(capsys, browser, {"editor": editor, "first answer": answer, **checks})


def test_training(page: Page, browser: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = tmp_path / "build"
    compiled = wsdl.compile(PAGE / "digits.wsd")
    compiled.save(build / "pairs", model="pairs", train=True)
    compiled.save(build / "place", model="place")
    shutil.copyfile(DIGITS, build / "digits.safetensors")
    number = "parseFloat($(args[0]).textContent)"

    def draw(width: float) -> None:
        left, top, across, down = page.ask(
            "(({ x, y, width, height }) => [x, y, width, height])($('#pad').getBoundingClientRect())"
        )
        places = [(left + (x * width + (1 - width) / 2) * across, top + y * down) for x, y in STAR]
        page.move(*((round(x), round(y)) for x, y in places), drawing=True)

    with serving({"/": PAGE, "/build/": build}) as address:
        began = time.monotonic()
        page.open(f"{address}/")
        page.wait("!$('#learn').disabled && $('#accuracy').textContent.includes('%')")
        ready = time.monotonic() - began
        assert page.ask(number, "#accuracy") < 60
        page.click("#learn")
        first = page.wait(number, "#loss")
        page.wait(f"{number} >= 85", "#accuracy")
        learned = time.monotonic() - began
        assert page.ask(number, "#loss") < 0.6 * first
        draw(1)
        untaught = page.wait("$('#guess').textContent !== '?' && $('#guess').textContent")
        assert untaught in "0123456789"
        for width in (0.9, 0.95):
            page.click("#kinds button[title='This is ★']")
            draw(width)
        page.wait("$('#guess').textContent === '★'")
        page.shot(SHOTS / f"training-{browser}.png")
        page.click("#learn")
        steps = page.ask("$('#steps').textContent")
        model = page.saved("#save", "place.onnx")
        assert share_right(model) > 0.8
        page.click("#restart")
        page.wait("$('#steps').textContent.startsWith('0 steps')")
        assert page.ask(number, "#accuracy") < 60
    pace = float(steps.split(", ")[-1].split()[0])
    tell(capsys, browser, {"ready": ready, "85 % right": learned, "a step": pace / 1000})


def check_time(page: Page, example: str) -> float:
    """Of an example after changes of a comment, in seconds, as the page shows it; the fastest of ten."""
    page.ask(
        "(() => { const s = $('#examples'); s.value = args[0]; s.dispatchEvent(new Event('change')); })()", example
    )
    page.wait(f"{TEXT}.includes('model {example}')")
    times = []
    for n in range(10):
        page.ask(
            "(() => { $('#state').textContent = ''; const view = $('.cm-content').cmTile.view;"
            "view.dispatch({ changes: { from: view.state.doc.length, insert: `# ${args[0]}\\n` } }); })()",
            n,
        )
        times.append(float(page.wait(r"/(\d+) ms/.exec($('#state').textContent)?.[1]")) / 1000)
    return min(times)


def violations(page: Page) -> Any:
    """Of the rules of accessibility, by axe-core."""
    page.run(f"{(PACKAGES / 'axe-core/axe.min.js').read_text('utf-8')}; window.axe = axe")
    return page.ask(
        "axe.run().then((found) => found.violations.map(({ id, nodes }) => [id, ...nodes.map((n) => n.html)]))"
    )


def tell(capsys: pytest.CaptureFixture[str], browser: str, seconds: dict[str, float]) -> None:
    with capsys.disabled():
        print(f"\n{browser}: " + json.dumps({name: round(value, 3) for name, value in seconds.items()}))


def _file(folder: Path, text: str) -> Path:
    path = folder / "program.wsd"
    path.write_text(text, encoding="utf-8")
    return path
