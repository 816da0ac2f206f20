"""Seeing what happens: the computation graph, the backward pass step by step, what is wrong with a gradient; and what
an optimizer computes in every step, alone or in a race with others; what a network costs in work, time and memory; and
what the classic bugs do.

A folder for each:  graphs (draw_graph, explain_backward, record, part), gradients (check_my_grad, gradient_flow),
optimizers (OptimizerTrace, race, best_rates, surfaces, Surface, feed), landscapes (landscape, Sharpness,
top_hessian_eigenvalues, lr_range_test), costs (summary, profile), linting (lint), classic_bugs (bugs, break_it,
symptom).  Each name has a docstring with an example.

Everything here reads the graph that was recorded and calls the rules that train.  Pictures need what
`pip install "minidl[study]"` brings; the texts need nothing.
"""

from minidl.study.classic_bugs.breaking import break_it
from minidl.study.classic_bugs.classics import bugs
from minidl.study.classic_bugs.symptoms import Symptom, symptom
from minidl.study.costs.profiler import profile
from minidl.study.costs.profiles import Profile
from minidl.study.costs.summaries import Summary, summary
from minidl.study.gradients.checks import check_my_grad
from minidl.study.gradients.flow import GradientFlow, gradient_flow
from minidl.study.graphs.backward import explain_backward
from minidl.study.graphs.draw import draw_graph
from minidl.study.graphs.parts import part, record
from minidl.study.landscapes.curvature import Eigenvalues, Sharpness, top_hessian_eigenvalues
from minidl.study.landscapes.landscape import Landscape, landscape
from minidl.study.landscapes.lr_range import RangeTest, lr_range_test
from minidl.study.linting.lint import Finding, LintWarning, lint
from minidl.study.optimizers.races import best_rates, race
from minidl.study.optimizers.sequence import feed
from minidl.study.optimizers.surface import Surface, surfaces
from minidl.study.optimizers.trace import OptimizerTrace

__all__ = [
    "Eigenvalues", "Finding", "GradientFlow", "Landscape", "LintWarning", "OptimizerTrace", "Profile", "RangeTest",
    "Sharpness", "Summary", "Surface", "Symptom", "best_rates", "break_it", "bugs", "check_my_grad", "draw_graph",
    "explain_backward", "feed", "gradient_flow", "landscape", "lint", "lr_range_test", "part", "profile", "race",
    "record", "summary", "surfaces", "symptom", "top_hessian_eigenvalues",
]  # fmt: skip


def __dir__() -> list[str]:
    """The public names, without the modules that they are in."""
    return __all__
