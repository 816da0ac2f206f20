"""Seeing what happens: the computation graph, the backward pass step by step, what is wrong with a gradient; and what
an optimizer computes in every step, alone or in a race with others.

Everything here reads the graph that was recorded and calls the rules that train.  Pictures need what
`pip install "minidl[study]"` brings; the texts need nothing.
"""

from minidl.study.backward import explain_backward
from minidl.study.checks import check_my_grad
from minidl.study.draw import draw_graph
from minidl.study.flow import GradientFlow, gradient_flow
from minidl.study.parts import part, record
from minidl.study.races import best_rates, race
from minidl.study.sequence import feed
from minidl.study.surface import Surface, surfaces
from minidl.study.trace import OptimizerTrace
