"""The page of a run in a real browser: what it shows is what the run decodes."""

import base64
import io

import jax
import numpy as np
import pytest
from conftest import HOSTILE, RUNS, until
from PIL import Image

GRID_IS_DRAWN = "explorer.plane.grid?.dataset.whole"
SPOTS = [(0.3, 0.3), (0.5, 0.5), (0.62, 0.41)]


def numbers(page, expression, argument=None):
    return np.array(page.evaluate(expression, argument), np.float32)


def canvas_pixels(page, selector):
    """What a canvas shows, `[height, width, 3]` in bytes."""
    data = page.evaluate(
        "selector => document.querySelector(selector).toDataURL()", selector
    )
    png = base64.b64decode(data.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.float32)


def at(page, share, selector="#front"):
    """Where on the screen a share of a canvas lies."""
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] * share[0], box["y"] + box["height"] * share[1]


def settle(page):
    """Until the next frame has been drawn."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


def chosen(page):
    return numbers(page, "Array.from(explorer.z)")


@pytest.mark.parametrize("name", RUNS)
def test_decodes_what_the_run_decodes(visit, run_of, name):
    run, page = run_of(name), visit(name)
    categories = None
    if run.reads_category:
        categories = run.sample_categories(200, seed=1)
    z = run.sample_codes(200, seed=1)
    shown = numbers(
        page,
        "([codes, of]) => codes.map((z, i) => Array.from(explorer.decode(z, of?.[i])))",
        [z.tolist(), None if categories is None else categories.tolist()],
    )
    x_hat = run.decode(z, categories).reshape(200, -1)
    assert np.abs(shown - x_hat).max() <= 1 / 255


@pytest.mark.parametrize("name", RUNS)
def test_encodes_what_the_run_encodes(visit, run_of, name):
    run, page = run_of(name), visit(name)
    shape = run.record.image_shape
    x = np.array(jax.random.uniform(jax.random.key(0), (20, *shape)))
    said = page.evaluate(
        "images => images.map((x) => explorer.encode(x)).map(({z, shares}) =>"
        " [Array.from(z), shares])",
        x.reshape(20, -1).tolist(),
    )
    z = np.array([each[0] for each in said], np.float32)
    scale = run.code_prior.std.max()
    np.testing.assert_allclose(z, run.encode(x), atol=0.01 * scale)
    if run.model.networks.wiring.infers_y:
        shares = [each[1] for each in said]
        np.testing.assert_allclose(shares, run.probabilities(x), atol=0.01)


@pytest.mark.parametrize("name", ["aae", "uniform", "1 dimension", "16 dimensions"])
def test_the_place_under_the_pointer_is_decoded(visit, run_of, name):
    run, page = run_of(name), visit(name)
    for spot in SPOTS:
        page.mouse.move(*at(page, spot))
        settle(page)
        shown = canvas_pixels(page, "#decoded")[..., :1]
        x_hat = run.decode(chosen(page)[None])[0]
        assert np.abs(shown - 255 * x_hat).max() <= 1.5
    place = page.evaluate("explorer.plane.toCanvas(explorer.placeOf(explorer.z))")
    side = page.evaluate("explorer.plane.front.width")
    assert place[0] / side == pytest.approx(SPOTS[-1][0], abs=0.01)
    if name != "1 dimension":
        assert place[1] / side == pytest.approx(SPOTS[-1][1], abs=0.01)


def test_a_click_holds_a_code_and_another_lets_go(visit):
    page = visit("aae")
    code = numbers(page, "Array.from(explorer.page.codes[7].z)")
    spot = page.evaluate(
        "explorer.plane.toCanvas(explorer.page.codes[7].point)"
        ".map(value => value / explorer.plane.front.width)"
    )
    # Of codes that are this near each other the nearest is taken.
    page.mouse.click(*at(page, spot))
    held = chosen(page)
    np.testing.assert_allclose(held, code, atol=1e-3)
    page.mouse.move(*at(page, (0.9, 0.9)))
    np.testing.assert_array_equal(chosen(page), held)
    page.mouse.click(*at(page, spot))
    page.mouse.move(*at(page, (0.9, 0.9)))
    assert np.abs(chosen(page) - held).max() > 0.1


def test_says_where_in_the_prior_a_code_lies(visit):
    page = visit("aae")
    for code, words in (
        ([0, 0], "inside the prior's 50 %"),
        ([0, 9.5], "inside the prior's 90 %"),  # 1.9 deviations: 84 % lie nearer
        ([400, 0], "outside of the prior"),
    ):
        page.evaluate("code => explorer.goTo(code)", code)
        settle(page)
        assert words in page.locator("#place").text_content()


def test_a_walk_leads_from_the_first_to_the_second_place(visit, run_of):
    run, page = run_of("aae"), visit("aae")
    page.get_by_label("Codes", exact=True).uncheck()  # none is to catch the clicks
    page.get_by_label("Walk", exact=True).check()
    page.mouse.click(*at(page, (0.2, 0.7)))
    first = chosen(page)
    page.mouse.click(*at(page, (0.8, 0.3)))
    strip = page.locator("#walk canvas")
    assert strip.count() == 11
    until(page, "document.querySelector('#progress').value === '1'")
    last = chosen(page)
    assert last[0] > first[0]
    for nth, share in ((1, 0.0), (6, 0.5), (11, 1.0)):
        z = first + np.float32(share) * (last - first)
        shown = canvas_pixels(page, f"#walk figure:nth-child({nth}) canvas")[..., :1]
        assert np.abs(shown - 255 * run.decode(z[None])[0]).max() <= 1.5
    page.locator("#progress").fill("0.5")
    np.testing.assert_allclose(chosen(page), (first + last) / 2, atol=1e-3)
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").click()
    assert 0.5 <= float(page.locator("#progress").input_value()) <= 1


def test_who_wants_less_motion_sees_no_walk_played(visit):
    page = visit("aae", reduced_motion="reduce")
    page.get_by_label("Walk", exact=True).check()
    page.mouse.click(*at(page, (0.2, 0.7)))
    page.mouse.click(*at(page, (0.8, 0.3)))
    assert page.locator("#progress").input_value() == "0"
    assert page.get_by_role("button", name="Play").is_visible()


def test_a_box_shows_the_images_of_its_codes(visit, digits):
    page = visit("aae")
    page.get_by_label("Select", exact=True).check()
    page.mouse.move(*at(page, (0.4, 0.4)))
    page.mouse.down()
    page.mouse.move(*at(page, (0.6, 0.6)), steps=3)
    page.mouse.up()
    points = numbers(page, "explorer.page.codes.map(({point}) => point)")
    (left, top), (right, bottom) = page.evaluate("explorer.marks.box")
    inside = np.flatnonzero(
        (points >= (left, bottom)).all(axis=1) & (points <= (right, top)).all(axis=1)
    )
    assert 0 < len(inside) < len(points)
    assert page.locator("#selection h2").text_content() == (
        f"{len(inside):,} codes in the box"
    )
    shown = page.locator("#selection button")
    assert shown.count() == min(len(inside), 120)
    picture = canvas_pixels(page, "#selection button:nth-child(2) canvas")[..., :1]
    np.testing.assert_array_equal(picture, digits.x_test[inside[1]])
    shown.nth(1).click()
    code = numbers(page, "i => Array.from(explorer.page.codes[i].z)", int(inside[1]))
    np.testing.assert_array_equal(chosen(page), code)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_lies_behind_changes_the_picture(visit, scheme):
    page = visit("aae", color_scheme=scheme)

    def colours():
        return len(np.unique(canvas_pixels(page, "#back").reshape(-1, 3), axis=0))

    assert colours() > 1000  # ten classes, on each other and on the paper
    page.get_by_label("Codes", exact=True).uncheck()
    contours = colours()
    assert 1 < contours < 100
    page.get_by_label("Prior", exact=True).uncheck()
    assert colours() == 1
    page.get_by_label("density").check()
    assert colours() > 50
    page.get_by_label("decoded grid").check()
    until(page, GRID_IS_DRAWN)
    assert colours() > 50
    page.get_by_label("nothing").check()
    assert colours() == 1


def test_a_cell_of_the_grid_is_the_code_in_its_middle(visit, run_of):
    run, page = run_of("aae"), visit("aae")
    page.get_by_label("decoded grid").check()
    until(page, GRID_IS_DRAWN)
    data = page.evaluate("explorer.plane.grid.toDataURL()").partition(",")[2]
    grid = Image.open(io.BytesIO(base64.b64decode(data))).convert("L")
    assert grid.size == (20 * 28, 20 * 28)
    x, y, half = page.evaluate("Object.values(explorer.plane.view)")
    column, row = 12, 9
    z = np.float32(
        [[x + half * (2 * column + 1 - 20) / 20, y + half * (20 - 2 * row - 1) / 20]]
    )
    cell = np.asarray(grid, np.float32)[
        28 * row : 28 * (row + 1), 28 * column : 28 * (column + 1), None
    ]
    assert np.abs(cell - 255 * run.decode(z)[0]).max() <= 1.5


@pytest.mark.parametrize("name", ["supervised", "semi-supervised"])
def test_class_and_style_are_chosen_apart(visit, run_of, name):
    run, page = run_of(name), visit(name)
    z = run.sample_codes(1, seed=3)
    page.evaluate("z => explorer.goTo(z)", z[0].tolist())
    page.locator("#categories").get_by_role("button", name="7").click()
    settle(page)
    np.testing.assert_array_equal(chosen(page), z[0])
    shown = canvas_pixels(page, "#decoded")[..., :1]
    assert np.abs(shown - 255 * run.decode(z, 7)[0]).max() <= 1.5
    if name == "supervised":
        nearest = page.locator("#nearest-name").text_content()
        assert nearest == "nearest test image, 7"
    pressed = page.locator("#categories [aria-pressed=true]")
    assert pressed.all_text_contents() == ["7"]
    until(page, "document.querySelector('#styles canvas').width === 28")
    for y in (0, 9):
        style = canvas_pixels(page, f"#styles figure:nth-child({y + 1}) canvas")
        assert np.abs(style[..., :1] - 255 * run.decode(z, y)[0]).max() <= 1.5


def test_sliders_move_beyond_the_plane(visit):
    page = visit("16 dimensions")
    axes = numbers(page, "explorer.page.space.axes")
    np.testing.assert_allclose(axes @ axes.T, np.eye(16), atol=1e-5)
    page.mouse.click(*at(page, (0.45, 0.5)))
    before = chosen(page)
    slider = page.locator("#sliders input").nth(2)  # the fifth axis
    slider.focus()
    page.keyboard.press("ArrowRight")
    moved = axes @ (chosen(page) - before)
    assert abs(moved[4]) > 1e-3
    np.testing.assert_allclose(np.delete(moved, 4), 0, atol=1e-4)
    page.evaluate("explorer.letGo()")
    page.mouse.move(*at(page, (0.7, 0.2)))
    settle(page)
    moved_in_plane = axes @ (chosen(page) - before)
    np.testing.assert_allclose(moved_in_plane[2:], moved[2:], atol=1e-4)


def test_the_keyboard_is_enough(visit):
    page = visit("aae")
    page.evaluate("explorer.goTo([0, 0])")
    page.locator("#front").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    z = chosen(page)
    assert z[0] > 0
    assert z[1] == pytest.approx(5 * z[0], rel=1e-4)
    half = page.evaluate("explorer.plane.view.half")
    page.keyboard.press("+")
    assert page.evaluate("explorer.plane.view.half") == pytest.approx(half / 1.5)
    page.keyboard.press("0")
    assert page.evaluate("explorer.plane.view.half") == half

    page.locator("[value=walk]").focus()
    page.keyboard.press("Space")
    page.locator("#front").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert page.locator("#walk canvas").count() == 11

    page.locator("[value=select]").focus()
    page.keyboard.press("Space")
    page.locator("#front").focus()
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowDown")
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    assert page.locator("#selection button").count() > 0


def test_the_buttons_zoom_and_draw_from_the_prior(visit):
    page = visit("aae")
    half = page.evaluate("explorer.plane.view.half")
    page.get_by_role("button", name="Zoom in").click()
    assert page.evaluate("explorer.plane.view.half") < half
    page.get_by_role("button", name="Zoom out").click()
    page.get_by_role("button", name="Reset").click()
    assert page.evaluate("explorer.plane.view.half") == half
    draws = numbers(page, "Array.from(explorer.draws)").reshape(-1, 2)
    page.get_by_role("button", name="Draw from the prior").click()
    assert (draws == chosen(page)).all(axis=1).any()


PHONE = {
    "viewport": {"width": 360, "height": 740},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


@pytest.mark.parametrize("name", ["aae", "supervised", "16 dimensions", "colour"])
def test_a_phone_shows_it_all_without_scrolling_sideways(visit, name):
    page = visit(name, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    small = page.evaluate(
        "[...document.querySelectorAll('p, label, button, figcaption, li')]"
        ".filter((each) => each.checkVisibility())"
        ".map((each) => parseFloat(getComputedStyle(each).fontSize))"
    )
    assert min(small) >= 12


def test_fingers_move_tap_and_pinch(visit):
    page = visit("aae", **PHONE)
    page.get_by_label("Codes", exact=True).uncheck()
    page.locator("#front").scroll_into_view_if_needed()
    before = chosen(page)
    page.touchscreen.tap(*at(page, (0.7, 0.6)))
    tapped = chosen(page)
    assert np.abs(tapped - before).max() > 0.1

    def touch(kind, *spots):
        places = [
            {"id": finger, **dict(zip("xy", at(page, spot), strict=True))}
            for finger, spot in enumerate(spots)
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    session = page.context.new_cdp_session(page)
    touch("touchStart", (0.7, 0.6))
    touch("touchMove", (0.5, 0.4))
    touch("touchEnd")
    settle(page)
    assert np.abs(chosen(page) - tapped).max() > 0.1  # a finger drags the place along
    half = page.evaluate("explorer.plane.view.half")
    touch("touchStart", (0.45, 0.5), (0.55, 0.5))
    touch("touchMove", (0.3, 0.5), (0.7, 0.5))
    touch("touchEnd")
    settle(page)
    assert page.evaluate("explorer.plane.view.half") == pytest.approx(
        half / 4, rel=0.05
    )


def draw_stroke(page):
    page.locator("#pad").scroll_into_view_if_needed()
    page.mouse.move(*at(page, (0.3, 0.2), "#pad"))
    page.mouse.down()
    page.mouse.move(*at(page, (0.35, 0.8), "#pad"), steps=5)
    page.mouse.up()
    settle(page)


@pytest.mark.parametrize("name", ["aae", "semi-supervised", "dim-reduction", "colour"])
def test_a_drawing_is_encoded_and_comes_back(visit, run_of, name):
    run, page = run_of(name), visit(name)
    draw_stroke(page)
    channels = run.record.image_shape[2]
    seen = canvas_pixels(page, "#seen")[None, ..., :channels] / 255
    assert seen.max() > 0.5
    scale = run.code_prior.std.max()
    np.testing.assert_allclose(chosen(page), run.encode(seen)[0], atol=0.01 * scale)
    labels = None
    if run.reads_category and not run.model.networks.wiring.infers_y:
        labels = page.evaluate("explorer.category")
    returned = canvas_pixels(page, "#returned")[..., :channels]
    x_hat = 255 * run.reconstruct(seen, labels)[0]
    assert np.abs(returned - x_hat).max() <= 2  # the pad is read in bytes, too
    error = np.mean((seen - x_hat / 255) ** 2)
    said = page.locator("#verdict").text_content()
    assert float(said.split(": ")[1].split()[0].rstrip(".")) == pytest.approx(
        error, abs=2e-3
    )
    if run.model.networks.wiring.infers_y:
        first = page.locator("#shares span").first.text_content()
        assert int(first) == run.classify(seen)[0]
    page.get_by_role("button", name="Clear").click()
    settle(page)
    assert canvas_pixels(page, "#seen").max() == 0
    assert page.locator("#verdict").text_content() == ""


def test_a_drawing_is_fitted_and_centred_as_mnist_is(visit):
    page = visit("aae")
    draw_stroke(page)
    seen = canvas_pixels(page, "#seen")[..., 0]
    ink = seen / seen.sum()
    rows, columns = np.indices(seen.shape) + 0.5
    assert (ink * rows).sum() == pytest.approx(14, abs=0.5)
    assert (ink * columns).sum() == pytest.approx(14, abs=0.5)
    assert 19 <= np.ptp(np.flatnonzero((seen > 60).any(axis=1))) + 1 <= 21
    page.get_by_label("fit and centre").uncheck()
    settle(page)
    seen = canvas_pixels(page, "#seen")[..., 0]
    assert (seen / seen.sum() * columns).sum() < 10  # where it was drawn


def png_of(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="png")
    return buffer.getvalue()


def test_an_image_file_is_read(visit, digits):
    page = visit("aae")
    page.get_by_label("fit and centre").uncheck()
    image = digits.x_test[3, ..., 0].repeat(12, axis=0).repeat(12, axis=1)
    page.locator("#file").set_input_files(
        {"name": "digit.png", "mimeType": "image/png", "buffer": png_of(255 - image)}
    )
    page.get_by_text("Squared error a pixel").wait_for()
    page.get_by_label("invert").check()
    settle(page)
    seen = canvas_pixels(page, "#seen")[..., 0]
    assert np.abs(seen - digits.x_test[3, ..., 0]).max() <= 2


DROP = """
([text, type]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], "a.png", { type }));
  for (const kind of ["dragover", "drop"]) {
    const options = { dataTransfer: files, bubbles: true, cancelable: true };
    document.body.dispatchEvent(new DragEvent(kind, options));
  }
}
"""


def test_an_image_can_be_dropped_anywhere(visit, digits):
    page = visit("aae")
    png = base64.b64encode(png_of(digits.x_test[3, ..., 0])).decode()
    page.evaluate(DROP, [png, "image/png"])
    page.get_by_text("Squared error a pixel").wait_for()
    assert canvas_pixels(page, "#seen").max() > 200


def test_a_file_that_is_no_image_is_refused_in_a_sentence(visit):
    page = visit("aae")
    page.evaluate(DROP, [base64.b64encode(b"no image").decode(), "image/png"])
    until(page, "document.querySelector('#verdict').textContent")
    verdict = page.locator("#verdict").text_content()
    assert verdict == "This file is no image that the browser can read."


def test_hostile_names_stay_text(visit):
    page = visit("colour")
    assert page.evaluate("window.hurt") is None
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    assert tuple(page.locator("#legend li").all_text_contents()) == HOSTILE
    assert page.locator("#categories button").all_text_contents() == list(HOSTILE)
    assert page.title() == page.locator("h1").text_content()
    assert "<img" in page.title()
    assert "{{data}}" in page.title()


def test_without_labels_nothing_is_named(run_of, digits, chromium, tmp_path):
    from aae_jax.explore import explore_page

    path = tmp_path / "explore.html"
    path.write_text(explore_page(run_of("aae"), digits.x_test[:300]).text, "utf-8")
    page = chromium.new_page()
    page.goto(path.as_uri())
    until(page, "explorer.took > 0")
    assert page.locator("#legend li").count() == 0
    assert page.locator("#nearest-name").text_content() == "nearest test image"
    assert page.evaluate("explorer.page.codes.length") == 300
    page.close()
