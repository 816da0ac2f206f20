"""Seeing what happens: the computation graph, the backward pass step by step, what is wrong with a gradient; and what
an optimizer computes in every step, alone or in a race with others; what a network costs in work, time and memory; and
what the classic bugs do.

Graphs: draw_graph, explain_backward, record, part.  Gradients: check_my_grad, gradient_flow.  Training: lint, summary,
profile, lr_range_test, landscape, Sharpness, top_hessian_eigenvalues.  Optimizers: OptimizerTrace, race, best_rates,
surfaces, Surface, feed.  Classic bugs: bugs, break_it, symptom.  Each has a docstring with an example.

Everything here reads the graph that was recorded and calls the rules that train.  Pictures need what
`pip install "minidl[study]"` brings; the texts need nothing.
"""

from minidl.study.backward import explain_backward
from minidl.study.breaking import break_it
from minidl.study.checks import check_my_grad
from minidl.study.classics import bugs
from minidl.study.curvature import Eigenvalues, Sharpness, top_hessian_eigenvalues
from minidl.study.draw import draw_graph
from minidl.study.flow import GradientFlow, gradient_flow
from minidl.study.landscape import Landscape, landscape
from minidl.study.lint import Finding, LintWarning, lint
from minidl.study.lr_range import RangeTest, lr_range_test
from minidl.study.parts import part, record
from minidl.study.profiler import profile
from minidl.study.profiles import Profile
from minidl.study.races import best_rates, race
from minidl.study.sequence import feed
from minidl.study.summaries import Summary, summary
from minidl.study.surface import Surface, surfaces
from minidl.study.symptoms import Symptom, symptom
from minidl.study.trace import OptimizerTrace

__all__ = [
    "Eigenvalues", "Finding", "GradientFlow", "Landscape", "LintWarning", "OptimizerTrace", "Profile", "RangeTest",
    "Sharpness", "Summary", "Surface", "Symptom", "best_rates", "break_it", "bugs", "check_my_grad", "draw_graph",
    "explain_backward", "feed", "gradient_flow", "landscape", "lint", "lr_range_test", "part", "profile", "race",
    "record", "summary", "surfaces", "symptom", "top_hessian_eigenvalues",
]  # fmt: skip


def __dir__() -> list[str]:
    """The public names, without the modules that they are in."""
    return __all__
