"""The playground, in a real browser: what it shows is what the library mixes."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from browser import Browser, browser_path
from mixwright import MIXERS, MiAMix, MixPlan, PuzzleMix, SaliencyGrafting, SaliencyMix
from mixwright.lab.cli import main
from mixwright.lab.experiments import playground
from mixwright.lab.experiments.playground import SIDE, built_in, draw_playground
from mixwright.lab.reports.playground import playground_page
from mixwright.warps import Blocks

needs_browser = pytest.mark.skipif(browser_path() is None, reason="no Chromium or Chrome here")

LOOKING = {
    "saliencymix": SaliencyMix(saliency="fine_grained"),
    "puzzlemix": PuzzleMix(saliency="spectral"),
    "saliencygrafting": SaliencyGrafting(saliency="spectral"),
    "guidedmixup": MIXERS["guidedmixup"](),
}
PLAIN = ("mixup", "cutmix", "cutout", "fmix", "gridmix", "hmix", "gmix", "agmix", "miamix",
         "resizemix", "smoothmix")  # fmt: skip


@pytest.fixture(scope="module")
def few() -> Generator[None]:
    """Photographs alone: plans for three pairs take a second, for all of them ten."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(playground, "_DIGITS", ())
        yield


@pytest.fixture(scope="module")
def page(few: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("playground")
    assert main(["gallery", "--playground", "--out", str(folder)]) == 0
    return folder / "playground.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Generator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def opened(
    browser: Browser, page: Path, *, width: int = 1400, dark: bool = False, **chosen
) -> None:
    """Show the page with a method, lambda, draw (from 1) and pictures chosen by its address."""
    query = "&".join(f"{key}={value}" for key, value in chosen.items())
    browser.show(page, width=width, dark=dark, query=f"#{query}")
    until = time.monotonic() + 60
    while not browser.run("'ready' in document.documentElement.dataset && location.hash !== ''"):
        assert time.monotonic() < until, browser.errors
    browser.run("new Promise(requestAnimationFrame)")
    assert browser.errors == []


def shown(browser: Browser) -> torch.Tensor:
    """The pixels of the mixture, ``(3, H, W)``."""
    data = browser.run(
        "(one => [...one.getContext('2d').getImageData(0, 0, one.width, one.height).data])"
        "(document.getElementById('mixture'))"
    )
    rgba = torch.tensor(data, dtype=torch.uint8).view(SIDE, SIDE, 4)
    assert (rgba[..., 3] == 255).all()
    return rgba[..., :3].permute(2, 0, 1)


def text(browser: Browser, name: str) -> str:
    return browser.run(f"document.getElementById('{name}').textContent").strip()


def mixed(plan: MixPlan, row: int, pair: torch.Tensor) -> tuple[torch.Tensor, float]:
    """What the library makes of two pictures by one output of a plan, and A's label weight."""
    index = plan.index.clone()
    index[plan.index != torch.arange(len(plan))[:, None]] = 1
    index[plan.index == torch.arange(len(plan))[:, None]] = 0
    index[plan.index < 0] = -1
    of_two = plan.replace(index=index, pool=2)
    return of_two.images(pair)[row], of_two.targets(torch.eye(2))[row, 0].item()


@needs_browser
@pytest.mark.parametrize("method", [*PLAIN, *LOOKING])
def test_the_page_shows_what_the_library_mixes(browser: Browser, page: Path, method: str) -> None:
    pictures = {one.name: one.pixels for one in built_in()}
    both = torch.stack([pictures["cat"], pictures["rocket"]])
    mixer = LOOKING[method] if method in LOOKING else MIXERS[method]()
    for lam, draw, names in ((0.3, 0, ("cat", "rocket")), (0.9, 2, ("rocket", "cat"))):
        chosen = {"method": method, "lambda": lam, "a": names[0], "b": names[1]}
        opened(browser, page, draw=draw + 1, **chosen)
        fixed = replace(mixer, lam=lam) if hasattr(mixer, "lam") else mixer
        images, seed, row = torch.zeros(6, 3, SIDE, SIDE), 0, draw
        if method in LOOKING:  # the two pictures are the batch
            images, row = both / 255, ("cat", "rocket").index(names[0])
            seed = draw if method == "saliencygrafting" else 0
        rng = torch.Generator().manual_seed(seed)
        plan = fixed.plan(images, torch.arange(len(images)), generator=rng)
        wanted, weight = mixed(plan, row, torch.stack([pictures[name] for name in names]))
        found = shown(browser).int()
        # Masks that are no box, product, or whole number of levels are kept in 256 steps.
        assert (found - wanted.int()).abs().max() <= 1, (lam, draw)
        assert (found != wanted).float().mean() <= 0.2
        assert float(text(browser, "told")) == pytest.approx(weight, abs=0.0051)
        told = " ".join(text(browser, "shares").split())
        assert f"{names[0]} {100 * weight:.0f} %" in told
        assert (names[1] in told) == (weight < 0.999)


def moved_blocks() -> MixPlan:
    """Halves of the partner's pixels, on a 4 x 2 grid, whose blocks have changed places."""
    perm = torch.stack([torch.arange(7, -1, -1), torch.tensor([3, 0, 1, 2, 7, 7, 5, 6])])
    keep = torch.arange(16).view(1, 1, 4, 4).expand(2, -1, -1, -1) % 3 / 2
    warp = (None, Blocks(perm=perm, grid=(4, 2)))
    return MixPlan.pair(torch.tensor([1, 0]), keep, warp=warp)


