"""The page in a real browser: it walks through all steps, forward and back, and shows the right numbers.

Debian's chromium is driven by playwright.
"""

import shutil

import pytest
from study.study_cases import deep_loss, lenet_loss, neuron

from minidl import study
from minidl.study.text import brief

pytest.importorskip("igraph")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser can be driven")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: the pages are not looked at"),
    pytest.mark.filterwarnings("default::ResourceWarning"),
]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(offline=True, viewport={"width": 1300, "height": 900})
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or errors.append(request.url))
    yield page
    context.close()
    assert not errors


def shown(page):
    """What the page shows now: the count, the panel, the box that is marked, and the gradient in every box."""
    return page.evaluate(
        """() => ({count: document.getElementById("count").textContent,
                  panel: document.getElementById("panel").innerText,
                  now: document.querySelector(".now")?.id,
                  gradients: Object.fromEntries([...document.querySelectorAll("#layer .box")].map(box => [box.id,
                      [...box.querySelectorAll(".gradient")].filter(line => line.style.display !== "none")
                      .map(line => line.textContent.replace(/^gradient/, "").trim()).join(" ")]))})"""
    )


def test_it_walks_through_all_steps_both_ways_with_the_right_numbers(page, tmp_path):
    explained = study.explain_backward(neuron())
    explained.to_html(tmp_path / "steps.html")
    page.goto(f"file://{tmp_path}/steps.html")
    ops = [node for node in explained.graph.nodes if node.op]
    count = len(ops) + len(explained.steps)
    gradients = {node.key: "" for node in explained.graph.nodes}
    states = []
    for number in range(count + 1):
        states.append(now := shown(page))
        assert now["count"] == f"step {number} of {count}"
        if number == len(ops):  # backward begins
            gradients[ops[-1].key] = "1"
        if 0 < number <= len(ops):
            node = ops[number - 1]
            assert now["now"] == node.key
            assert node.computed in now["panel"] and brief(node.value) in now["panel"]
        elif number > len(ops):
            step = explained.steps[number - len(ops) - 1]
            assert now["now"] == step.node.key
            assert step.node.computed in now["panel"] and brief(step.upstream) in now["panel"]
            for share in step.shares:
                for text in (share.title, share.formula.derivative, share.formula.rule, share.numbers, share.sum_text):
                    assert text in now["panel"]
                gradients[share.node.key] = brief(share.total)
        assert now["gradients"] == gradients
        page.keyboard.press("ArrowRight")
    assert gradients == {node.key: brief(node.gradient) for node in explained.graph.nodes}
    for state in reversed(states[:-1]):
        page.keyboard.press("ArrowLeft")
        assert shown(page) == state


def test_slider_and_buttons(page, tmp_path):
    study.explain_backward(neuron()).to_html(tmp_path / "steps.html")
    page.goto(f"file://{tmp_path}/steps.html")
    page.fill("#slider", "12")
    assert page.text_content("#count") == "step 12 of 18"
    for button, now in (("#next", 13), ("#back", 12), ("#last", 18), ("#first", 0)):
        page.click(button)
        assert page.text_content("#count") == f"step {now} of 18" and page.input_value("#slider") == str(now)
    page.click("#play")
    page.wait_for_function("document.getElementById('count').textContent.startsWith('step 2 ')")
    page.click("#play")


def boxes_on(page):
    return {box.get_attribute("id") for box in page.query_selector_all("#layer .box") if box.is_visible()}


def test_groups_open_and_close(page, tmp_path):
    picture = study.draw_graph(lenet_loss()[1], tmp_path / "graph.html")
    page.goto(f"file://{tmp_path}/graph.html")
    assert boxes_on(page) == {node.key for node in picture.graph.nodes}  # all is open
    linear = next(group for group in picture.graph.root.groups() if group.title == "7 (Linear)")
    inside = {node.key for node in linear.nodes()}
    page.click(f".label[data-group={linear.key}]")
    assert boxes_on(page) == {node.key for node in picture.graph.nodes} - inside | {linear.key}
    page.click(f"#{linear.key}")
    assert boxes_on(page) == {node.key for node in picture.graph.nodes}
    page.click("#none")
    assert boxes_on(page) == {member.key for member in picture.graph.root.members}
    page.click("#all")
    assert boxes_on(page) == {node.key for node in picture.graph.nodes}


def test_what_was_not_computed_yet_has_no_picture(page, tmp_path):
    study.explain_backward(lenet_loss()[1]).to_html(tmp_path / "steps.html")
    page.goto(f"file://{tmp_path}/steps.html")

    def pictures():
        return [image for image in page.query_selector_all("#layer .box image") if image.is_visible()]

    leaves, _ = len(pictures()), page.click("#last")
    assert 0 < leaves < len(pictures())


def test_where_a_graph_cannot_be_opened_as_a_whole_the_button_says_why(page, tmp_path):
    for blocks, enabled in ((12, True), (80, False)):
        study.draw_graph(deep_loss(blocks)[1], tmp_path / "graph.html")
        page.goto(f"file://{tmp_path}/graph.html")
        assert page.is_visible("#all") and page.is_enabled("#all") == enabled
        assert ("too many boxes" in page.text_content("#all")) != enabled


def test_in_a_large_graph_the_step_opens_the_groups_around_it(page, tmp_path):
    explained = study.explain_backward(deep_loss(12)[1])
    explained.to_html(tmp_path / "steps.html")
    page.goto(f"file://{tmp_path}/steps.html")
    last = len([node for node in explained.graph.nodes if node.op]) + len(explained.steps)
    for number, node in ((last, explained.steps[-1].node), (last - 30, explained.steps[-31].node)):
        page.fill("#slider", str(number))
        assert page.get_attribute(".now", "id") == node.key and node.key in boxes_on(page)
    assert len(boxes_on(page)) < 100
    page.click("#none")
    page.fill("#slider", "0")
    assert not any(shown(page)["gradients"].values())  # closed groups, too, wait for their turn


def test_no_label_is_wider_than_its_box(page, tmp_path):
    explained = study.explain_backward(lenet_loss()[1])
    explained.to_html(tmp_path / "steps.html")
    page.goto(f"file://{tmp_path}/steps.html")
    page.click("#last")
    too_wide = page.evaluate(
        """() => [...document.querySelectorAll("#layer .box")].filter(box => box.style.display !== "none" &&
              [...box.querySelectorAll("text")].some(text => text.getBBox().x + text.getBBox().width >
              box.querySelector("rect").getBBox().width)).map(box => box.id)"""
    )
    assert too_wide == []
