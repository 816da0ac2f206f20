"""Pictures of a graph: nothing overlaps, nothing is cut, every format has everything in it."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from study.study_cases import deep_loss, lenet_loss, neuron, overlap

import minidl
from minidl import nn, study
from minidl.study import charts
from minidl.study.graphs.boxes import LETTER, PADDING
from minidl.study.graphs.graph import Group

igraph = pytest.importorskip("igraph")
SVG = "{http://www.w3.org/2000/svg}"
LOSSES = {"neuron": neuron, "lenet": lambda: lenet_loss()[1], "deep": lambda: deep_loss()[1]}
each_loss = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)


@each_loss
@pytest.mark.parametrize("depth", [None, 0, 1, 9])
def test_no_box_overlaps_another_and_each_lies_in_its_frame(make, depth):
    picture = study.draw_graph(make(), depth=depth)
    view = picture.view()
    boxes = {item: (*corner, *picture.boxes[item].size) for item, corner in view.boxes.items()}
    ordered = sorted(boxes.values(), key=lambda box: box[1])
    for i, a in enumerate(ordered):
        for b in ordered[i + 1 :]:
            if b[1] >= a[1] + a[3]:
                break
            assert not overlap(a, b)
    for item, (x, y, width, height) in boxes.items():
        around = item.parent if isinstance(item, Group) else item.group
        left, top, w, h = view.frames.get(around, (0, 0, *view.size))
        assert left <= x and x + width <= left + w + 1e-6
        assert top <= y and y + height <= top + h + 1e-6
    for group, frame in view.frames.items():  # a frame keeps out what is not in it
        inside = {id(member) for member in (*group.nodes(), *group.groups())}
        assert not [item for item, box in boxes.items() if id(item) not in inside and overlap(frame, box)]


@each_loss
def test_no_wire_runs_through_a_box(make):
    picture = study.draw_graph(make(), depth=9)
    view = picture.view()
    left, top, width, height = np.array([(*corner, *picture.boxes[item].size) for item, corner in view.boxes.items()]).T
    for wire in view.wires:
        for (x, y0), (_, y1) in zip(wire.points[::2], wire.points[1::2], strict=True):  # the upright stretches
            beside = (x <= left) | (left + width <= x)
            assert (beside | (np.maximum(top, y0) + 0.5 >= np.minimum(top + height, y1) - 0.5)).all()


def test_all_text_lies_inside_its_box():
    root = ElementTree.fromstring(study.draw_graph(lenet_loss()[1]).svg())
    groups = [g for g in root.iter(f"{SVG}g") if g.get("transform")]
    assert len(groups) > 20
    for g in groups:
        width, height = (float(g.find(f"{SVG}rect").get(side)) for side in ("width", "height"))
        for text in g.iter(f"{SVG}text"):
            assert len(text.text) * LETTER <= width - 2 * PADDING + 0.1
            assert float(text.get("y")) < height
        for image in g.iter(f"{SVG}image"):
            assert float(image.get("y")) + float(image.get("height")) <= height


def test_a_box_says_everything():
    x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x.sum(0)
    loss = (y * y).sum()
    boxes = {box.lines[0][1]: [text for _, text in box.lines] for box in study.draw_graph(loss).boxes.values()}
    assert boxes["y = sum"] == ["y = sum", "axis=0", "float32 (2,)", "value     [4, 6]", "gradient  [8, 12]"]
    assert boxes["x  leaf"][2:] == ["value     [1, 2]", "          [3, 4]", "gradient  [8, 12]", "          [8, 12]"]
    big = minidl.ones(10, 10, requires_grad=True)
    box = next(iter(study.draw_graph(big.sum()).boxes.values()))
    assert [text.split() for _, text in box.lines][2:] == [
        ["mean", "std", "norm"], ["value", "1", "0", "10"], ["gradient", "1", "0", "10"],
    ]  # fmt: skip


def test_images_have_thumbnails():
    picture = study.draw_graph(lenet_loss()[1])
    shapes = {node.name: box.image.shape for node, box in picture.boxes.items() if box.image is not None}
    assert shapes["data"] == (28, 28)
    assert shapes["convolution"] == (28, 6 * 28 + 5 * 2)  # six channels beside each other
    assert shapes["0.weight"] == (5, 6 * 5 + 5)
    assert "7.weight" not in shapes
    color = study.draw_graph((minidl.rand(2, 3, 8, 8) * minidl.ones(1, requires_grad=True)).sum())
    assert next(iter(color.boxes.values())).image.shape == (8, 8, 3)


def test_what_is_no_image_has_no_thumbnail_and_settings_say_something():
    minidl.manual_seed(0)
    heads = nn.MultiheadAttention(16, 2, batch_first=True)
    x = minidl.randn(4, 6, 16)
    attended = study.draw_graph(heads(x, x, x)[0].sum())
    read = study.draw_graph(nn.LSTM(2, 7, num_layers=2)(minidl.randn(6, 3, 2))[0].sum())
    assert all(box.image is None for drawn in (attended, read) for box in drawn.boxes.values())
    assert "cell=LSTM)" in str(read) and "kept" not in str(read)


def test_of_whole_numbers_no_mean_is_shown():
    scores, labels = minidl.randn(20, 3, requires_grad=True), minidl.arange(20) % 3
    picture = study.draw_graph(nn.functional.cross_entropy(scores, labels))
    box = next(box for node, box in picture.boxes.items() if node.name == "labels")
    assert box.lines[-1][1] == "value  0, 1, 2, 0, … from 0 to 2"


def test_a_closed_group_says_what_its_neighbour_calls_its_result():
    picture = study.draw_graph(lenet_loss()[1], depth=1)
    (group,) = [item for item in picture.view().boxes if isinstance(item, Group) and item.title == "7 (Linear)"]
    assert picture.boxes[group].lines[2][1] == "linear: float32 (2, 120)"


@pytest.mark.parametrize("ending", ["svg", "png", "html", "dot", "txt"])
def test_every_format_is_written(ending, tmp_path):
    if ending == "png":
        pytest.importorskip("matplotlib")
    path = tmp_path / "new" / f"graph.{ending}"
    study.draw_graph(lenet_loss()[1], path)
    data = path.read_bytes()
    if ending == "png":
        assert data.startswith(b"\x89PNG")
    else:
        for word in ("0.weight", "softmax_cross_entropy", "7 (Linear)", "gradient"):
            assert word in data.decode()
    if ending == "html":
        assert b"http:" not in data.replace(b"http://www.w3.org/2000/svg", b"") and b"https:" not in data


def test_a_tensor_may_be_called_as_a_place_in_the_page():
    DATA, FONT = (minidl.tensor(x, requires_grad=True) for x in (2.0, 3.0))
    SVG = DATA * FONT
    page = study.draw_graph(SVG).html()
    assert "<title>the graph of SVG = 6</title>" in page
    assert page.count('"views"') == page.count("<svg") == 1 and ">DATA · FONT<" in page


def test_endings_have_one_rule(tmp_path):
    study.draw_graph(neuron(), tmp_path / "new" / "GRAPH.SVG")
    assert (tmp_path / "new" / "GRAPH.SVG").read_text("utf-8").startswith("<svg")
    study.explain_backward(neuron()).to_html(tmp_path / "steps")
    assert (tmp_path / "steps.html").exists()
    with pytest.raises(ValueError, match=r"ends in \.html, got 'steps\.png'"):
        study.explain_backward(neuron()).to_html(tmp_path / "steps.png")
    study.summary(nn.Linear(2, 1), minidl.ones(1, 2)).table().to_csv(tmp_path / "new" / "folder" / "layers.csv")
    assert (tmp_path / "new" / "folder" / "layers.csv").exists()
    assert charts.with_ending("runs").name == "runs.png"


@pytest.mark.parametrize("depth", [-1, "a", 1.5])
def test_a_depth_is_a_number_of_levels(depth):
    with pytest.raises(ValueError, match="expected as depth the number of levels"):
        study.draw_graph(neuron(), depth=depth)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.png, \.svg, \.html, \.dot, \.txt, got 'graph\.pdf'"):
        study.draw_graph(neuron(), tmp_path / "graph.pdf")


def test_a_graph_of_a_thousand_tensors_is_readable():
    picture = study.draw_graph(deep_loss()[1])
    assert len(picture.graph.nodes) > 1000
    view = picture.view()
    assert 5 < len(view.boxes) <= 60 and view.size[0] < 1500
    closed = [box for item, box in picture.boxes.items() if isinstance(item, Group) and item in view.boxes]
    assert any("weights" in text for box in closed for _, text in box.lines)


def test_in_a_notebook_it_shows_itself():
    assert study.draw_graph(neuron())._repr_svg_().startswith("<svg")
    assert "<iframe srcdoc=" in study.explain_backward(neuron())._repr_html_()


def test_numbers_that_are_not_finite_are_drawn():
    x = minidl.tensor([[np.nan, 1.0], [np.inf, 0.0]], requires_grad=True)
    with np.errstate(all="ignore"):
        y = x.reshape(1, 1, 2, 2) * minidl.full((1, 1, 20, 20), np.inf).sum()
        assert "nan" in study.draw_graph(y.sum()).svg()


def test_without_igraph_the_text_still_works_and_the_error_names_the_install_line(tmp_path):
    (tmp_path / "igraph.py").write_text("raise ImportError('as if it were not installed')")
    code = (
        "import minidl; from minidl import study\n"
        "y = (minidl.ones(3, requires_grad=True) * 2).sum()\n"
        "study.draw_graph(y, 'graph.txt'); study.draw_graph(y, 'graph.dot'); print(study.explain_backward(y))\n"
        "try: study.draw_graph(y, 'graph.svg')\n"
        "except ImportError as error: print(error)\n"
    )
    root = minidl.__path__[0].rpartition("minidl")[0]
    environment = {"PYTHONPATH": f"{tmp_path}:{root}"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert 'pip install "minidl[study]"' in run.stdout
    assert (tmp_path / "graph.txt").exists() and not (tmp_path / "graph.svg").exists()
