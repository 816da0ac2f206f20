"""What study shows of itself: its functions, and not the modules that they are in."""

import minidl
from minidl import study


def test_all_that_is_public_is_listed_and_documented():
    assert dir(study) == sorted(study.__all__)
    for name in study.__all__:
        thing = getattr(study, name)
        assert thing.__doc__
        if callable(thing) and name[0].islower():
            assert name in study.__doc__
    assert minidl.study is study