@needs_browser
def test_views_of_one_picture_and_moved_blocks(browser: Browser, few: None, tmp_path: Path) -> None:
    """Plans of the page are seldom mirrored, shifted or moved; these all are."""
    views = MiAMix(p_self=1.0, lam=0.5).plan(
        torch.zeros(4, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(2)
    )
    assert views.warp is not None
    blocks = moved_blocks()
    store = playground._Store()
    numbers = (*store.rows(views, range(4)), *store.rows(blocks, range(2)))
    made = draw_playground(["miamix"])
    (method,) = made.methods
    made = replace(
        made,
        plans=tuple(store.plans),
        planes=tuple(tuple(map(store.plane, picture.pixels)) for picture in made.pictures),
        numbers=bytes(store.numbers),
        methods=(replace(method, lambdas=(None,), plans=((numbers,),)),),
    )
    page = tmp_path / "views.html"
    page.write_text(playground_page(made))
    pair = torch.stack([one.pixels for one in built_in()[:2]])
    told = [*["cat 100 %"] * 4, *["cat 47 % coffee 53 %"] * 2]  # 15 of 32 halves
    for draw in range(6):
        opened(browser, page, method="miamix", draw=draw + 1, a="cat", b="coffee")
        plan, row = (views, draw) if draw < 4 else (blocks, draw - 4)
        wanted, _ = mixed(plan, row, pair)
        assert (shown(browser).int() - wanted.int()).abs().max() <= 1
        assert " ".join(text(browser, "shares").split()) == told[draw]


@needs_browser
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_is_cut_or_too_faint(
    browser: Browser, page: Path, *, width: int, dark: bool
) -> None:
    browser.call("Page.navigate", url="about:blank")
    opened(browser, page, width=width, dark=dark, method="gridmix", a="cat", b="coffee")
    assert browser.faults() == []
    assert [url for url in browser.requests if not url.startswith("file:")] == []


@needs_browser
def test_it_is_played_by_keys(browser: Browser, page: Path) -> None:
    opened(browser, page, method="cutmix", **{"lambda": 0.5}, draw=1, a="cat", b="coffee")
    before = shown(browser)
    browser.run("document.getElementById('lambda').focus()")
    browser.press("ArrowRight")
    assert text(browser, "lambda-shown") == "0.55"
    assert text(browser, "asked") == "0.55"
    assert not torch.equal(shown(browser), before)
    browser.run("document.getElementById('again').focus()")
    assert text(browser, "draw-shown") == "draw 1 of 6"
    browser.press("Enter")
    assert text(browser, "draw-shown") == "draw 2 of 6"
    browser.run("document.querySelector('input[value=cutmix]').focus()")
    browser.press("ArrowRight")
    assert text(browser, "code") == "mw.Cutout()"
    assert browser.run("document.getElementById('lambda').disabled")
    names = browser.run(
        "[...document.querySelectorAll('input, button')].filter(one => !one.closest('[hidden]'))"
        ".filter(one => !one.labels?.length && !one.textContent.trim()).length"
    )
    assert names == 0  # each has its name


@needs_browser
def test_a_picture_of_the_readers_own(browser: Browser, page: Path, tmp_path: Path) -> None:
    wide = Image.new("RGB", (300, 100), "blue")
    wide.paste("red", (100, 0, 200, 100))  # the middle, which is taken
    wide.save(tmp_path / "my dog.png")
    opened(browser, page, method="mixup", **{"lambda": 1.0}, a="cat", b="coffee")
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call(
        "DOM.querySelector", nodeId=root, selector="input[type=file][data-letter=a]"
    )
    browser.call(
        "DOM.setFileInputFiles", files=[str(tmp_path / "my dog.png")], nodeId=node["nodeId"]
    )
    until = time.monotonic() + 60
    while "my dog" not in text(browser, "shares"):
        assert time.monotonic() < until, browser.errors
    assert text(browser, "shares") == "my dog 100 %"
    red = torch.tensor([255, 0, 0], dtype=torch.uint8)
    assert torch.equal(shown(browser)[:, 5:-5, 5:-5], red[:, None, None].expand(-1, 118, 118))
    browser.run("document.querySelector('input[value=puzzlemix]').click()")
    assert text(browser, "refused").startswith("PuzzleMix looks at the pictures.")
    browser.run("document.querySelector('input[name=a][value=coffee]').click()")
    assert text(browser, "refused") == "PuzzleMix looks at the pictures. Choose two different ones."
    browser.run("document.querySelector('input[name=a][value=cat]').click()")
    assert text(browser, "refused") == ""


def test_the_page_is_whole_in_itself(page: Path) -> None:
    words = page.read_text()
    assert len(words) < 1_500_000
    for outside in ("src=", "@import", "url(", "<link"):
        assert outside not in words.replace('id="link"', "")
    assert "AttentiveCutMix, SnapMix, CoMixup" in words


def test_it_takes_nothing_but_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--playground", "--out", str(tmp_path / "new")]
    assert main(["gallery", "cutmix", "--count", "3", *out]) == 2
    assert "--playground and METHOD, --count are both given" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
